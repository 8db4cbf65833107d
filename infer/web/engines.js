// What paints a frame: the server over a WebSocket, or a worker that runs the same file here.
// Both have: name, depth (frames on their way at a time), paint(canvas, controls, isStill) and
// close(). A promise of paint() is rejected with null where a newer frame has won, and with an error
// that has isLost where the same picture can be sent again.

const HEADER_BYTES = 12;
const RETRY_MS = 1500;

// Sends every frame as a JPEG, a still picture as a PNG. See infer/live.py for the messages.
export class ServerEngine {
  depth = 2;

  constructor(known, report) {
    this.name = `Server, ${known.server.provider}`;
    this.report = report;
    this.waiting = new Map();
    this.number = 0;
    this.sent = "";
    this.isClosed = false;
  }

  async paint(canvas, controls, isStill) {
    const wish = JSON.stringify({ ...controls, format: isStill ? "png" : "jpeg" });
    const type = isStill ? "image/png" : "image/jpeg";
    const [socket, blob] = await Promise.all([this.open(), canvas.convertToBlob({ type, quality: 0.92 })]);
    if (wish !== this.sent) {
      socket.send(wish);
      this.sent = wish;
    }
    const number = ++this.number;
    const head = new Uint32Array([number]);
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      socket.send(new Blob([head, blob]));
    });
  }

  open() {
    this.opening ??= new Promise((resolve, reject) => {
      const address = new URL("live", location.href);
      address.protocol = address.protocol.replace("http", "ws");
      const socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.sent = "";
        this.report("");
        resolve(socket);
      };
      socket.onmessage = ({ data }) => (typeof data === "string" ? this.fail(JSON.parse(data)) : this.show(data));
      socket.onclose = ({ code }) => {
        const words = code === 1009 ? "the picture is too large for the server" : "no connection to the server; trying again";
        const lost = () => {
          const error = Object.assign(new Error(words), { isLost: true });
          this.opening = null;
          reject(error);
          this.end(error);
        };
        if (this.isClosed) lost();
        else setTimeout(lost, RETRY_MS);
        if (!this.isClosed) this.report(words);
      };
    });
    return this.opening;
  }

  async show(data) {
    const [number, micros] = new Uint32Array(data, 0, 3);
    const mine = this.waiting.get(number);
    // The newest frame wins: those before it that have no answer were left out.
    for (const [earlier, { reject }] of this.waiting) {
      if (earlier < number) reject(null);
      if (earlier <= number) this.waiting.delete(earlier);
    }
    const picture = await createImageBitmap(new Blob([data.slice(HEADER_BYTES)]));
    mine?.resolve({ picture, paintMs: micros / 1000 });
  }

  fail({ error, frame }) {
    if (frame === null) {
      this.report(error);
      return;
    }
    this.waiting.get(frame)?.reject(new Error(error));
    this.waiting.delete(frame);
  }

  end(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close() {
    this.isClosed = true;
    this.opening?.then((socket) => socket.close(), () => {});
    this.end(null);
  }
}

// Runs the model in a worker of this page with onnxruntime-web.
export class BrowserEngine {
  depth = 1;

  constructor(known, backend) {
    this.backend = backend;
    this.known = known;
    this.name = backend === "webgpu" ? "This browser, WebGPU" : "This browser, WebAssembly";
    this.waiting = new Map();
    this.number = 0;
    this.worker = new Worker(new URL("browser.js", location.href), { type: "module" });
    this.worker.onmessage = ({ data }) => this.answer(data);
    this.worker.onerror = (event) => this.end(new Error(event.message || "the worker could not be started"));
  }

  async paint(canvas, controls) {
    const model = this.known.models.find(({ name }) => name === controls.model);
    const context = canvas.getContext("2d");
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    const number = ++this.number;
    const job = { number, model, controls, width, height, pixels: data.buffer };
    const place = { backend: this.backend, runtime: new URL(`${this.known.runtime}/`, location.href).href };
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      this.worker.postMessage({ ...job, ...place, file: new URL(model.file, location.href).href }, [data.buffer]);
    });
  }

  async answer({ number, error, pixels, width, height, paintMs, name }) {
    const mine = this.waiting.get(number);
    this.waiting.delete(number);
    if (name) this.name = name;
    if (!mine) return;
    if (error) mine.reject(new Error(error));
    else mine.resolve({ picture: await createImageBitmap(new ImageData(new Uint8ClampedArray(pixels), width, height)), paintMs });
  }

  end(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close() {
    this.worker.terminate();
    this.end(null);
  }
}

// Says which engines can be had here, and why the others cannot.
export async function findEngines(known) {
  const howTo = "needs onnxruntime-web: start with nst serve MODEL --in-browser, which fetches it once";
  const gpu = known.runtime && navigator.gpu ? await navigator.gpu.requestAdapter().catch(() => null) : null;
  const threads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  const wasm = threads > 1 ? `up to ${threads} threads` : "one thread: this page is not served cross-origin isolated";
  return {
    server: known.server
      ? { can: true, note: [known.server.provider, known.server.reason].filter(Boolean).join(", ") }
      : { can: false, note: "there is none behind this page" },
    webgpu: !known.runtime
      ? { can: false, note: howTo }
      : { can: gpu !== null, note: gpu ? (gpu.info?.description || gpu.info?.vendor || "") : "this browser offers no WebGPU here" },
    wasm: known.runtime ? { can: true, note: wasm } : { can: false, note: howTo },
  };
}
