import { type Canvas, paintRectangle } from "./canvas.ts";

/**
 * The canvas as a GIF, which Bun.Image cannot write. With several frames it is an animation: a bar at the foot grows frame by
 * frame (also on the canvas), and each frame holds only the piece that is new.
 */
export function encodeGif(canvas: Canvas, { frames, frameMs }: { frames: number; frameMs: number }): Uint8Array {
  const { width, height } = canvas;
  const word = (value: number) => [value & 255, value >> 8];
  // With a global palette of 256 colours.
  const parts: ArrayLike<number>[] = [ascii("GIF89a"), [...word(width), ...word(height), 0xf7, 0, 0], palette()];
  if (frames > 1) parts.push([0x21, 0xff, 11], ascii("NETSCAPE2.0"), [3, 1, 0, 0, 0]); // again and again
  const thickness = Math.min(height, Math.max(2, Math.round(height / 100)));
  for (let frame = 0; frame < frames; frame++) {
    const from = Math.floor((width * frame) / frames);
    const to = Math.floor((width * (frame + 1)) / frames);
    if (frames > 1) paintRectangle(canvas, from, height - thickness, to - from, thickness, [255, 255, 255], 0.85);
    const bar = { left: from, top: height - thickness, width: Math.max(1, to - from), height: thickness };
    const area = frame === 0 ? { left: 0, top: 0, width, height } : bar;
    // What was shown stays where nothing new is drawn; times are in hundredths of a second.
    parts.push([0x21, 0xf9, 4, 4, ...word(Math.round(frameMs / 10)), 0, 0]);
    parts.push([0x2c, ...word(area.left), ...word(area.top), ...word(area.width), ...word(area.height), 0]);
    parts.push(compress(colourIndexes(canvas, area)));
  }
  parts.push([0x3b]);
  return Buffer.concat(parts.map((part) => Uint8Array.from(part)));
}

const ascii = (text: string) => Buffer.from(text);

/** Six steps of red, green and blue: a colour's index is a number to the base of six. */
function palette(): Uint8Array {
  const colours = new Uint8Array(256 * 3);
  for (let index = 0; index < 6 ** 3; index++) {
    colours.set([Math.floor(index / 36) * 51, (Math.floor(index / 6) % 6) * 51, (index % 6) * 51], index * 3);
  }
  return colours;
}

/** Neighbours round at different thresholds, so that few colours make smooth skies. */
const THRESHOLDS = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5].map((step) => (step + 0.5) / 16);

function colourIndexes(
  { width, pixels }: Canvas,
  area: { left: number; top: number } & Omit<Canvas, "pixels">,
): Uint8Array {
  const indexes = new Uint8Array(area.width * area.height);
  let to = 0;
  for (let y = area.top; y < area.top + area.height; y++) {
    for (let x = area.left; x < area.left + area.width; x++) {
      const at = (y * width + x) * 3;
      const threshold = THRESHOLDS[(y & 3) * 4 + (x & 3)] ?? 0.5;
      const red = (((pixels[at] ?? 0) * 5) / 255 + threshold) | 0;
      const green = (((pixels[at + 1] ?? 0) * 5) / 255 + threshold) | 0;
      const blue = (((pixels[at + 2] ?? 0) * 5) / 255 + threshold) | 0;
      indexes[to++] = (red * 6 + green) * 6 + blue;
    }
  }
  return indexes;
}

const [CLEAR, END, MOST_CODES] = [256, 257, 4096];

/** GIF's LZW with codes of 9 to 12 bits, in blocks of up to 255 bytes. */
function compress(indexes: Uint8Array): Uint8Array {
  const blocks = new Uint8Array(16 + Math.ceil(indexes.length * 1.6));
  blocks[0] = 8;
  let length = 2; // of what is written, the current block's length byte included
  let blockStart = 1;
  let pending = 0;
  let pendingBits = 0;
  const writeByte = (byte: number) => {
    blocks[length++] = byte;
    if (length - blockStart - 1 < 255) return;
    blocks[blockStart] = 255;
    blockStart = length++;
  };
  const write = (code: number, bits: number) => {
    pending |= code << pendingBits;
    for (pendingBits += bits; pendingBits >= 8; pendingBits -= 8, pending >>>= 8) writeByte(pending & 255);
  };

  /** What string a known string and one more colour make: `following[string * 256 + colour]`; 0 for none. */
  const following = new Uint16Array(MOST_CODES * 256);
  let next = END + 1;
  let bits = 9;
  write(CLEAR, bits);
  let string = indexes[0] ?? 0;
  for (let i = 1; i < indexes.length; i++) {
    const colour = indexes[i] ?? 0;
    const longer = following[string * 256 + colour] ?? 0;
    if (longer !== 0) {
      string = longer;
      continue;
    }
    write(string, bits);
    if (next < MOST_CODES) {
      following[string * 256 + colour] = next;
      if (next++ === 1 << bits) bits++;
    } else {
      write(CLEAR, bits);
      following.fill(0);
      next = END + 1;
      bits = 9;
    }
    string = colour;
  }
  write(string, bits);
  // The reader makes one more string of this code, and may have begun to read longer ones.
  if (next === 1 << bits && bits < 12) bits++;
  write(END, bits);
  if (pendingBits > 0) writeByte(pending & 255);
  blocks[blockStart] = length - blockStart - 1;
  if (blocks[blockStart] !== 0) blocks[length++] = 0;
  return blocks.subarray(0, length);
}
