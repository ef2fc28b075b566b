import { inflateSync } from "node:zlib";

/**
 * A reader of TrueType outlines, from TTF or WOFF files as their makers published them. It does what drawing needs and no
 * more: no hinting, no kerning, no shaping.
 */
export type Font = {
  unitsPerEm: number;
  /** The glyph of a code point; 0 when the font has none. */
  glyphOf(codePoint: number): number;
  /** In font units. */
  advanceOf(glyph: number): number;
  /** Closed contours in font units, y upwards. */
  contoursOf(glyph: number): Contour[];
};

export type Contour = { x: number; y: number; onCurve: boolean }[];

/** Reads a font file. Throws when a table that drawing needs is missing: the files are ours, so that is a fault of the build. */
export function readFont(file: Uint8Array): Font {
  const tables = readTables(file);
  const table = (tag: string): DataView => {
    const found = tables.get(tag);
    if (found === undefined) throw new Error(`font without a ${tag} table`);
    return found;
  };
  const head = table("head");
  const longOffsets = head.getInt16(50) === 1;
  const glyphs = table("maxp").getUint16(4);
  const loca = table("loca");
  const glyf = table("glyf");
  const hmtx = table("hmtx");
  const measured = table("hhea").getUint16(34);
  const offsetOf = (glyph: number) => (longOffsets ? loca.getUint32(glyph * 4) : loca.getUint16(glyph * 2) * 2);
  const outline = (glyph: number): DataView | undefined => {
    if (glyph < 0 || glyph >= glyphs) return undefined;
    const start = offsetOf(glyph);
    const end = offsetOf(glyph + 1);
    return end > start ? new DataView(glyf.buffer, glyf.byteOffset + start, end - start) : undefined;
  };
  return {
    unitsPerEm: head.getUint16(18),
    glyphOf: readCharacterMap(table("cmap")),
    advanceOf: (glyph) => hmtx.getUint16(Math.min(glyph, measured - 1) * 4),
    contoursOf: (glyph) => readGlyph(outline, glyph, 0),
  };
}

function readTables(file: Uint8Array): Map<string, DataView> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const tables = new Map<string, DataView>();
  const woff = tagAt(view, 0) === "wOFF";
  const count = view.getUint16(woff ? 12 : 4);
  for (let i = 0; i < count; i++) {
    const entry = woff ? 44 + i * 20 : 12 + i * 16;
    const offset = view.getUint32(entry + (woff ? 4 : 8));
    const stored = view.getUint32(entry + (woff ? 8 : 12));
    let bytes = file.subarray(offset, offset + stored);
    if (woff && stored < view.getUint32(entry + 12)) bytes = inflateSync(bytes);
    tables.set(tagAt(view, entry), new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  }
  return tables;
}

function tagAt(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

function readCharacterMap(cmap: DataView): (codePoint: number) => number {
  let best: { format: number; at: number } | undefined;
  for (let i = 0; i < cmap.getUint16(2); i++) {
    const at = cmap.getUint32(4 + i * 8 + 4);
    const format = cmap.getUint16(at);
    if ((format === 4 || format === 12) && format > (best?.format ?? 0)) best = { format, at };
  }
  if (best === undefined) throw new Error("font without a Unicode character map");
  const { at } = best;
  return best.format === 12 ? (code) => lookUpGroups(cmap, at, code) : (code) => lookUpSegments(cmap, at, code);
}

/** Format 12: groups of consecutive code points. */
function lookUpGroups(cmap: DataView, at: number, code: number): number {
  let low = 0;
  let high = cmap.getUint32(at + 12) - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const group = at + 16 + middle * 12;
    const start = cmap.getUint32(group);
    if (code < start) high = middle - 1;
    else if (code > cmap.getUint32(group + 4)) low = middle + 1;
    else return cmap.getUint32(group + 8) + code - start;
  }
  return 0;
}

