// The worker that reads pictures, so that the page never waits for one: a picture in, its text out.

import { glance, read } from "../qr/read.ts";
import { warm } from "../qr/warm.ts";
import type { Asked, Found } from "./reader.ts";

const self_ = self as unknown as { onmessage: (event: MessageEvent<Asked>) => void; postMessage(found: Found): void };
self_.onmessage = ({ data: { number, picture, how } }) => {
  self_.postMessage({ number, text: how === "file" ? read(picture) : glance(picture, how === "full") });
};
warm();
