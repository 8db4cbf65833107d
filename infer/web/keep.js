// Keeping what is painted: a snapshot as PNG, a recording as the browser can encode it.

const KINDS = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
const BITS_PER_SECOND = 12_000_000;

export class Keeper {
  constructor() {
    this.still = document.createElement("canvas");
    this.film = document.createElement("canvas");
    this.recorder = null;
  }

  // Takes each painting. A film keeps the size that it began with, with black beside what does not fill it.
  show(painting) {
    fit(this.still, painting);
    this.still.getContext("2d").drawImage(painting, 0, 0);
    if (this.recorder) this.expose();
  }

  expose() {
    const { film, still } = this;
    const context = film.getContext("2d");
    const scale = Math.min(film.width / still.width, film.height / still.height);
    const [width, height] = [still.width * scale, still.height * scale];
    context.fillRect(0, 0, film.width, film.height);
    context.drawImage(still, (film.width - width) / 2, (film.height - height) / 2, width, height);
  }

  async snapshot(name) {
    const blob = await new Promise((resolve) => this.still.toBlob(resolve, "image/png"));
    save(blob, `${name}-${stamp()}.png`);
  }

  get isRecording() {
    return this.recorder !== null;
  }

  // Begins a film; failed is told why it ends, where it ends by itself.
  begin(name, failed) {
    const mimeType = globalThis.MediaRecorder && KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    if (!mimeType) throw new Error("this browser cannot record");
    const parts = [];
    fit(this.film, this.still);
    const stream = this.film.captureStream();
    const recorder = new MediaRecorder(stream, { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    recorder.ondataavailable = ({ data }) => parts.push(data);
    recorder.onerror = ({ error }) => failed(`the recording has ended: ${error?.message ?? "the browser cannot encode it"}`);
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      if (this.recorder === recorder) this.recorder = null;
      const ending = mimeType.includes("mp4") ? "mp4" : "webm";
      save(new Blob(parts, { type: mimeType }), `${name}-${stamp()}.${ending}`);
    };
    recorder.start(1000);
    this.recorder = recorder;
    this.expose();
  }

  end() {
    const { recorder } = this;
    this.recorder = null;
    if (recorder?.state !== "inactive") recorder?.stop();
  }
}

function fit(canvas, { width, height }) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "-");

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
