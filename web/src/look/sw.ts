// The pages themselves, kept when they are first seen, so that they open without a network. Nothing personal passes through
// here: what is fetched under /v1 and /public goes its own way, and what a page keeps it keeps itself.

declare const VERSION: string; // of all pages, by build.mjs
declare const PAGES: readonly string[];

interface Waiting extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface Asked extends Waiting {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}
interface Worker {
  addEventListener(name: "install" | "activate", listener: (event: Waiting) => void): void;
  addEventListener(name: "fetch", listener: (event: Asked) => void): void;
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
  readonly location: Location;
}
const worker = globalThis as unknown as Worker;
const NAME = `kangma pages ${VERSION}`;

worker.addEventListener("install", (event) => {
  const fresh = PAGES.map((path) => new Request(path, { cache: "reload", credentials: "omit" }));
  event.waitUntil(caches.open(NAME).then((kept) => kept.addAll(fresh)).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  const old = caches.keys().then((names) => Promise.all(names.filter((name) => name !== NAME).map((name) => caches.delete(name))));
  event.waitUntil(old.then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== worker.location.origin || !PAGES.includes(pathname)) return;
  event.respondWith(caches.match(pathname, { cacheName: NAME }).then((kept) => kept ?? fetch(request)));
});
