// Where frames come from: the camera, or a still picture. Both have draw(context, width, height).

export class Camera {
  isStill = false;

  static async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error("a browser gives the camera only to pages from https or from localhost");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1280 }, height: { ideal: 720 } } });
    } catch (error) {
      const words = { NotAllowedError: "it was not allowed", NotFoundError: "there is none", NotReadableError: "another program uses it" };
      throw new Error(`no camera: ${words[error.name] ?? error.message}`);
    }
    const camera = new Camera();
    camera.stream = stream;
    camera.video = Object.assign(document.createElement("video"), { srcObject: stream, muted: true, playsInline: true });
    try {
      await camera.video.play();
    } catch (error) {
      camera.close();
      throw new Error(`the camera gives no picture: ${error.message}`);
    }
    for (const track of stream.getTracks()) track.onended = () => camera.onlost?.();
    camera.watch();
    return camera;
  }

  // Notes every new frame, so that none is painted twice.
  watch() {
    this.hasNew = true;
    this.video.requestVideoFrameCallback?.(() => this.watch());
  }

  get size() {
    return [this.video.videoWidth, this.video.videoHeight];
  }

  take() {
    const hasNew = this.hasNew;
    if ("requestVideoFrameCallback" in this.video) this.hasNew = false;
    return hasNew && this.video.videoWidth > 0;
  }

  draw(context, width, height, isMirrored) {
    context.save();
    if (isMirrored) context.setTransform(-1, 0, 0, 1, width, 0);
    context.drawImage(this.video, 0, 0, width, height);
    context.restore();
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    this.video.srcObject = null;
  }
}

export class Still {
  isStill = true;
  hasNew = true;

  static async open(file) {
    const still = new Still();
    try {
      still.bitmap = await createImageBitmap(file);
    } catch {
      throw new Error(`${file.name || "that"} is no picture that this browser can read`);
    }
    return still;
  }

  get size() {
    return [this.bitmap.width, this.bitmap.height];
  }

  // Something changed: paint it again.
  touch() {
    this.hasNew = true;
  }

  take() {
    const hasNew = this.hasNew;
    this.hasNew = false;
    return hasNew;
  }

  draw(context, width, height) {
    context.fillStyle = "#fff"; // under what is transparent
    context.fillRect(0, 0, width, height);
    context.imageSmoothingQuality = "high";
    context.drawImage(this.bitmap, 0, 0, width, height);
  }

  close() {
    this.bitmap.close();
  }
}
