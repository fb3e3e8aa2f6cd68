// Texts of QR codes before the camera, always of the newest picture: what came while one was read is never looked at.

import type { Reader } from "./reader.ts";

const SIDE = 720; // pixels of the square that is looked at
const PAUSE = 25; // milliseconds between two looks, for the battery
const LONGEST = 120; // milliseconds to wait for a new picture: some browsers tell of none while the video is out of sight
const CLOSE_LOOK = 3; // of so many pictures that show nothing one is looked at in full
const LARGEST = 1_600; // pixels of a picture from a file

export type Trouble = "none" | "refused" | "failed";

/** A camera that hands every text it sees to `seen`, the same one again and again for as long as it is there. */
export class Camera {
  private readonly video: HTMLVideoElement;
  private readonly reader: Reader;
  private readonly seen: (text: string) => void;
  private stream: MediaStream | undefined;
  private running = 0;

  constructor(video: HTMLVideoElement, reader: Reader, seen: (text: string) => void) {
    this.video = video;
    this.reader = reader;
    this.seen = seen;
  }

  get on(): boolean {
    return this.stream !== undefined;
  }

  /** Asks for the camera; what went wrong, if anything. */
  async start(): Promise<Trouble | undefined> {
    if (this.on) return undefined;
    const devices = (navigator as { mediaDevices?: MediaDevices }).mediaDevices;
    if (devices === undefined) return "none";
    try {
      this.stream = await devices.getUserMedia({
        audio: false,
        video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } },
      });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (problem) {
      this.stop();
      const name = problem instanceof DOMException ? problem.name : "";
      return name === "NotAllowedError" ? "refused" : name === "NotFoundError" ? "none" : "failed";
    }
    void this.look(++this.running);
    return undefined;
  }

  stop(): void {
    this.running++;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  private async look(run: number): Promise<void> {
    const canvas = document.createElement("canvas");
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    for (let n = 1; run === this.running && drawing !== null; n++) {
      const next = this.newer();
      const { videoWidth: width, videoHeight: height } = this.video;
      if (width > 0) {
        const side = Math.min(width, height);
        const size = Math.min(side, SIDE);
        if (canvas.width !== size) canvas.width = canvas.height = size;
        drawing.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, size, size);
        const text = await this.reader.read(canvas, drawing, n % CLOSE_LOOK === 0 ? "full" : "glance");
        if (text !== undefined && run === this.running) this.seen(text);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
      await next;
    }
  }

  /** Fulfilled with the next picture after this moment, which may be past by the time that somebody asks. */
  private newer(): Promise<void> {
    return new Promise((resolve) => {
      const video = this.video as { requestVideoFrameCallback?: (call: () => void) => number };
      video.requestVideoFrameCallback?.(() => resolve());
      setTimeout(resolve, LONGEST);
    });
  }
}

/** The text of the code in a picture that somebody chose; undefined where none can be read. */
export async function textInFile(file: Blob, reader: Reader): Promise<string | undefined> {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const scale = Math.min(1, LARGEST / Math.max(image.naturalWidth, image.naturalHeight));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    const drawing = canvas.getContext("2d");
    if (drawing === null) return undefined;
    drawing.fillStyle = "#fff";
    drawing.fillRect(0, 0, canvas.width, canvas.height);
    drawing.drawImage(image, 0, 0, canvas.width, canvas.height);
    return await reader.read(canvas, drawing, "file");
  } catch (problem) {
    if (problem instanceof DOMException) return undefined; // no picture
    throw problem;
  } finally {
    URL.revokeObjectURL(address);
  }
}
