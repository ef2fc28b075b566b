/** The two formats that only GPT Image 2.6 makes (upstream-apis.md §2.2): animated GIF and SVG. */

export interface GifAsk {
  /** Pixels, at most 65,535. */
  width: number;
  height: number;
  frames: number;
  /** Rounded to the nearest 10 ms, as the vendor does [S]. */
  frameDurationMs: number;
  seed: number;
}

/** Frames of one colour each: the seed's and white in turn. */
export function gifPicture({ width, height, frames, frameDurationMs, seed }: GifAsk): Uint8Array {
  const words = (...values: number[]) => values.flatMap((value) => [value & 255, (value >> 8) & 255]);
  const palette = [255, 255, 255, (seed >> 16) & 255, (seed >> 8) & 255, seed & 255];
  const forever = [0x21, 0xff, 11, ...new TextEncoder().encode("NETSCAPE2.0"), 3, 1, 0, 0, 0];
  const parts: Uint8Array[] = [
    new TextEncoder().encode("GIF89a"),
    Uint8Array.of(...words(width, height), 0x80, 0, 0, ...palette, ...forever),
  ];
  for (let frame = 0; frame < frames; frame += 1) {
    const control = [0x21, 0xf9, 4, 0, ...words(Math.round(frameDurationMs / 10)), 0, 0];
    parts.push(Uint8Array.of(...control, 0x2c, ...words(0, 0, width, height), 0, 2));
    parts.push(oneColourLzw(width * height, (frame + 1) & 1), Uint8Array.of(0));
  }
  parts.push(Uint8Array.of(0x3b));
  return new Uint8Array(Buffer.concat(parts));
}

const CLEAR = 4;
const END = 5;

/** LZW of `count` equal pixels: every code is the one just defined, so each stands for one pixel more than the last. */
function oneColourLzw(count: number, colour: number): Uint8Array {
  const bytes: number[] = [];
  let held = 0;
  let heldBits = 0;
  let width = 3;
  const write = (code: number) => {
    held |= code << heldBits;
    heldBits += width;
    for (; heldBits >= 8; heldBits -= 8, held >>>= 8) bytes.push(held & 255);
  };
  let left = count;
  while (left > 0) {
    width = 3;
    write(CLEAR);
    write(colour);
    left -= 1;
    // The first code after a clear defines nothing; each further one defines `next`.
    for (let next = END + 1, length = 2; left > 0 && next < 4095; next += 1, length += 1) {
      const fits = left >= length; // never again once it is false: the rest are single pixels
      write(fits ? next : colour);
      left -= fits ? length : 1;
      if (next + 1 >= 1 << width && width < 12) width += 1;
    }
  }
  write(END);
  if (heldBits > 0) bytes.push(held & 255);
  const blocks: number[] = [];
  for (let at = 0; at < bytes.length; at += 255) {
    const block = bytes.slice(at, at + 255);
    blocks.push(block.length, ...block);
  }
  return Uint8Array.from(blocks);
}

export function svgPicture(width: number, height: number, seed: number): Uint8Array {
  const colour = `#${(seed & 0xffffff).toString(16).padStart(6, "0")}`;
  const shape = `<rect width="${width}" height="${height}" fill="${colour}"/>`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`;
  return new TextEncoder().encode(`${head}${shape}</svg>`);
}
