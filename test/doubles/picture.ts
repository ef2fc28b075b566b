/**
 * Pictures for the doubles: valid files of exact dimensions, made in well under a millisecond and tiny, because
 * every encoder here only has to write one colour. Hand-made rather than Bun.Image, whose encoders are
 * asynchronous and take a hundred milliseconds for an 8-megapixel picture.
 */
import { deflateSync } from "node:zlib";

export type PictureType = "png" | "jpeg" | "webp";

/** What OpenAI's 2.6 can make besides. */
export type OutputType = PictureType | "gif" | "svg";

export interface PictureAsk {
  /** Pixels, at least 1; at most 65,535 (jpeg) or 16,384 (webp). */
  width: number;
  height: number;
  /** Default png. */
  type?: PictureType;
  /** Decides the colour. Different seeds below 2^24 give different bytes in every type. Default 0. */
  seed?: number;
}

const cache = new Map<string, Uint8Array>();
const CACHE_ENTRIES = 512;

/** The same ask gives the same bytes (the very same array: do not write to it). */
export function picture(ask: PictureAsk): Uint8Array {
  const { width, height, type = "png", seed = 0 } = ask;
  const name = `${width}x${height} ${type} ${seed}`;
  const known = cache.get(name);
  if (known) return known;
  const made = make[type](width, height, seed);
  if (cache.size >= CACHE_ENTRIES) cache.clear();
  cache.set(name, made);
  return made;
}

const make: Record<PictureType, (width: number, height: number, seed: number) => Uint8Array> = {
  png: onePixelColourPng,
  jpeg: oneGreyJpeg,
  webp: oneColourWebp,
};

/** Multiplying by an odd number is a bijection on 24 bits, so neighbouring seeds get distant, distinct colours. */
function colourOf(seed: number): [red: number, green: number, blue: number] {
  const mixed = Number((BigInt(Math.trunc(seed)) * 0x9e3779b1n) & 0xffffffn);
  return [mixed >> 16, (mixed >> 8) & 255, mixed & 255];
}

const base64Cache = new WeakMap<Uint8Array, string>();

/** Base64 of a picture, computed once per picture: benchmarks ask for the same megabytes thousands of times. */
export function base64Of(bytes: Uint8Array): string {
  const known = base64Cache.get(bytes);
  if (known !== undefined) return known;
  const text = bytes.toBase64();
  base64Cache.set(bytes, text);
  return text;
}

/** The largest ask `incompressiblePng` can meet: 1024 x 1024 pixels of four random bytes. */
const RGBA_BYTES = 1024 * 1024 * 4;
const noiseCache = new Map<string, Uint8Array>();

/**
 * A valid 1024x1024 PNG of `bytesTarget` bytes, plus about 4 kB, that no compressor can shrink much: what a real
 * photograph weighs. The upper rows are noise, the rest is one colour, in the proportion the target asks for.
 */
export function incompressiblePng(bytesTarget = 1_400_000, seed = 1): Uint8Array {
  if (bytesTarget > RGBA_BYTES) throw new RangeError(`a 1024x1024 PNG of noise holds at most ${RGBA_BYTES} bytes`);
  const name = `${bytesTarget} ${seed}`;
  const known = noiseCache.get(name);
  if (known) return known;
  const rowBytes = 1 + 1024 * 4;
  const raw = new Uint8Array(rowBytes * 1024);
  let state = seed >>> 0 || 1;
  for (let index = 0; index < bytesTarget; index += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    // The first byte of a row is its filter, not a pixel: 0 means "none".
    if (index % rowBytes !== 0) raw[index] = state & 255;
  }
  const header = pngHeader(1024, 1024, 8, 6);
  const made = joined([PNG_SIGNATURE, header, chunk("IDAT", deflateSync(raw)), chunk("IEND")]);
  noiseCache.set(name, made);
  return made;
}

const PNG_SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** One bit per pixel, a palette of one colour: 131 kB of zeros to deflate for a megapixel, instead of 3 MB. */
function onePixelColourPng(width: number, height: number, seed: number): Uint8Array {
  const raw = new Uint8Array((1 + Math.ceil(width / 8)) * height);
  return joined([
    PNG_SIGNATURE,
    pngHeader(width, height, 1, 3),
    chunk("PLTE", Uint8Array.from(colourOf(seed))),
    chunk("tEXt", new TextEncoder().encode(`Comment\0seed ${seed}`)),
    chunk("IDAT", deflateSync(raw, { level: 1 })),
    chunk("IEND"),
  ]);
}

const clearCache = new Map<string, Uint8Array>();

