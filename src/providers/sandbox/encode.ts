import { crc32 } from "node:zlib";
import type { Canvas } from "./canvas.ts";

export type RasterFormat = "png" | "jpeg" | "webp";

/** The canvas as a file. Measured in bench/sandbox-picture.ts. */
export function encodePicture(canvas: Canvas, format: RasterFormat): Promise<Uint8Array> | Uint8Array {
  if (format === "png") return encodePng(canvas);
  const image = new Bun.Image(asBitmap(canvas));
  return format === "jpeg" ? image.jpeg({ quality: 90 }).bytes() : image.webp({ quality: 82 }).bytes();
}

/**
 * A PNG of our own: one filter for all rows and libdeflate take a fifth of the time of Bun.Image's encoder, whose choice of
 * a filter for every row gains nothing on pictures that are mostly vertical gradients. And libdeflate finds the same
 * matches on every processor, which the vectorised hashing of today's zlib builds does not promise.
 */
function encodePng({ width, height, pixels }: Canvas): Uint8Array {
  const stride = width * 3;
  const filtered = new Uint8Array(height * (stride + 1));
  filtered.set(pixels.subarray(0, stride), 1);
  for (let y = 1; y < height; y++) {
    let to = y * (stride + 1);
    filtered[to++] = 2; // "up": the difference to the row above
    const start = y * stride;
    for (let i = start; i < start + stride; i++) filtered[to++] = (pixels[i] ?? 0) - (pixels[i - stride] ?? 0);
  }
  const deflated = Bun.deflateSync(filtered, { library: "libdeflate", level: 3 });
  const data = new Uint8Array(deflated.length + 6);
  data.set([0x78, 0x5e]);
  data.set(deflated, 2);
  new DataView(data.buffer).setUint32(data.length - 4, Bun.hash.adler32(filtered));

  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 2, 0, 0, 0], 8); // 8 bits a channel, red green blue, no interlacing
  const signature = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk("IHDR", header), chunk("IDAT", data), chunk("IEND", new Uint8Array(0))]);
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = type.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(data.length + 8, crc32(bytes.subarray(4, data.length + 8)));
  return bytes;
}

/** Bun.Image takes files only; a BMP is the cheapest file there is. */
function asBitmap({ width, height, pixels }: Canvas): Uint8Array {
  const stride = (width * 3 + 3) & ~3;
  const bytes = new Uint8Array(54 + stride * height);
  const view = new DataView(bytes.buffer);
  bytes.set([0x42, 0x4d]);
  view.setUint32(2, bytes.length, true);
  view.setUint32(10, 54, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true); // negative: from the top down
  view.setUint16(26, 1, true);
  view.setUint16(28, 24, true);
  let from = 0;
  for (let y = 0; y < height; y++) {
    let to = 54 + y * stride;
    for (let x = 0; x < width; x++) {
      bytes[to++] = pixels[from + 2] ?? 0;
      bytes[to++] = pixels[from + 1] ?? 0;
      bytes[to++] = pixels[from] ?? 0;
      from += 3;
    }
  }
  return bytes;
}
