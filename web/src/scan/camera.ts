// Texts of QR codes before the camera: by the browser's BarcodeDetector where it has one, else by our own reader.

import { read } from "../qr/read.ts";

interface Detector {
  detect(from: CanvasImageSource): Promise<{ rawValue: string }[]>;
}
interface DetectorKind {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

async function detector(): Promise<Detector | undefined> {
  const kind = (globalThis as { BarcodeDetector?: DetectorKind }).BarcodeDetector;
  try {
    if (kind === undefined || !(await kind.getSupportedFormats()).includes("qr_code")) return undefined;
    return new kind({ formats: ["qr_code"] });
  } catch {
    return undefined;
  }
}

const SIDE = 720; // pixels of the square that is looked at
const PAUSE = 80; // milliseconds between two looks
const LARGEST = 1_600; // pixels of a picture from a file

export type Trouble = "none" | "refused" | "failed";

/** A camera that hands every text it sees to `seen`, the same one again and again for as long as it is there. */
export class Camera {
  private readonly video: HTMLVideoElement;
  private readonly seen: (text: string) => void;
  private stream: MediaStream | undefined;
  private running = 0;

  constructor(video: HTMLVideoElement, seen: (text: string) => void) {
    this.video = video;
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
        video: { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (problem) {
      this.stop();
      const name = problem instanceof DOMException ? problem.name : "";
      return name === "NotAllowedError" ? "refused" : name === "NotFoundError" ? "none" : "failed";
    }
    void this.look(++this.running, await detector());
    return undefined;
  }

  stop(): void {
    this.running++;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = undefined;
    this.video.srcObject = null;
  }

  private async look(run: number, detector: Detector | undefined): Promise<void> {
    const canvas = document.createElement("canvas");
    const drawing = canvas.getContext("2d", { willReadFrequently: true });
    while (run === this.running && drawing !== null) {
      const { videoWidth: width, videoHeight: height } = this.video;
      if (width > 0) {
        const side = Math.min(width, height);
        canvas.width = canvas.height = Math.min(side, SIDE);
        drawing.drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, canvas.width, canvas.height);
        const text = await textIn(canvas, drawing, detector, false);
        if (text !== undefined && run === this.running) this.seen(text);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** The text of the code in a picture that somebody chose; undefined where none can be read. */
export async function textInFile(file: Blob): Promise<string | undefined> {
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
    return await textIn(canvas, drawing, await detector(), true);
  } catch (problem) {
    if (problem instanceof DOMException) return undefined; // no picture
    throw problem;
  } finally {
    URL.revokeObjectURL(address);
  }
}

async function textIn(
  canvas: HTMLCanvasElement,
  drawing: CanvasRenderingContext2D,
  detector: Detector | undefined,
  thorough: boolean,
): Promise<string | undefined> {
  if (detector !== undefined) {
    try {
      const [first] = await detector.detect(canvas);
      if (first !== undefined || !thorough) return first?.rawValue;
    } catch {
      // It is there and does not work, as on some desks: ours does.
    }
  }
  return read(drawing.getImageData(0, 0, canvas.width, canvas.height), thorough);
}
