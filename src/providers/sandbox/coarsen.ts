import { type Canvas, newCanvas } from "./canvas.ts";

/** The canvas as a mosaic of squares, each in the mean colour of what it covers. A new canvas; the given one stays as it is. */
export function coarsen({ width, height, pixels }: Canvas, side: number): Canvas {
  const coarse = newCanvas(width, height);
  const columns = Math.ceil(width / side);
  for (let top = 0; top < height; top += side) {
    const bottom = Math.min(height, top + side);
    const sums = new Float64Array(columns * 3);
    for (let y = top; y < bottom; y++) {
      let at = y * width * 3;
      for (let x = 0; x < width; x++) {
        const to = Math.floor(x / side) * 3;
        sums[to] = (sums[to] ?? 0) + (pixels[at++] ?? 0);
        sums[to + 1] = (sums[to + 1] ?? 0) + (pixels[at++] ?? 0);
        sums[to + 2] = (sums[to + 2] ?? 0) + (pixels[at++] ?? 0);
      }
    }
    const row = coarse.pixels.subarray(top * width * 3, (top + 1) * width * 3);
    for (let x = 0; x < width; x++) {
      const column = Math.floor(x / side);
      const covered = (Math.min(width, (column + 1) * side) - column * side) * (bottom - top);
      for (let channel = 0; channel < 3; channel++) {
        row[x * 3 + channel] = (sums[column * 3 + channel] ?? 0) / covered + 0.5;
      }
    }
    for (let y = top + 1; y < bottom; y++)
      coarse.pixels.copyWithin(y * width * 3, top * width * 3, (top + 1) * width * 3);
  }
  return coarse;
}
