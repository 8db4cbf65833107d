// The page: what the user chose, the loop from the source to the stage, the keys.

import { BrowserEngine, ServerEngine, findEngines } from "./engines.js";
import { Keeper } from "./keep.js";
import { listen } from "./listen.js";
import { LONG_SIDE, Regions } from "./regions.js";
import { Camera, Still } from "./sources.js";
import { Tiles } from "./tiles.js";
import { View } from "./view.js";

const $ = (id) => document.getElementById(id);
const state = { engine: null, source: null, inFlight: 0, jobs: 0, shownJob: 0, openings: 0, isEngineInTrouble: false };
const known = await fetch("models.json")
  .then((answer) => {
    if (answer.ok) return answer.json();
    throw new Error(`${answer.status} ${answer.statusText}`);
  })
  .catch((error) => {
    report(`the models cannot be listed: ${error.message}`);
    throw error;
  });
const regions = new Regions();
const keeper = new Keeper();
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const times = []; // when the last frames were shown, ms
const captured = new OffscreenCanvas(1, 1);
const pen = captured.getContext("2d", { willReadFrequently: true });

const view = new View($("view"), { paint: brushStroke, divide: setDivider });
const tiles = new Tiles($("tiles"), known.models, chosen);

// Shows a line of trouble. That of an engine goes when the engine paints again.
function report(words, isOfEngine = false) {
  $("trouble").textContent = words;
  $("trouble").hidden = !words;
  state.isEngineInTrouble = words !== "" && isOfEngine;
}

// --- what to paint

function controls() {
  const { model } = tiles;
  const wish = {
    model: model.name,
    strength: $("strength").value / 100,
    original_colors: $("colors").checked,
    texture: model.has_texture ? $("texture").value / 100 : 1,
    size: Number($("size").value),
  };
  if (model.controls !== "none") wish.mix = regions.over(tiles.shares($("share").value / 100));
  return wish;
}

// Called when another style, fusion or model was chosen.
function chosen(isOtherModel) {
  const { model, first, second } = tiles;
  if (isOtherModel) {
    regions.clear();
    const options = model.styles.map(({ name }, number) => new Option(name, number + 1));
    $("brush-style").replaceChildren(...options, new Option("the photograph", 0));
    setBrushing(false);
  }
  $("regions").hidden = model.controls !== "regional";
  $("texture-row").hidden = !model.has_texture;
  $("fusion").hidden = second === null;
  if (second !== null) $("fusion-name").textContent = `${model.styles[first].name} + ${model.styles[second].name}`;
  again();
}

// Paints a still picture once more; a camera's next frame comes anyway.
function again() {
  showValues();
  state.source?.touch?.();
  showBusy();
}

// A still picture that is not painted yet as it was asked for makes the page busy.
function showBusy() {
  const { engine, source, inFlight } = state;
  $("studio").setAttribute("aria-busy", Boolean(engine && source?.isStill && (source.hasNew || inFlight > 0)));
}

function showValues() {
  for (const id of ["strength", "texture"]) $(`${id}-value`).textContent = `${$(id).value} %`;
  $("share-value").textContent = `${$("share").value} %`;
  $("size-value").textContent = `${$("size").value} px`;
  $("brush-width-value").textContent = $("brush-width").value;
  $("clear").disabled = regions.isEmpty;
}

// --- regions

function brushStroke(from, to) {
  if (!state.source) return;
  regions.fit(...state.source.size, tiles.model.styles.length + 1);
  regions.stroke(from, to, Number($("brush-style").value), Number($("brush-width").value) / 2);
  again();
}

function setBrushing(isOn) {
  view.isBrushing = isOn && tiles.model.controls === "regional";
  $("brush").setAttribute("aria-pressed", view.isBrushing);
  $("view").classList.toggle("brushing", view.isBrushing);
  setBrushWidth();
}

function setBrushWidth() {
  view.radius = Number($("brush-width").value) / 2 / LONG_SIDE;
  showValues();
  view.draw();
}

function setDivider(share) {
  view.divider = share;
  $("divider").value = Math.round(share * 100);
  view.draw();
}

// --- the loop

function frame() {
  requestAnimationFrame(frame);
  const { engine, source } = state;
  if (engine && source && state.inFlight < engine.depth && source.take()) paint(engine, source);
}

async function paint(engine, source) {
  const wish = controls();
  const [width, height] = source.size;
  const scale = Math.min(1, wish.size / Math.max(width, height));
  captured.width = Math.max(1, Math.round(width * scale));
  captured.height = Math.max(1, Math.round(height * scale));
  source.draw(pen, captured.width, captured.height, $("mirror").checked);
  const startedAt = performance.now();
  const job = ++state.jobs;
  state.inFlight++;
  try {
    const [{ picture, paintMs }, photograph] = await Promise.all([
      engine.paint(captured, wish, source.isStill),
      createImageBitmap(captured),
    ]);
    if (source !== state.source || engine !== state.engine || job < state.shownJob) return;
    state.shownJob = job;
    keeper.show(picture);
    view.show(photograph, picture);
    shown(picture, performance.now() - startedAt, paintMs);
  } catch (error) {
    if (error === null || engine !== state.engine) return;
    report(error.message, true);
    if (error.isLost) source.touch?.();
    else if (engine instanceof BrowserEngine) stopEngine();
  } finally {
    state.inFlight--;
    showBusy();
  }
}