/** An RGBA picture that is transparent everywhere: what a mask for edits is. */
export function clearPng(width: number, height: number): Uint8Array {
  const name = `${width}x${height}`;
  const known = clearCache.get(name);
  if (known) return known;
  const pixels = deflateSync(new Uint8Array((1 + width * 4) * height), { level: 1 });
  const made = joined([PNG_SIGNATURE, pngHeader(width, height, 8, 6), chunk("IDAT", pixels), chunk("IEND")]);
  clearCache.set(name, made);
  return made;
}

function pngHeader(width: number, height: number, bitDepth: number, colourType: number): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([bitDepth, colourType, 0, 0, 0], 8);
  return chunk("IHDR", header);
}

function chunk(name: string, data: Uint8Array = new Uint8Array()): Uint8Array {
  const made = new Uint8Array(12 + data.length);
  const view = new DataView(made.buffer);
  view.setUint32(0, data.length);
  made.set(new TextEncoder().encode(name), 4);
  made.set(data, 8);
  view.setUint32(8 + data.length, Bun.hash.crc32(made.subarray(4, 8 + data.length)));
  return made;
}

/**
 * A baseline greyscale JPEG. Our own Huffman tables give "no change" and "end of block" one zero bit each, so after
 * the first block every block is two zero bits.
 */
function oneGreyJpeg(width: number, height: number, seed: number): Uint8Array {
  const blocks = Math.ceil(width / 8) * Math.ceil(height / 8);
  // A DC coefficient of 0..127 with a quantiser of 8 moves the grey up from the middle by up to 127 levels.
  const level = colourOf(seed)[0] >> 1;
  const bitsOfLevel = level === 0 ? 0 : 32 - Math.clz32(level);
  // DC code: category 0 is `0`, category k (1 to 7) is `1` and three bits of k - 1; the all-ones code stays unused.
  const first = bitsOfLevel === 0 ? "0" : `1${(bitsOfLevel - 1).toString(2).padStart(3, "0")}${level.toString(2)}`;
  const bitCount = first.length + 1 + (blocks - 1) * 2;
  const scan = new Uint8Array(Math.ceil(bitCount / 8));
  for (const [index, bit] of [...first].entries()) {
    if (bit === "1") scan[index >> 3] = (scan[index >> 3] ?? 0) | (128 >> (index & 7));
  }
  const comment = new TextEncoder().encode(`seed ${seed}`);
  return joined([
    Uint8Array.of(0xff, 0xd8),
    segment(0xe0, Uint8Array.of(0x4a, 0x46, 0x49, 0x46, 0, 1, 1, 0, 0, 1, 0, 1, 0, 0)),
    segment(0xfe, comment),
    segment(0xdb, Uint8Array.of(0, ...new Uint8Array(64).fill(8))),
    segment(0xc0, Uint8Array.of(8, height >> 8, height & 255, width >> 8, width & 255, 1, 1, 0x11, 0)),
    segment(0xc4, Uint8Array.of(0x00, 1, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7)),
    segment(0xc4, Uint8Array.of(0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)),
    segment(0xda, Uint8Array.of(1, 1, 0x00, 0, 63, 0)),
    scan,
    Uint8Array.of(0xff, 0xd9),
  ]);
}

function segment(marker: number, data: Uint8Array): Uint8Array {
  const length = data.length + 2;
  return joined([Uint8Array.of(0xff, marker, length >> 8, length & 255), data]);
}

/** A lossless WebP whose five prefix codes hold one symbol each: such a picture spends no bit on any pixel. */
function oneColourWebp(width: number, height: number, seed: number): Uint8Array {
  const [red, green, blue] = colourOf(seed);
  const bits: number[] = [];
  const write = (value: number, count: number) => {
    for (let index = 0; index < count; index += 1) bits.push((value >> index) & 1);
  };
  write(width - 1, 14);
  write(height - 1, 14);
  write(0, 1); // no alpha
  write(0, 3); // version
  write(0, 3); // no transform, no colour cache, no meta prefix codes
  for (const symbol of [green, red, blue, 255, 0]) {
    write(0b101, 3); // simple code, one symbol, eight bits wide
    write(symbol, 8);
  }
  const packed = new Uint8Array(1 + Math.ceil(bits.length / 8));
  packed[0] = 0x2f;
  for (const [index, bit] of bits.entries())
    packed[1 + (index >> 3)] = (packed[1 + (index >> 3)] ?? 0) | (bit << (index & 7));
  const padded = packed.length + (packed.length & 1);
  const made = new Uint8Array(20 + padded);
  const view = new DataView(made.buffer);
  made.set(new TextEncoder().encode("RIFF"), 0);
  view.setUint32(4, 12 + padded, true);
  made.set(new TextEncoder().encode("WEBPVP8L"), 8);
  view.setUint32(16, packed.length, true);
  made.set(packed, 20);
  return made;
}

function joined(parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
