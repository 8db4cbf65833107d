// Keeping what is painted: a snapshot as PNG, a recording as the browser can encode it.

const KINDS = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"];
const BITS_PER_SECOND = 12_000_000;

export class Keeper {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.recorder = null;
  }

  // Takes each painting; a recording keeps the size that it began with.
  show(painting) {
    const { canvas } = this;
    if (!this.recorder && (canvas.width !== painting.width || canvas.height !== painting.height)) {
      Object.assign(canvas, { width: painting.width, height: painting.height });
    }
    this.context.drawImage(painting, 0, 0, canvas.width, canvas.height);
  }

  async snapshot(name) {
    const blob = await new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
    save(blob, `${name}-${stamp()}.png`);
  }

  get isRecording() {
    return this.recorder !== null;
  }

  begin(name) {
    const mimeType = globalThis.MediaRecorder && KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    if (!mimeType) throw new Error("this browser cannot record");
    const parts = [];
    this.recorder = new MediaRecorder(this.canvas.captureStream(), { mimeType, videoBitsPerSecond: BITS_PER_SECOND });
    this.recorder.ondataavailable = ({ data }) => parts.push(data);
    this.recorder.onstop = () => {
      const ending = mimeType.includes("mp4") ? "mp4" : "webm";
      save(new Blob(parts, { type: mimeType }), `${name}-${stamp()}.${ending}`);
    };
    this.recorder.start(1000);
  }

  end() {
    this.recorder?.stop();
    this.recorder = null;
  }
}

const stamp = () => new Date().toISOString().slice(0, 19).replaceAll(":", "-");

function save(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
