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

/**
 * A JSON number of US dollars, as it was written → nano-dollars, exactly; null when it has more than nine decimals.
 * The text and not the number: by then `0.12345678901234567890` has been rounded. Its size must have been checked.
 */
export function parseJsonUsd(literal: string): Nanos | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(literal);
  if (match === null) throw new Error(`expected a JSON number, got '${literal}'`);
  const [, sign, whole = "0", fraction = "", exponent = "0"] = match;
  const digits = (whole + fraction).replace(/^0+/, "").replace(/0+$/, "");
  if (digits === "") return 0n;
  const zerosCut = (whole + fraction).length - (whole + fraction).replace(/0+$/, "").length;
  // How many zeros the digits need to be nano-dollars; fewer than none means a tenth decimal.
  const zeros = Number(exponent) - fraction.length + zerosCut + 9;
  if (zeros < 0) return null;
  const nanos = BigInt(digits) * 10n ** BigInt(zeros);
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
