// A worker that paints with onnxruntime-web: the same ONNX file as everywhere, uint8 in and out.

// Parts of R, G and B in the luminance Y, ITU-R BT.601, as nst/color.py has them.
const LUMINANCE = [0.299, 0.587, 0.114];
const MOST_THREADS = 8;

let loaded = null; // { key, session, name }
let runtime = null;

async function load({ backend, runtime: folder, file, model }) {
  const key = `${backend} ${file}`;
  if (loaded?.key === key) return loaded;
  const ort = (runtime ??= await import(`${folder}ort.${backend}.min.mjs`));
  ort.env.wasm.wasmPaths = folder;
  ort.env.wasm.numThreads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  ort.env.logLevel = "error";
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${file}: ${answer.status} ${answer.statusText}`);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (model.has_texture) freeTexture(bytes);
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [backend], logSeverityLevel: 3 });
  if (loaded) await loaded.session.release();
  const threads = ort.env.wasm.numThreads;
  const wasm = `WebAssembly, ${threads} ${threads === 1 ? "thread" : "threads"}`;
  loaded = { key, session, name: `This browser, ${backend === "webgpu" ? "WebGPU" : wasm}` };
  return loaded;
}

// Takes the default value of the input "texture" away. onnxruntime-web feeds no input that has one:
// its initializer (TensorProto, field 8: name) gets another name of the same length.
function freeTexture(bytes) {
  const name = [0x42, 7, ...new TextEncoder().encode("texture")];
  const places = [];
  for (let i = bytes.indexOf(name[0]); i >= 0; i = bytes.indexOf(name[0], i + 1)) {
    if (name.every((byte, k) => bytes[i + k] === byte)) places.push(i);
  }
  if (places.length !== 1) throw new Error("the model does not hold its texture as it should");
  bytes.set(new TextEncoder().encode("unused_"), places[0] + 2);
}

async function paint(job) {
  const { session, name } = await load(job);
  const { controls, model, width, height } = job;
  const rgba = new Uint8ClampedArray(job.pixels);
  const count = width * height;
  const rgb = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) {
    rgb[3 * i] = rgba[4 * i];
    rgb[3 * i + 1] = rgba[4 * i + 1];
    rgb[3 * i + 2] = rgba[4 * i + 2];
  }
  const { Tensor } = runtime;
  const feeds = { image: new Tensor("uint8", rgb, [1, height, width, 3]) };
  if (model.controls !== "none") {
    const { mix } = controls;
    const planes = model.styles.length + 1;
    feeds.mix = new Tensor("float32", withStrength(mix.values, planes, controls.strength), [1, planes, mix.height, mix.width]);
  }
  if (model.has_texture) feeds.texture = new Tensor("float32", new Float32Array([controls.texture]), [1]);
  const startedAt = performance.now();
  const painted = await (await session.run(feeds)).stylized.getData();
  const paintMs = performance.now() - startedAt;
  const share = model.controls === "none" ? controls.strength : 1;
  for (let i = 0; i < count; i++) {
    let [red, green, blue] = [painted[3 * i], painted[3 * i + 1], painted[3 * i + 2]];
    const [r, g, b] = [rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]];
    if (controls.original_colors) {
      const change = LUMINANCE[0] * (red - r) + LUMINANCE[1] * (green - g) + LUMINANCE[2] * (blue - b);
      [red, green, blue] = [clamp(r + change), clamp(g + change), clamp(b + change)];
    }
    rgba[4 * i] = r + share * (red - r);
    rgba[4 * i + 1] = g + share * (green - g);
    rgba[4 * i + 2] = b + share * (blue - b);
  }
  postMessage({ number: job.number, pixels: rgba.buffer, width, height, paintMs, name }, [rgba.buffer]);
}

// Clips and rounds: a change of colour is rounded before it is mixed, as on the server.
const clamp = (value) => Math.min(255, Math.max(0, Math.round(value)));

// Shares of every cell that add up to 1, with the photograph's part of 1 - strength in plane 0.
function withStrength(values, planes, strength) {
  const cells = values.length / planes;
  const mix = new Float32Array(values.length);
  for (let cell = 0; cell < cells; cell++) {
    let total = 0;
    for (let plane = 0; plane < planes; plane++) total += values[plane * cells + cell];
    for (let plane = 0; plane < planes; plane++) {
      const photograph = plane === 0 ? 1 : 0;
      const share = total > 0 ? values[plane * cells + cell] / total : photograph;
      mix[plane * cells + cell] = share * strength + photograph * (1 - strength);
    }
  }
  return mix;
}

// One job after the other, in the order in which they come.
let queue = Promise.resolve();
onmessage = ({ data }) => {
  queue = queue.then(() => paint(data)).catch((error) => {
    postMessage({ number: data.number, error: `${data.backend === "webgpu" ? "WebGPU" : "WebAssembly"} failed: ${error.message ?? error}` });
  });
};
