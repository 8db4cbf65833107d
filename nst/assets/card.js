"use strict";
// The blind comparison: two paintings of one photograph, the order drawn anew each time.
(() => {
  const source = document.getElementById("pairs");
  if (!source) return;
  const { pairs, names, subject_sha256 } = JSON.parse(source.textContent);
  const place = document.getElementById("blind");
  let order = [];
  let choices = [];
  let isRunning = false;

  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    parent.append(element);
    return element;
  };

  const picture = (number, kind, parent) => {
    const image = make("img", "", parent);
    image.src = document.getElementById(`p${number}-${kind}`).src;
    image.alt = "";
    return image;
  };

  const shuffled = (items) => {
    const found = [...items];
    for (let i = found.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [found[i], found[j]] = [found[j], found[i]];
    }
    return found;
  };

  const begin = () => {
    order = shuffled(pairs).map((pair) => ({
      ...pair,
      sides: Math.random() < 0.5 ? ["painted", pair.other] : [pair.other, "painted"],
    }));
    choices = [];
    isRunning = true;
    show();
  };

  const choose = (side) => {
    const pair = order[choices.length];
    choices.push({
      photograph: pair.photograph,
      first: pair.sides[0],
      second: pair.sides[1],
      chosen: side === null ? null : pair.sides[side],
      other: pair.other,
    });
    if (choices.length < order.length) show();
    else reveal();
  };

  const show = () => {
    place.replaceChildren();
    const pair = order[choices.length];
    const bar = make("div", "", place);
    bar.className = "bar";
    picture(pair.number, "photograph", bar).className = "photograph";
    make("span", `${choices.length + 1} of ${order.length}`, bar);
    make("button", "alike (0)", bar).onclick = () => choose(null);
    const row = make("div", "", place);
    row.className = "pair";
    pair.sides.forEach((kind, side) => {
      const button = make("button", "", row);
      button.setAttribute("aria-label", `painting ${side + 1}`);
      picture(pair.number, kind, button);
      button.onclick = () => choose(side);
    });
  };

  const reveal = () => {
    isRunning = false;
    place.replaceChildren();
    for (const other of new Set(choices.map((choice) => choice.other))) {
      const these = choices.filter((choice) => choice.other === other);
      const count = (kind) => these.filter((choice) => choice.chosen === kind).length;
      make(
        "p",
        `${names.painted}: ${count("painted")}, ${names[other]}: ${count(other)}, alike: ${count(null)}`,
        place,
      );
    }
    const list = make("ol", "", place);
    for (const { photograph, first, second, chosen } of choices) {
      make("li", `${photograph}: ${names[first]} | ${names[second]}: ${names[chosen] ?? "alike"}`, list);
    }
    const bar = make("div", "", place);
    bar.className = "bar";
    const text = JSON.stringify({ names, subject_sha256, choices }, null, 1);
    const link = make("a", "save as JSON", bar);
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "blind.json";
    make("button", "once more", bar).onclick = begin;
  };

  document.addEventListener("keydown", (event) => {
    if (!isRunning || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "0") choose(null);
    if (event.key === "1" || event.key === "2") choose(Number(event.key) - 1);
  });

  const bar = make("div", "", place);
  bar.className = "bar";
  make("button", `begin, ${pairs.length} pairs`, bar).onclick = begin;
})();
