/**
 * Money is an integer number of USD nano-dollars, never a float: sums and comparisons are exact, and a limit means what it says.
 */

/** USD nano-dollars: 1 USD = 1_000_000_000n. */
export type Nanos = bigint;

const nanosPerUsd = 1_000_000_000n;

/** Decimal string of US dollars → nano-dollars, exactly. Throws for anything else, and for more than nine decimals. */
export function parseUsd(text: string): Nanos {
  const match = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) throw new Error(`expected US dollars as a decimal string with at most 9 decimals, got '${text}'`);
  const [, sign, whole = "0", fraction = ""] = match;
  const nanos = BigInt(whole) * nanosPerUsd + BigInt(fraction.padEnd(9, "0"));
  return sign === "-" ? -nanos : nanos;
}

/** Nano-dollars → the shortest decimal string of US dollars: `"0.04"`, `"0"`, `"-1.5"`; never an exponent. */
export function formatUsd(nanos: Nanos): string {
  const absolute = nanos < 0n ? -nanos : nanos;
  const fraction = (absolute % nanosPerUsd).toString().padStart(9, "0").replace(/0+$/, "");
  const digits = `${absolute / nanosPerUsd}${fraction === "" ? "" : `.${fraction}`}`;
  return nanos < 0n ? `-${digits}` : digits;
}

/** Nano-dollars → the nearest JavaScript number of US dollars, for reports on the wire; never calculate with it. */
export function toUsdNumber(nanos: Nanos): number {
  return Number(formatUsd(nanos));
}