function shown({ width, height }, latencyMs, paintMs) {
  const now = performance.now();
  times.push(now);
  while (times.length > 2 && now - times[0] > 1000) times.shift();
  const rate = times.length > 1 ? ((times.length - 1) * 1000) / (now - times[0]) : 0;
  $("speed").textContent = `${state.source.isStill ? "" : `${rate.toFixed(1)} fps, `}${latencyMs.toFixed(0)} ms from frame to screen, ${paintMs.toFixed(0)} of them painting`;
  $("picture-size").textContent = `${width} × ${height} px`;
  $("engine-name").textContent = state.engine.name;
  $("studio").dataset.painted = Number($("studio").dataset.painted ?? 0) + 1;
  if (state.isEngineInTrouble) report("");
  for (const id of ["snapshot", "record"]) $(id).disabled = false;
}

// --- sources

async function useSource(opening) {
  const mine = ++state.openings;
  let source;
  try {
    source = await opening;
  } catch (error) {
    if (mine === state.openings) report(error.message);
    return;
  }
  if (mine !== state.openings) {
    source.close(); // another was chosen while this one opened
    return;
  }
  state.source?.close();
  source.onlost = () => {
    if (source !== state.source) return;
    switchCamera();
    report("the camera is gone; plug it in or allow it again, then press Camera");
  };
  state.source = source;
  times.length = 0;
  regions.clear();
  if (state.engine) report(""); // otherwise it says why nothing can be painted
  $("invitation").hidden = true;
  $("camera").setAttribute("aria-pressed", !source.isStill);
  showValues();
}

function switchCamera() {
  if (state.source instanceof Camera) {
    state.source.close();
    state.source = null;
    $("camera").setAttribute("aria-pressed", false);
  } else useSource(Camera.open());
}

// Args: a file; null for something else that was dropped, undefined where nothing was chosen.
function usePicture(file) {
  if (file) useSource(Still.open(file));
  else if (file === null) report("only files can be dropped here; save the picture first");
}

// --- engines

function stopEngine() {
  state.engine?.close();
  state.engine = null;
  for (const radio of document.querySelectorAll("[name=engine]")) radio.checked = false; // each can be tried again
}

function useEngine(kind) {
  stopEngine();
  document.querySelector(`[name=engine][value=${kind}]`).checked = true;
  report("");
  const tell = (words) => (words || state.isEngineInTrouble) && report(words, true);
  state.engine = kind === "server" ? new ServerEngine(known, tell) : new BrowserEngine(known, kind);
  $("engine-name").textContent = state.engine.name;
  $("speed").textContent = kind === "server" ? "" : "the first picture loads the model";
  again();
}

async function offerEngines() {
  const engines = await findEngines(known);
  const wanted = new URLSearchParams(location.search).get("engine");
  const able = Object.keys(engines).filter((kind) => engines[kind].can);
  const kind = able.includes(wanted) ? wanted : able[0];
  for (const radio of document.querySelectorAll("[name=engine]")) {
    const { can, note } = engines[radio.value];
    radio.disabled = !can;
    radio.closest("label").querySelector("small").textContent = note;
    radio.onchange = () => useEngine(radio.value);
  }
  if (kind) useEngine(kind);
  if (wanted && wanted !== kind) report(`${wanted} cannot be had here: ${engines[wanted]?.note ?? "there is no such engine"}`);
}

// --- snapshot and recording

const label = () => tiles.label.replaceAll(/[^\p{L}\p{M}\p{N}-]+/gu, "-");

function switchRecording() {
  try {
    if (keeper.isRecording) keeper.end();
    else keeper.begin(label(), recordingFailed);
  } catch (error) {
    report(error.message);
  }
  $("record").setAttribute("aria-pressed", keeper.isRecording);
}

function recordingFailed(words) {
  keeper.end();
  $("record").setAttribute("aria-pressed", false);
  report(words);
}

// --- wires

function clicks(actions) {
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
}

const isReady = (id) => !$(id).disabled && !$(id).closest("[hidden]");
const keys = {
  c: switchCamera,
  o: () => $("file").click(),
  s: () => isReady("snapshot") && keeper.snapshot(label()),
  r: () => isReady("record") && switchRecording(),
  b: () => setBrushing(!view.isBrushing),
  m: () => $("mirror").click(),
};
clicks({
  camera: keys.c,
  "begin-camera": keys.c,
  picture: keys.o,
  "begin-picture": keys.o,
  snapshot: keys.s,
  record: keys.r,
  brush: keys.b,
  clear: () => {
    regions.clear();
    again();
  },
  "fusion-end": () => tiles.fuse(null),
});
for (const id of ["strength", "texture", "size", "share", "colors"]) $(id).addEventListener("input", again);
$("brush-width").addEventListener("input", setBrushWidth);
$("divider").addEventListener("input", () => setDivider($("divider").value / 100));
$("file").addEventListener("change", () => {
  usePicture($("file").files[0]);
  $("file").value = "";
});

// The picture has the focus: the arrow keys move the brush, or the divider.
function moveOnView({ key, shiftKey }) {
  const [dx, dy] = ARROWS[key] ?? [0, 0];
  const step = shiftKey ? 0.1 : 0.02;
  const within = (value) => Math.min(1, Math.max(0, value));
  if (!view.isBrushing) {
    if (dx) setDivider(within(view.divider + dx * step));
    return dx !== 0;
  }
  const from = view.cursor ?? { x: 0.5, y: 0.5 };
  if (dx || dy) view.point({ x: within(from.x + dx * step), y: within(from.y + dy * step) });
  else if (key === " " && state.source) brushStroke(from, from);
  return Boolean(dx || dy || key === " ");
}

listen({ keys, view: $("view"), stage: $("stage"), moveOnView, chooseNumber: (n) => tiles.chooseNumber(n), usePicture });

$("size").max = known.most_size;
$("texture").max = 100 * known.most_texture;
$("size").value = known.size;
$("made-with").textContent = known.made_with;
tiles.choose(0, 0);
await offerEngines();
showBusy();
requestAnimationFrame(frame);
