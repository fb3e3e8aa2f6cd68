// Reed–Solomon over GF(2^8) with the polynomial of QR codes, x^8 + x^4 + x^3 + x^2 + 1 (ISO/IEC 18004, 7.5.2).

const EXP = new Uint8Array(510);
const LOG = new Uint8Array(256);
for (let n = 0, value = 1; n < 255; n++) {
  EXP[n] = EXP[n + 255] = value;
  LOG[value] = n;
  value = value < 128 ? value << 1 : (value << 1) ^ 0x11d;
}

const power = (n: number): number => EXP[n % 255] as number;
const times = (a: number, b: number): number => (a === 0 || b === 0 ? 0 : (EXP[(LOG[a] as number) + (LOG[b] as number)] as number));
const over = (a: number, b: number): number => (a === 0 ? 0 : (EXP[(LOG[a] as number) + 255 - (LOG[b] as number)] as number));

/** The value at `x` of a polynomial, its lowest coefficient first. */
function at(polynomial: ArrayLike<number>, x: number): number {
  let value = 0;
  for (let n = polynomial.length - 1; n >= 0; n--) value = times(value, x) ^ (polynomial[n] as number);
  return value;
}

/** The `count` codewords that are appended to `data`. */
export function checkOf(data: Uint8Array, count: number): Uint8Array {
  // The generator, highest coefficient (1) left out, the next one first.
  const generator = new Uint8Array(count);
  generator[count - 1] = 1;
  for (let n = 0; n < count; n++) {
    for (let k = 0; k < count; k++) {
      generator[k] = times(generator[k] as number, power(n)) ^ (k + 1 < count ? (generator[k + 1] as number) : 0);
    }
  }
  const rest = new Uint8Array(count);
  for (const byte of data) {
    const factor = byte ^ (rest[0] as number);
    rest.copyWithin(0, 1);
    rest[count - 1] = 0;
    for (let k = 0; k < count; k++) rest[k] = (rest[k] as number) ^ times(generator[k] as number, factor);
  }
  return rest;
}

/** Corrects up to ⌊count / 2⌋ wrong codewords of `block` in place, its last `count` being the check; false where there
 * are more. (Berlekamp and Massey find where, Forney what.) */
export function correct(block: Uint8Array, count: number): boolean {
  const syndromes = new Uint8Array(count);
  const reversed = Uint8Array.from(block).reverse();
  for (let n = 0; n < count; n++) syndromes[n] = at(reversed, power(n));
  if (syndromes.every((one) => one === 0)) return true;

  let locator = [1];
  let before = [1];
  let errors = 0;
  let since = 1;
  let scale = 1;
  for (let n = 0; n < count; n++) {
    let gap = 0;
    for (let k = 0; k <= errors; k++) gap ^= times(locator[k] ?? 0, syndromes[n - k] ?? 0);
    if (gap === 0) {
      since++;
      continue;
    }
    const kept = locator;
    const factor = over(gap, scale);
    locator = Array.from({ length: Math.max(kept.length, before.length + since) }, (_, k) => (kept[k] ?? 0) ^ times(factor, before[k - since] ?? 0));
    if (2 * errors > n) {
      since++;
      continue;
    }
    errors = n + 1 - errors;
    before = kept;
    scale = gap;
    since = 1;
  }
  if (2 * errors > count) return false;

  const evaluator = Array.from({ length: count }, (_, n) => {
    let sum = 0;
    for (let k = 0; k <= n; k++) sum ^= times(syndromes[k] as number, locator[n - k] ?? 0);
    return sum;
  });
  const slope = locator.map((_, n) => (n % 2 === 0 ? (locator[n + 1] ?? 0) : 0));
  let found = 0;
  for (let place = 0; place < block.length; place++) {
    const inverse = power(255 - (place % 255));
    if (at(locator, inverse) !== 0) continue;
    const bottom = at(slope, inverse);
    if (bottom === 0) return false;
    const where = block.length - 1 - place;
    // The generator's first root is 2^0, so that Forney's formula has one factor X more.
    block[where] = (block[where] as number) ^ times(power(place), over(at(evaluator, inverse), bottom));
    found++;
  }
  return found === errors;
}
