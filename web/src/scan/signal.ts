// What a verdict sounds and feels like: soft, short, different for each, and never an alarm. Yellow and red sound alike.

export type Sign = "pass" | "wait" | "unknown";

const TONES: Record<Sign, readonly (readonly [hertz: number, from: number, seconds: number])[]> = {
  pass: [[880, 0, 0.14]],
  wait: [
    [494, 0, 0.13],
    [494, 0.22, 0.13],
  ],
  unknown: [[330, 0, 0.28]],
};
const SHAKES: Record<Sign, number[]> = { pass: [40], wait: [60, 90, 60], unknown: [160] };

let sound: AudioContext | undefined;

/** Browsers let a page sound only after somebody has pressed something: to be called then. */
export function mayNowSound(): void {
  try {
    sound ??= new AudioContext();
    void sound.resume();
  } catch {
    // No sound here: words, shape and colour say it.
  }
}

export function signal(sign: Sign, loud: boolean): void {
  if ("vibrate" in navigator) navigator.vibrate(SHAKES[sign]);
  if (!loud || sound?.state !== "running") return;
  for (const [hertz, from, seconds] of TONES[sign]) {
    const begin = sound.currentTime + from;
    const [tone, volume] = [sound.createOscillator(), sound.createGain()];
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0, begin);
    volume.gain.linearRampToValueAtTime(0.25, begin + 0.02);
    volume.gain.linearRampToValueAtTime(0, begin + seconds);
    tone.connect(volume).connect(sound.destination);
    tone.start(begin);
    tone.stop(begin + seconds);
  }
}
