// What paints a frame: the server over a WebSocket, or a worker that runs the same file here.
// Both have: name, depth (frames on their way at a time), paint(canvas, controls, isStill) and
// close(). A promise of paint() is rejected with null where a newer frame has won, and with an error
// that has isLost where the same picture can be sent again.

const HEADER_BYTES = 12;
const RETRY_MS = 1500;
const TOO_LARGE = 1009; // close codes: RFC 6455, section 7.4, and IANA's registry
const TRY_AGAIN_LATER = 1013;

// Frames on their way, and who waits for each.
class Engine {
  waiting = new Map();
  number = 0;
  isClosed = false;

  expect(number) {
    return new Promise((resolve, reject) => this.waiting.set(number, { resolve, reject }));
  }

  // Returns who waits for a frame. The newest wins: those before it that have no answer were left out.
  take(number) {
    const mine = this.waiting.get(number);
    for (const [earlier, { reject }] of this.waiting) {
      if (earlier < number) reject(null);
      if (earlier <= number) this.waiting.delete(earlier);
    }
    return mine;
  }

  async answer(number, paintMs, image) {
    const mine = this.take(number);
    try {
      mine?.resolve({ picture: await createImageBitmap(image), paintMs });
    } catch {
      mine?.reject(new Error("this browser cannot read the painting"));
    }
  }

  end(error) {
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  close() {
    this.isClosed = true;
    this.end(null);
  }
}

// Sends every frame as a JPEG, a still picture as a PNG. See infer/live.py for the messages.
export class ServerEngine extends Engine {
  depth = 2;
  wish = ""; // the controls that were sent last
  newest = 0; // frame that was sent

  constructor(known, report) {
    super();
    this.name = `Server, ${known.server.provider}`;
    this.report = report;
  }

  async paint(canvas, controls, isStill) {
    const wish = JSON.stringify({ ...controls, format: isStill ? "png" : "jpeg" });
    const type = isStill ? "image/png" : "image/jpeg";
    const number = ++this.number;
    const [socket, blob] = await Promise.all([this.open(), canvas.convertToBlob({ type, quality: 0.92 })]);
    if (this.isClosed || number < this.newest) throw null;
    if (socket.loss) throw socket.loss;
    const answer = this.expect(number);
    if (socket.readyState !== WebSocket.OPEN) return answer; // it ends with the connection
    this.newest = number;
    if (wish !== this.wish) socket.send(wish);
    this.wish = wish;
    socket.send(new Blob([new Uint32Array([number]), blob]));
    return answer;
  }

  open() {
    this.opening ??= new Promise((resolve, reject) => {
      const address = new URL("live", location.href);
      address.protocol = address.protocol.replace("http", "ws");
      const socket = new WebSocket(address);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        this.wish = "";
        this.report("");
        resolve(socket);
      };
      socket.onmessage = ({ data }) => (typeof data === "string" ? this.fail(JSON.parse(data)) : this.show(data));
      socket.onclose = ({ code, reason }) => {
        const why = code === TRY_AGAIN_LATER ? reason : "no connection to the server";
        const words = code === TOO_LARGE ? "the picture is too large for the server" : `${why}; trying again`;
        const lost = () => {
          socket.loss = Object.assign(new Error(words), { isLost: true });
          this.opening = null;
          reject(socket.loss);
          this.end(this.isClosed ? null : socket.loss);
        };
        if (this.isClosed) lost();
        else setTimeout(lost, RETRY_MS);
        if (!this.isClosed) this.report(words);
      };
    });
    return this.opening;
  }

  show(data) {
    const [number, micros] = new Uint32Array(data, 0, 3);
    this.answer(number, micros / 1000, new Blob([data.slice(HEADER_BYTES)]));
  }

  fail({ error, frame }) {
    if (frame === null) this.report(error);
    else this.take(frame)?.reject(new Error(error));
  }

  close() {
    super.close();
    this.opening?.then((socket) => socket.close(), () => {});
  }
}

// Runs the model in a worker of this page with onnxruntime-web.
export class BrowserEngine extends Engine {
  depth = 1;

  constructor(known, backend) {
    super();
    this.backend = backend;
    this.known = known;
    this.name = backend === "webgpu" ? "This browser, WebGPU" : "This browser, WebAssembly";
    this.worker = new Worker(new URL("browser.js", location.href), { type: "module" });
    this.worker.onmessage = ({ data }) => this.show(data);
    this.worker.onerror = (event) => {
      this.broken = new Error(event.message || "the worker could not be started");
      this.end(this.broken);
    };
  }

  async paint(canvas, controls) {
    if (this.broken) throw this.broken;
    const model = this.known.models.find(({ name }) => name === controls.model);
    const context = canvas.getContext("2d");
    const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
    const number = ++this.number;
    const job = { number, model, controls, width, height, pixels: data.buffer };
    const place = { backend: this.backend, runtime: new URL(`${this.known.runtime}/`, location.href).href };
    this.worker.postMessage({ ...job, ...place, file: new URL(model.file, location.href).href }, [data.buffer]);
    return this.expect(number);
  }

  show({ number, error, pixels, width, height, paintMs, name }) {
    if (name) this.name = name;
    if (error) this.take(number)?.reject(new Error(error));
    else this.answer(number, paintMs, new ImageData(new Uint8ClampedArray(pixels), width, height));
  }

  close() {
    super.close();
    this.worker.terminate();
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
