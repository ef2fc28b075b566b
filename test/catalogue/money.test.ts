import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatUsd, parseUsd, toUsdNumber } from "../../src/money.ts";

describe("money", () => {
  test.each([
    ["0", 0n, "0"],
    ["0.000", 0n, "0"],
    ["-0", 0n, "0"],
    ["0.040", 40_000_000n, "0.04"],
    ["0.065", 65_000_000n, "0.065"],
    ["0.000000001", 1n, "0.000000001"],
    ["1", 1_000_000_000n, "1"],
    ["10", 10_000_000_000n, "10"],
    ["-1.50", -1_500_000_000n, "-1.5"],
    ["-0.000000001", -1n, "-0.000000001"],
    ["123456789012345678901.123456789", 123456789012345678901123456789n, "123456789012345678901.123456789"],
  ])("%s is %d nanos, written %s", (text, nanos, written) => {
    expect(parseUsd(text)).toBe(nanos);
    expect(formatUsd(nanos)).toBe(written);
  });

  test.each(["", ".", "1.", ".5", "0.0000000001", "1e-3", "+1", " 1", "1 ", "1,5", "0x10", "NaN", "--1", "1.2.3", "١"])(
    "refuses %j",
    (text) => {
      expect(() => parseUsd(text)).toThrow("expected US dollars as a decimal string with at most 9 decimals");
    },
  );

  test("becomes the nearest number for reports", () => {
    expect(toUsdNumber(40_000_000n)).toBe(0.04);
    expect(toUsdNumber(1n)).toBe(1e-9);
    expect(toUsdNumber(-1_500_000_000n)).toBe(-1.5);
  });

  test("every amount survives the way there and back", () => {
    fc.assert(
      fc.property(fc.bigInt(), (nanos) => {
        const text = formatUsd(nanos);
        expect(text).toMatch(/^(0|-?\d+(\.\d{0,8}[1-9])?)$/);
        expect(parseUsd(text)).toBe(nanos);
      }),
    );
  });
});
