/**
 * Seeded randomness and noise made of integer arithmetic and the four operations of IEEE 754 only. `Math.sin`, `Math.pow`
 * and their like may differ in the last bit from one platform to another, and the sandbox promises the same bytes everywhere.
 */

export type Random = {
  /** The next number in [0, 1). */
  next(): number;
  /** The next number in [low, high). */
  between(low: number, high: number): number;
  /** The next whole number in [0, count). */
  below(count: number): number;
  /** A 32-bit seed for a noise field of its own. */
  seed(): number;
};

/** A random sequence that depends on every character of `text`. */
export function randomFrom(text: string): Random {
  let [a, b, c, d] = hash128(text);
  const next32 = () => {
    // sfc32: small, quick and good enough for pictures.
    const sum = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let i = 0; i < 12; i++) next32();
  const next = () => next32() / 4294967296;
  return {
    next,
    between: (low, high) => low + (high - low) * next(),
    below: (count) => Math.floor(next() * count),
    seed: next32,
  };
}

/** One of `items`, which must not be empty. */
export function pick<T>(random: Random, items: readonly [T, ...T[]]): T {
  return items[random.below(items.length)] ?? items[0];
}

function hash128(text: string): [number, number, number, number] {
  let a = 0x9e3779b9;
  let b = 0x243f6a88;
  let c = 0xb7e15162;
  let d = 0xdeadbeef;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = b ^ Math.imul(a ^ unit, 597399067);
    b = c ^ Math.imul(b ^ unit, 2869860233);
    c = d ^ Math.imul(c ^ unit, 951274213);
    d = a ^ Math.imul(d ^ unit, 2716044179);
  }
  return [a | 0, b | 0, c | 0, d | 0];
}

function lattice(x: number, y: number, seed: number): number {
  let h = Math.imul(x, 0x27d4eb2d) ^ Math.imul(y, 0x165667b1) ^ seed;
  h = Math.imul(h ^ (h >>> 15), 0x2c1b3c6d);
  h = Math.imul(h ^ (h >>> 12), 0x297a2d39);
  return ((h ^ (h >>> 15)) >>> 0) / 4294967296;
}

/** Smooth value noise in [0, 1]. */
export function noise(x: number, y: number, seed: number): number {
  const x0 = Math.floor(x);
  const y0 = Math.floor(y);
  const u = ease(x - x0);
  const v = ease(y - y0);
  const top = mix(lattice(x0, y0, seed), lattice(x0 + 1, y0, seed), u);
  const bottom = mix(lattice(x0, y0 + 1, seed), lattice(x0 + 1, y0 + 1, seed), u);
  return mix(top, bottom, v);
}

/** Several octaves of noise, in [0, 1]; `roughness` is how much of each octave the next one keeps. */
export function fractal(x: number, y: number, seed: number, octaves: number, roughness = 0.5): number {
  let sum = 0;
  let weight = 1;
  let total = 0;
  for (let i = 0; i < octaves; i++) {
    sum += weight * noise(x, y, seed + i * 1013);
    total += weight;
    weight *= roughness;
    x *= 2.03;
    y *= 2.03;
  }
  return sum / total;
}

/** Like `fractal`, with sharp crests: the profile of a mountain range. */
export function ridged(x: number, seed: number, octaves: number): number {
  let sum = 0;
  let weight = 1;
  let total = 0;
  for (let i = 0; i < octaves; i++) {
    const fold = 1 - Math.abs(2 * noise(x, 0.5, seed + i * 1013) - 1);
    sum += weight * fold;
    total += weight;
    weight *= 0.48;
    x *= 2.07;
  }
  return sum / total;
}

export function mix(from: number, to: number, share: number): number {
  return from + (to - from) * share;
}

export function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}

/** 0 below `from`, 1 above `to`, a smooth step between. */
export function smoothstep(from: number, to: number, value: number): number {
  const t = clamp((value - from) / (to - from), 0, 1);
  return t * t * (3 - 2 * t);
}

function ease(t: number): number {
  return t * t * t * (t * (t * 6 - 15) + 10);
}
