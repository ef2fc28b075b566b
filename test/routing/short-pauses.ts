import type { Parts } from "../../src/parts.ts";

/** Pauses before calls that are made again are as short as chance can make them: `startRouter({ opened: withoutJitter })`. */
export function withoutJitter(parts: Parts): void {
  const { random } = parts;
  parts.random = { bytes: (count) => (count === 2 ? new Uint8Array(2) : random.bytes(count)) };
}
