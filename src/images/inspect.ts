/** Reads type and dimensions of a picture from its first bytes: PNG, JPEG, WebP, GIF, SVG. */
import { inspectSvg } from "./svg.ts";

export interface PictureFacts {
  contentType: "image/png" | "image/jpeg" | "image/webp" | "image/gif" | "image/svg+xml";
  width: number;
  height: number;
}

/**
 * @param head the first bytes of the file, as many as have arrived
 * @returns the facts; "more" when the bytes so far do not tell yet; null when this is not a picture we know
 */
export function inspect(head: Uint8Array): PictureFacts | "more" | null {
  if (head.length < 12) return "more";
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0) === 0x89504e47 && view.getUint32(4) === 0x0d0a1a0a) return inspectPng(view);
  if (view.getUint16(0) === 0xffd8) return inspectJpeg(view);
  if (view.getUint32(0) === 0x52494646 && view.getUint32(8) === 0x57454250) return inspectWebp(view);
  if (view.getUint32(0) === 0x47494638) return facts("image/gif", view.getUint16(6, true), view.getUint16(8, true));
  return inspectText(head);
}

/** A drawing begins with markup: after a byte order mark or white space, if any. */
function inspectText(head: Uint8Array): PictureFacts | "more" | null {
  const begins = head[0] === 0xef && head[1] === 0xbb && head[2] === 0xbf ? 3 : 0;
  const first = head.subarray(begins).find((byte) => byte > 0x20);
  if (first !== undefined && first !== 0x3c) return null;
  const size = inspectSvg(head);
  return size === null || size === "more" ? size : { contentType: "image/svg+xml", ...size };
}

function facts(contentType: PictureFacts["contentType"], width: number, height: number): PictureFacts | null {
  return width > 0 && height > 0 ? { contentType, width, height } : null;
}

function inspectPng(view: DataView) {
  if (view.byteLength < 24) return "more";
  // The first chunk is always IHDR: length, name, width, height.
  return view.getUint32(12) === 0x49484452 ? facts("image/png", view.getUint32(16), view.getUint32(20)) : null;
}

function inspectJpeg(view: DataView) {
  // Segments follow one another; the frame header (SOF0–SOF15 without DHT, JPG, DAC) carries the dimensions.
  let at = 2;
  while (at + 4 <= view.byteLength) {
    if (view.getUint8(at) !== 0xff) return null;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) {
      at += 1; // fill byte
      continue;
    }
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2; // no length
      continue;
    }
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (at + 9 > view.byteLength) return "more";
      return facts("image/jpeg", view.getUint16(at + 7), view.getUint16(at + 5));
    }
    at += 2 + view.getUint16(at + 2);
  }
  return "more";
}

function inspectWebp(view: DataView) {
  if (view.byteLength < 30) return "more";
  const uint24 = (at: number) => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
  switch (view.getUint32(12)) {
    case 0x56503820: // "VP8 ": lossy, behind a start code
      if (view.getUint16(23) !== 0x9d01 || view.getUint8(25) !== 0x2a) return null;
      return facts("image/webp", view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff);
    case 0x5650384c: {
      // "VP8L": lossless, behind a signature, 14 bits each
      if (view.getUint8(20) !== 0x2f) return null;
      const bits = view.getUint32(21, true);
      return facts("image/webp", (bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1);
    }
    case 0x56503858: // "VP8X": extended, 24 bits each
      return facts("image/webp", uint24(24) + 1, uint24(27) + 1);
    default:
      return null;
  }
}
