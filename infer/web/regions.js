// The region brush: a coarse grid over the picture that says what is painted where.

export const LONG_SIDE = 40; // cells

export class Regions {
  constructor() {
    this.clear();
  }

  // Forgets everything; the grid follows the shape of the next picture.
  clear() {
    this.width = this.height = this.planes = 0;
    this.isEmpty = true;
  }

  // Makes the grid for a picture and a model; regions of another shape are lost.
  fit(pictureWidth, pictureHeight, planes) {
    const scale = LONG_SIDE / Math.max(pictureWidth, pictureHeight);
    const width = Math.max(1, Math.round(pictureWidth * scale));
    const height = Math.max(1, Math.round(pictureHeight * scale));
    if (width === this.width && height === this.height && planes === this.planes) return;
    this.clear();
    Object.assign(this, { width, height, planes });
    this.cover = new Float32Array(width * height);
    this.layer = new Float32Array(planes * width * height);
  }

  // Paints one soft dab at a place in [0, 1] x [0, 1]; radius in cells.
  dab(x, y, plane, radius) {
    const cells = this.width * this.height;
    const [cx, cy] = [x * this.width - 0.5, y * this.height - 0.5];
    for (let row = 0; row < this.height; row++) {
      for (let column = 0; column < this.width; column++) {
        const distance = Math.hypot(column - cx, row - cy);
        const share = Math.min(1, Math.max(0, radius + 0.5 - distance));
        if (share === 0) continue;
        const cell = row * this.width + column;
        for (let p = 0; p < this.planes; p++) this.layer[p * cells + cell] *= 1 - share;
        this.layer[plane * cells + cell] += share;
        this.cover[cell] += (1 - this.cover[cell]) * share;
        this.isEmpty = false;
      }
    }
  }

  // Paints dabs along a line.
  stroke(from, to, plane, radius) {
    const steps = Math.max(1, Math.ceil(Math.hypot((to.x - from.x) * this.width, (to.y - from.y) * this.height)));
    for (let i = 1; i <= steps; i++) {
      this.dab(from.x + ((to.x - from.x) * i) / steps, from.y + ((to.y - from.y) * i) / steps, plane, radius);
    }
  }

  // Returns the mix: regions over a ground, shares of K + 1 planes.
  over(ground) {
    if (this.isEmpty || this.planes !== ground.length) return { height: 1, width: 1, values: ground };
    const cells = this.width * this.height;
    const values = new Array(this.planes * cells);
    for (let plane = 0; plane < this.planes; plane++) {
      for (let cell = 0; cell < cells; cell++) {
        const value = ground[plane] * (1 - this.cover[cell]) + this.layer[plane * cells + cell];
        values[plane * cells + cell] = Math.round(Math.max(0, value) * 1e4) / 1e4;
      }
    }
    return { height: this.height, width: this.width, values };
  }
}
