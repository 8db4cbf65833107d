// Styles as thumbnails: a click chooses one, its + mixes it with the chosen one.

export class Tiles {
  // onChoice(isOtherModel) is called after every change.
  constructor(place, models, onChoice) {
    this.models = models;
    this.onChoice = onChoice;
    this.model = null;
    this.first = 0;
    this.second = null;
    this.all = models.flatMap((model) => model.styles.map((style, number) => this.make(place, model, style, number)));
  }

  make(place, model, style, number) {
    const tile = document.createElement("div");
    tile.className = "tile";
    const button = document.createElement("button");
    const image = Object.assign(document.createElement("img"), { src: style.thumbnail, alt: "", loading: "lazy" });
    const name = document.createElement("span");
    name.textContent = style.name;
    button.title = style.name;
    button.append(image, name);
    button.onclick = () => this.choose(this.models.indexOf(model), number);
    tile.append(button);
    let more = null;
    if (model.controls !== "none" && model.styles.length > 1) {
      more = Object.assign(document.createElement("button"), { className: "more", textContent: "+" });
      more.setAttribute("aria-label", `mix with ${style.name}`);
      more.title = more.getAttribute("aria-label");
      more.onclick = () => this.mixWith(model, number);
      tile.append(more);
    }
    place.append(tile);
    return { model, number, button, more };
  }

  choose(modelNumber, number) {
    const model = this.models[modelNumber];
    const isOther = model !== this.model;
    this.model = model;
    this.first = number;
    if (isOther || this.second === number) this.second = null;
    this.changed(isOther);
  }

  chooseNumber(place) {
    this.all[place]?.button.click();
  }

  mixWith(model, number) {
    if (model !== this.model) this.choose(this.models.indexOf(model), number);
    else this.fuse(number === this.second || number === this.first ? null : number);
  }

  fuse(number) {
    this.second = number;
    this.changed(false);
  }

  changed(isOther) {
    for (const { model, number, button, more } of this.all) {
      const isHere = model === this.model;
      button.setAttribute("aria-pressed", isHere && number === this.first);
      more?.setAttribute("aria-pressed", isHere && number === this.second);
      if (isHere && number === this.first) button.scrollIntoView({ block: "nearest" });
    }
    this.onChoice(isOther);
  }

  // Returns the shares of K + 1 planes: the photograph, then the styles. share: of the second.
  shares(share) {
    const values = new Array(this.model.styles.length + 1).fill(0);
    values[1 + this.first] = this.second === null ? 1 : 1 - share;
    if (this.second !== null) values[1 + this.second] += share;
    return values;
  }

  get label() {
    const names = [this.first, this.second].filter((number) => number !== null);
    return names.map((number) => this.model.styles[number].name).join("-and-");
  }
}