/** Format 4: segments of the first 65,536 code points. */
function lookUpSegments(cmap: DataView, at: number, code: number): number {
  if (code > 0xffff) return 0;
  const segments = cmap.getUint16(at + 6) / 2;
  const ends = at + 14;
  let low = 0;
  let high = segments - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (cmap.getUint16(ends + middle * 2) < code) low = middle + 1;
    else high = middle;
  }
  const start = cmap.getUint16(ends + 2 + segments * 2 + low * 2);
  if (code < start || code > cmap.getUint16(ends + low * 2)) return 0;
  const delta = cmap.getUint16(ends + 2 + segments * 4 + low * 2);
  const rangeAt = ends + 2 + segments * 6 + low * 2;
  const range = cmap.getUint16(rangeAt);
  if (range === 0) return (code + delta) & 0xffff;
  const glyph = cmap.getUint16(rangeAt + range + (code - start) * 2);
  return glyph === 0 ? 0 : (glyph + delta) & 0xffff;
}

function readGlyph(outline: (glyph: number) => DataView | undefined, glyph: number, depth: number): Contour[] {
  const view = outline(glyph);
  // Fonts nest composites two or three deep; a deeper one is a loop.
  if (view === undefined || depth > 5) return [];
  const count = view.getInt16(0);
  return count >= 0 ? readSimple(view, count) : readComposite(outline, view, depth);
}

function readSimple(view: DataView, count: number): Contour[] {
  const ends = Array.from({ length: count }, (_, i) => view.getUint16(10 + i * 2));
  const points = (ends.at(-1) ?? -1) + 1;
  let at = 10 + count * 2;
  at += 2 + view.getUint16(at);
  const flags: number[] = [];
  while (flags.length < points) {
    const flag = view.getUint8(at++);
    flags.push(flag);
    if (flag & 8) for (let repeat = view.getUint8(at++); repeat > 0; repeat--) flags.push(flag);
  }
  const coordinates = (short: number, same: number): number[] => {
    let value = 0;
    return flags.slice(0, points).map((flag) => {
      if (flag & short) value += flag & same ? view.getUint8(at++) : -view.getUint8(at++);
      else if (!(flag & same)) {
        value += view.getInt16(at);
        at += 2;
      }
      return value;
    });
  };
  const xs = coordinates(2, 16);
  const ys = coordinates(4, 32);
  let start = 0;
  return ends.map((end) => {
    const contour: Contour = [];
    for (let i = start; i <= end; i++) {
      contour.push({ x: xs[i] ?? 0, y: ys[i] ?? 0, onCurve: ((flags[i] ?? 0) & 1) === 1 });
    }
    start = end + 1;
    return contour;
  });
}

function readComposite(outline: (glyph: number) => DataView | undefined, view: DataView, depth: number): Contour[] {
  const contours: Contour[] = [];
  const scaled = (at: number) => view.getInt16(at) / 16384;
  let at = 10;
  let flags = 0;
  do {
    flags = view.getUint16(at);
    const part = view.getUint16(at + 2);
    at += 4;
    const words = (flags & 1) !== 0;
    // Bit 1: the arguments are a distance; point matching is not used by our fonts.
    const dx = flags & 2 ? (words ? view.getInt16(at) : view.getInt8(at)) : 0;
    const dy = flags & 2 ? (words ? view.getInt16(at + 2) : view.getInt8(at + 1)) : 0;
    at += words ? 4 : 2;
    let [a, b, c, d] = [1, 0, 0, 1];
    if (flags & 8) {
      a = d = scaled(at);
      at += 2;
    } else if (flags & 0x40) {
      [a, d] = [scaled(at), scaled(at + 2)];
      at += 4;
    } else if (flags & 0x80) {
      [a, b, c, d] = [scaled(at), scaled(at + 2), scaled(at + 4), scaled(at + 6)];
      at += 8;
    }
    for (const contour of readGlyph(outline, part, depth + 1)) {
      contours.push(contour.map(({ x, y, onCurve }) => ({ x: a * x + c * y + dx, y: b * x + d * y + dy, onCurve })));
    }
  } while (flags & 0x20);
  return contours;
}
