// The page keeps itself on the device: /sw.js, which answers for the pages and for nothing else.

export function worker(): void {
  const workers = (navigator as { serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  // Where there is none (private windows, plain http) the page works while it is open.
  void workers?.register("/sw.js").catch(() => undefined);
}
