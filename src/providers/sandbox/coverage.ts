import type { Canvas } from "./canvas.ts";
import type { Contour } from "./font.ts";
import type { Colour } from "./palettes.ts";

/**
 * A mask of exact area coverage. Every edge adds the area it cuts off to its pixels' cells; a running sum along each row
 * then is the coverage (the method of font-rs). Overlapping contours of one direction stay filled.
 */
export type Mask = { left: number; top: number; width: number; height: number; cells: Float32Array };

/** A mask of whole pixels on the canvas. */
export function newMask(left: number, top: number, width: number, height: number): Mask {
  return { left, top, width, height, cells: new Float32Array((width + 2) * height) };
}

/** Adds closed contours: font units to pixels by `scale`, the origin at (x, y) on the canvas, y turned downwards. */
export function addContours(mask: Mask, contours: readonly Contour[], x: number, y: number, scale: number): void {
  const px = (value: number) => x + value * scale - mask.left;
  const py = (value: number) => y - value * scale - mask.top;
  for (const contour of contours) {
    const count = contour.length;
    const first = contour[0];
    const last = contour[count - 1];
    if (first === undefined || last === undefined || count < 2) continue;
    // TrueType: a curve's neighbouring control points imply a point on the curve between them.
    let fromX = first.onCurve ? px(first.x) : last.onCurve ? px(last.x) : px((first.x + last.x) / 2);
    let fromY = first.onCurve ? py(first.y) : last.onCurve ? py(last.y) : py((first.y + last.y) / 2);
    for (let i = first.onCurve ? 1 : 0; i < count + (first.onCurve ? 1 : 0); i++) {
      const point = contour[i % count] ?? first;
      if (point.onCurve) {
        addLine(mask, fromX, fromY, px(point.x), py(point.y));
        fromX = px(point.x);
        fromY = py(point.y);
        continue;
      }
      const next = contour[(i + 1) % count] ?? first;
      const toX = px(next.onCurve ? next.x : (point.x + next.x) / 2);
      const toY = py(next.onCurve ? next.y : (point.y + next.y) / 2);
      addCurve(mask, fromX, fromY, px(point.x), py(point.y), toX, toY);
      fromX = toX;
      fromY = toY;
      if (next.onCurve) i++;
    }
  }
}

function addCurve(mask: Mask, x0: number, y0: number, x1: number, y1: number, x2: number, y2: number): void {
  // The farther the control point is from the chord, the more lines.
  const bend = Math.abs(x0 - 2 * x1 + x2) + Math.abs(y0 - 2 * y1 + y2);
  const pieces = Math.min(24, 1 + Math.floor(Math.sqrt(bend * 1.5)));
  let fromX = x0;
  let fromY = y0;
  for (let i = 1; i <= pieces; i++) {
    const t = i / pieces;
    const s = 1 - t;
    const toX = s * s * x0 + 2 * s * t * x1 + t * t * x2;
    const toY = s * s * y0 + 2 * s * t * y1 + t * t * y2;
    addLine(mask, fromX, fromY, toX, toY);
    fromX = toX;
    fromY = toY;
  }
}

function addLine(mask: Mask, x0: number, y0: number, x1: number, y1: number): void {
  if (y0 === y1) return;
  const { width, height, cells } = mask;
  const stride = width + 2;
  const direction = y0 < y1 ? 1 : -1;
  const topX = direction === 1 ? x0 : x1;
  const topY = direction === 1 ? y0 : y1;
  const bottomY = direction === 1 ? y1 : y0;
  const slope = (x1 - x0) / (y1 - y0);
  const limit = (value: number) => Math.max(0, Math.min(width, value));
  let x = topX + (topY < 0 ? -topY * slope : 0);
  const lastRow = Math.min(height, Math.ceil(bottomY));
  for (let row = Math.max(0, Math.floor(topY)); row < lastRow; row++) {
    const tall = Math.min(row + 1, bottomY) - Math.max(row, topY);
    const nextX = x + slope * tall;
    const signed = direction * tall;
    const from = limit(Math.min(x, nextX));
    const to = limit(Math.max(x, nextX));
    const firstCell = Math.floor(from);
    const lastCell = Math.ceil(to);
    const at = row * stride + firstCell;
    if (lastCell <= firstCell + 1) {
      // Within one column of pixels: the mean distance to its right edge is the area.
      const share = (from + to) / 2 - firstCell;
      cells[at] = (cells[at] ?? 0) + signed * (1 - share);
      cells[at + 1] = (cells[at + 1] ?? 0) + signed * share;
    } else {
      const perCell = 1 / (to - from);
      const start = from - firstCell;
      const first = 0.5 * perCell * (1 - start) * (1 - start);
      const rest = to - lastCell + 1;
      const last = 0.5 * perCell * rest * rest;
      cells[at] = (cells[at] ?? 0) + signed * first;
      if (lastCell === firstCell + 2) {
        cells[at + 1] = (cells[at + 1] ?? 0) + signed * (1 - first - last);
      } else {
        const second = perCell * (1.5 - start);
        cells[at + 1] = (cells[at + 1] ?? 0) + signed * (second - first);
        for (let cell = firstCell + 2; cell < lastCell - 1; cell++) {
          const inner = row * stride + cell;
          cells[inner] = (cells[inner] ?? 0) + signed * perCell;
        }
        const soFar = second + (lastCell - firstCell - 3) * perCell;
        const beforeLast = row * stride + lastCell - 1;
        cells[beforeLast] = (cells[beforeLast] ?? 0) + signed * (1 - soFar - last);
      }
      const end = row * stride + lastCell;
      cells[end] = (cells[end] ?? 0) + signed * last;
    }
    x = nextX;
  }
}

/** Paints the mask in one colour. */
export function paintMask(canvas: Canvas, mask: Mask, colour: Colour, alpha: number): void {
  const { pixels, width } = canvas;
  for (let row = 0; row < mask.height; row++) {
    const y = mask.top + row;
    if (y < 0 || y >= canvas.height) continue;
    let sum = 0;
    for (let column = 0; column < mask.width; column++) {
      sum += mask.cells[row * (mask.width + 2) + column] ?? 0;
      const cover = Math.min(1, Math.abs(sum)) * alpha;
      const x = mask.left + column;
      if (cover < 0.004 || x < 0 || x >= width) continue;
      const at = (y * width + x) * 3;
      pixels[at] = (pixels[at] ?? 0) * (1 - cover) + colour[0] * cover + 0.5;
      pixels[at + 1] = (pixels[at + 1] ?? 0) * (1 - cover) + colour[1] * cover + 0.5;
      pixels[at + 2] = (pixels[at + 2] ?? 0) * (1 - cover) + colour[2] * cover + 0.5;
    }
  }
}
