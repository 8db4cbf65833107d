// The stage: the painting, the photograph on the left of a divider, the brush's cursor.

export class View {
  // handlers: paint(from, to) while the brush is on, divide(share) when the divider is dragged.
  constructor(canvas, handlers) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.handlers = handlers;
    this.divider = 0;
    this.isBrushing = false;
    this.cursor = null;
    this.radius = 0; // of the brush, share of the picture's long side
    this.last = null; // where the pointer that is pressed was
    this.pointer = null;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.lift(event));
    canvas.addEventListener("pointerleave", () => this.point(null));
  }

  show(photograph, painting) {
    this.photograph?.close();
    this.painting?.close();
    this.photograph = photograph;
    this.painting = painting;
    this.draw();
  }

  draw() {
    const { canvas, context, photograph, painting } = this;
    if (!painting) return;
    const { width, height } = painting;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context.drawImage(painting, 0, 0);
    const x = Math.round(this.divider * width);
    if (x > 0) {
      context.drawImage(photograph, 0, 0, x, height, 0, 0, x, height);
      context.fillStyle = "#fff";
      context.fillRect(x - 1, 0, 2, height);
      context.beginPath();
      context.arc(x, height / 2, Math.max(5, width / 90), 0, 2 * Math.PI);
      context.fill();
    }
    if (this.isBrushing && this.cursor) {
      for (const [style, line] of [["#000", 3], ["#fff", 1.5]]) {
        context.strokeStyle = style;
        context.lineWidth = line;
        context.beginPath();
        context.arc(this.cursor.x * width, this.cursor.y * height, this.radius * Math.max(width, height), 0, 2 * Math.PI);
        context.stroke();
      }
    }
  }

  // Returns where a pointer is on the picture, which is fitted into the element; [0, 1] each.
  place({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const scale = Math.min(box.width / this.canvas.width, box.height / this.canvas.height);
    const left = box.left + (box.width - this.canvas.width * scale) / 2;
    const top = box.top + (box.height - this.canvas.height * scale) / 2;
    const share = (value) => Math.min(1, Math.max(0, value));
    return {
      x: share((clientX - left) / (this.canvas.width * scale)),
      y: share((clientY - top) / (this.canvas.height * scale)),
    };
  }

  press(event) {
    if (!this.painting || event.button !== 0 || this.last) return; // one finger at a time
    this.pointer = event.pointerId;
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.drag(this.last);
  }

  move(event) {
    const place = this.place(event);
    if (this.last && event.pointerId === this.pointer) this.drag(place);
    this.point(place);
  }

  lift({ pointerId }) {
    if (pointerId === this.pointer) this.last = null;
  }

  drag(place) {
    if (this.isBrushing) this.handlers.paint(this.last, place);
    else this.handlers.divide(place.x);
    this.last = place;
  }

  point(place) {
    this.cursor = place;
    if (this.isBrushing) this.draw();
  }
}
