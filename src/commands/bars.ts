const eighths = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/** A bar of up to `width` columns, exact to an eighth of one; anything above nothing is seen. */
export function drawBar(value: bigint, largest: bigint, width: number): string {
  if (value <= 0n || largest <= 0n) return "";
  const parts = Number((value * BigInt(width * 8)) / largest) || 1;
  return "█".repeat(Math.floor(parts / 8)) + eighths[parts % 8];
}
