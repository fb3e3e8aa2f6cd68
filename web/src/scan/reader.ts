// Reads pictures beside the page: by the browser's BarcodeDetector where it has one, else by our own reader, in a worker that
// has been warmed before anybody holds a code to the camera.

declare const READER: string; // the address of worker.ts as it is built

interface Detector {
  detect(from: CanvasImageSource): Promise<{ rawValue: string }[]>;
}
interface DetectorKind {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

/** A picture of many, a picture of many that is worth a close look, or one that was chosen. */
export type How = "glance" | "full" | "file";
export interface Asked {
  readonly number: number;
  readonly picture: ImageData;
  readonly how: How;
}
export interface Found {
  readonly number: number;
  readonly text: string | undefined;
}

async function detector(): Promise<Detector | undefined> {
  const kind = (globalThis as { BarcodeDetector?: DetectorKind }).BarcodeDetector;
  try {
    if (kind === undefined || !(await kind.getSupportedFormats()).includes("qr_code")) return undefined;
    const made = new kind({ formats: ["qr_code"] });
    const empty = document.createElement("canvas");
    empty.width = empty.height = 64;
    empty.getContext("2d")?.fillRect(0, 0, 64, 64);
    await made.detect(empty); // loads what it needs, and says so where it is there and does not work, as on some desks
    return made;
  } catch {
    return undefined;
  }
}

export class Reader {
  private readonly theirs = detector();
  private readonly waiting = new Map<number, (text: string | undefined) => void>();
  private worker: Worker | undefined;
  private asked = 0;

  constructor() {
    void this.theirs.then((found) => found ?? this.ours());
  }

  /** The text of the code in the picture on the canvas; undefined where none can be read. */
  async read(canvas: HTMLCanvasElement, drawing: CanvasRenderingContext2D, how: How): Promise<string | undefined> {
    const theirs = await this.theirs;
    if (theirs !== undefined) {
      const [first] = await theirs.detect(canvas).catch(() => []);
      if (first !== undefined || how !== "file") return first?.rawValue;
    }
    const picture = drawing.getImageData(0, 0, canvas.width, canvas.height);
    const number = this.asked++;
    return new Promise((done) => {
      this.waiting.set(number, done);
      this.ours().postMessage({ number, picture, how } satisfies Asked, [picture.data.buffer]);
    });
  }

  private ours(): Worker {
    if (this.worker !== undefined) return this.worker;
    const worker = new Worker(READER);
    worker.onmessage = ({ data: { number, text } }: MessageEvent<Found>) => {
      this.waiting.get(number)?.(text);
      this.waiting.delete(number);
    };
    worker.onerror = () => {
      // It did not load, or fell over a picture: the next one finds a new one.
      worker.terminate();
      this.worker = undefined;
      for (const done of this.waiting.values()) done(undefined);
      this.waiting.clear();
    };
    return (this.worker = worker);
  }
}
