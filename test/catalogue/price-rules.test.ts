/** Prices by tokens, by megapixels, by what the provider reports, and from a day on. */

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Delivered, quote, type Route, type RoutePrice } from "../../src/catalogue/index.ts";
import { type Body, check, delivered, edit, flux, picture, quoteOf, route, today, usd } from "./support.ts";

const gpt2 = "openai/gpt-image-2";
const gpt15 = "openai/gpt-image-1.5";
const gpt25 = "openai/gpt-image-2.5-sunburst";
const gpt26 = "openai/gpt-image-2.6-flare";
const flux2 = "black-forest-labs/flux-2-pro";
const schnell = "black-forest-labs/flux-1-schnell";
const square = { width: 1024, height: 1024 };
/** "a lighthouse" is 12 bytes, and 64 tokens are around it: at $5 a million. */
const text = 76n * 5_000n;

/** Of one image: tokens out at $30 a million for gpt-image-2 and later, $32 for 1.5. */
describe("the quote by tokens", () => {
  test.each<[string, Body, bigint]>([
    [gpt2, { quality: "low", size: "1024x1024" }, 196n * 30_000n],
    [gpt2, { quality: "medium", size: "1024x1024" }, 1756n * 30_000n],
    [gpt2, { quality: "high", size: "1024x1024" }, 7024n * 30_000n],
    // Fewer pixels than the table's are not fewer tokens for certain.
    [gpt2, { quality: "low", size: "1024x640" }, 196n * 30_000n],
    // 1536 x 1024 is one and a half times the table's pixels, 3840 x 2160 is 7.91 times.
    [gpt2, { quality: "low", size: "1536x1024" }, 294n * 30_000n],
    [gpt2, { quality: "low", size: "3840x2160" }, 1551n * 30_000n],
    // auto is high, and 1,572,864 pixels.
    [gpt2, {}, 10536n * 30_000n],
    [gpt2, { quality: "auto", size: "auto" }, 10536n * 30_000n],
    [gpt2, { quality: "low", size: "1024x1024", stream: true }, 196n * 30_000n],
    [gpt2, { quality: "low", size: "1024x1024", stream: true, partial_images: 3 }, 496n * 30_000n],
    // Text out at $10 a million: a thousand tokens at most.
    [gpt15, { quality: "high", size: "1024x1536" }, 6240n * 32_000n + 1000n * 10_000n],
    [gpt25, { quality: "max", size: "1024x1024" }, 56192n * 30_000n],
    [gpt25, { quality: "auto", size: "1024x1024" }, 14048n * 30_000n],
    // A gif of nine frames, and of two.
    [gpt26, { quality: "low", size: "1024x1024", output_format: "gif" }, 9n * 392n * 30_000n],
    [gpt26, { quality: "low", size: "1024x1024", output_format: "gif", frame_count: 2 }, 2n * 392n * 30_000n],
  ])("%s %j", (id, extra, output) => {
    const quoted = quoteOf(route(id), check(id, extra));
    expect(quoted.totalNanos).toBe(text + output);
  });

  test("each given picture counts, the mask too", () => {
    const of = (given: ReturnType<typeof edit>) =>
      quoteOf(route(gpt2), check(gpt2, { quality: "low", size: "1024x1024" }, given)).totalNanos;
    const one = text + 196n * 30_000n + 16384n * 8_000n;
    expect(of(edit(1))).toBe(one);
    expect(of(edit(3))).toBe(one + 2n * 16384n * 8_000n);
    expect(of(edit(1, { mask: picture() }))).toBe(one + 16384n * 8_000n);
  });

  test("a prompt counts by its bytes", () => {
    const of = (prompt: string) => quoteOf(route(gpt2), check(gpt2, { prompt })).totalNanos;
    expect(of("漢字") - of("x")).toBe(5n * 5_000n);
  });

  test("n images cost n times one", () => {
    const quoted = quoteOf(route(gpt2), check(gpt2, { n: 10, quality: "low", size: "1024x1024" }));
    expect(quoted.totalNanos).toBe(10n * quoted.unitNanos);
    expect(quoted.unitNanos).toBe(text + 196n * 30_000n);
  });

  test("the rule names the rates", () => {
    expect(quoteOf(route(gpt15), check(gpt15)).rule).toBe(
      "openai/gpt-image-1.5@openai per_token text_input=5 image_input=8 image_output=32 text_output=10 of_a_million checked=2026-11-22",
    );
  });

  test("an svg is written by a model whose price nobody knows", () => {
    expect(quote(route(gpt26), check(gpt26, { output_format: "svg" }), today)).toBeNull();
  });

  test("the published prices per image are not above the quote", () => {
    const published: Array<[string, Body, string]> = [
      [gpt2, { quality: "low", size: "1024x1024" }, "0.00588"],
      [gpt2, { quality: "high", size: "1536x1024" }, "0.165"],
      [gpt2, { quality: "medium", size: "1024x1536" }, "0.041"],
      [gpt15, { quality: "high", size: "1536x1024" }, "0.1996"],
      [gpt15, { quality: "low", size: "1024x1024" }, "0.0087"],
      ["openai/gpt-image-1-mini", { quality: "high", size: "1024x1024" }, "0.033"],
      ["openai/gpt-image-1", { quality: "medium", size: "1536x1024" }, "0.063"],
    ];
    for (const [id, extra, price] of published)
      expect({
        id,
        extra,
        enough: Number(usd(quoteOf(route(id), check(id, extra)).totalNanos)) >= Number(price),
      }).toEqual({
        id,
        extra,
        enough: true,
      });
  });
});

describe("the charge by tokens", () => {
  const plain: Body = { quality: "high", size: "1024x1024", n: 2 };
  const details = (text: number, image: number) => ({ text_tokens: text, image_tokens: image });
  test.each<[string, string, Record<string, unknown> | undefined, bigint]>([
    [
      "the recorded usage of §2.4",
      gpt2,
      {
        input_tokens: 14,
        input_tokens_details: details(14, 0),
        output_tokens: 196,
        output_tokens_details: details(0, 196),
        total_tokens: 210,
      },
      14n * 5_000n + 196n * 30_000n,
    ],
    [
      "pictures in",
      gpt2,
      { input_tokens_details: details(10, 100), output_tokens: 1 },
      10n * 5_000n + 100n * 8_000n + 30_000n,
    ],
    ["text out at its own rate", gpt15, { output_tokens_details: details(5, 100) }, 5n * 10_000n + 100n * 32_000n],
    ["text out without one", gpt2, { output_tokens_details: details(5, 100) }, 105n * 30_000n],
    ["input that is not told apart, at the dearer rate", gpt2, { input_tokens: 10, output_tokens: 1 }, 110_000n],
    [
      "what details leave out, like input that is not told apart",
      gpt2,
      {
        input_tokens: 20,
        input_tokens_details: details(14, 0),
        output_tokens: 200,
        output_tokens_details: details(0, 150),
      },
      14n * 5_000n + 6n * 8_000n + 200n * 30_000n,
    ],
    ["one detail only", gpt2, { input_tokens_details: { image_tokens: 3 }, output_tokens: 1 }, 54_000n],
  ])("%s", (_title, id, usage, nanos) => {
    const quoted = quoteOf(route(id), check(id, plain));
    expect(quoted.charge(delivered([square, square], { usage }))).toBe(nanos);
    // However few were delivered: the provider takes what it reports.
    expect(quoted.charge(delivered([square], { usage }))).toBe(nanos);
    expect(quoted.charge(delivered([], { usage }))).toBe(0n);
  });

  test.each<[string, Record<string, unknown> | undefined]>([
    ["no usage", undefined],
    ["an empty one", {}],
    ["input alone", { input_tokens: 10 }],
    ["no output", { input_tokens: 0, output_tokens: 0, total_tokens: 0 }],
    ["no numbers", { output_tokens: "196" }],
    ["less than nothing", { output_tokens: -1 }],
    ["a part of a token", { output_tokens: 1.5 }],
  ])("%s: the quote's share of each picture", (_title, usage) => {
    const quoted = quoteOf(route(gpt2), check(gpt2, plain));
    expect(quoted.charge(delivered([square], { usage }))).toBe(quoted.unitNanos);
    expect(quoted.charge(delivered([square, square, square], { usage }))).toBe(quoted.totalNanos);
  });

  test("never above the quote", () => {
    const quoted = quoteOf(route(gpt2), check(gpt2, plain));
    expect(quoted.charge(delivered([square], { usage: { output_tokens: 10 ** 12 } }))).toBe(quoted.totalNanos);
  });
});

describe("by megapixels", () => {
  const bfl = route(flux2, "bfl");
  test.each<[string, Body, ReturnType<typeof edit> | undefined, string]>([
    ["one", { size: "1024x1024" }, undefined, "0.03"],
    ["less than one", { size: "64x64" }, undefined, "0.03"],
    ["a pixel row more than one", { size: "1024x1040" }, undefined, "0.045"],
    ["four", { size: "2048x2048" }, undefined, "0.075"],
    ["a shape whose pixels are ours to choose", { aspect_ratio: "16:9" }, undefined, "0.03"],
    ["n", { size: "1024x1024", n: 3 }, undefined, "0.09"],
    ["an edit: pixels not known before", {}, edit([picture()]), "0.09"],
    ["an edit of a known size", { size: "1024x1024" }, edit([picture()]), "0.045"],
    [
      "an edit of two pictures, one of them large",
      { size: "1024x1024" },
      edit([picture(), picture({ width: 1025 })]),
      "0.075",
    ],
  ])("%s", (_title, extra, given, price) => {
    expect(usd(quoteOf(bfl, check(flux2, extra, given)).totalNanos)).toBe(price);
  });

  test("the delivered pixels are charged, never above the quote", () => {
    const quoted = quoteOf(route(schnell, "fal"), check(schnell, { size: "1440x1440", n: 2 }));
    expect(usd(quoted.totalNanos)).toBe("0.012");
    expect(usd(quoted.charge(delivered([square, square])))).toBe("0.006");
    expect(usd(quoted.charge(delivered([{ width: 1440, height: 1440 }])))).toBe("0.006");
    expect(usd(quoted.charge(delivered([{ width: 9000, height: 9000 }])))).toBe("0.012");
  });

  test("the rule names the rates", () => {
    expect(quoteOf(bfl, check(flux2)).rule).toBe(
      "black-forest-labs/flux-2-pro@bfl per_megapixel first=0.03 further=0.015 input=0.015 charge=reported checked=2026-11-22",
    );
  });

  test("edits without a price for given pictures have none", () => {
    expect(quote(route(flux2, "fal"), check(flux2, {}, edit()), today)).toBeNull();
    expect(quote(route(flux2, "fal"), check(flux2), today)).not.toBeNull();
  });
});

describe("what the provider reports", () => {
  const quoted = quoteOf(route(flux2, "bfl"), check(flux2, { size: "2048x2048", n: 2 }));
  test.each<[string, string | undefined, number, string]>([
    ["less than the quote", "0.061", 2, "0.061"],
    ["to the last nano-dollar", "0.000000001", 1, "0.000000001"],
    ["nothing at all", "0", 1, "0"],
    ["more than the quote", "9.5", 2, "0.15"],
    ["no report: our rule", undefined, 1, "0.03"],
    ["too fine to be money: our rule", "0.0000000001", 1, "0.03"],
    ["no number: our rule", "cheap", 1, "0.03"],
    ["less than nothing: our rule", "-1", 1, "0.03"],
    ["nothing delivered", "0.061", 0, "0"],
  ])("%s", (_title, providerCostUsd, count, price) => {
    const images = Array.from({ length: count }, () => square);
    expect(usd(quoted.charge(delivered(images, { providerCostUsd })))).toBe(price);
  });

  test("counts only where the rule says so", () => {
    const plain = quoteOf(route(flux), check(flux));
    expect(usd(plain.charge(delivered([square], { providerCostUsd: "0.001" })))).toBe("0.05");
  });
});

describe("prices with dates", () => {
  const [price] = route(flux).prices;
  const at = (from: string | null, nanos: bigint): RoutePrice => {
    if (price.unit !== "image") throw new Error("another unit");
    return { ...price, from, rows: [{ size: undefined, quality: undefined, unitNanos: nanos, rule: `rule ${nanos}` }] };
  };
  const dated = (...prices: RoutePrice[]): Route => ({ ...route(flux), prices: prices as unknown as Route["prices"] });

  test.each([
    ["2026-12-31", 1n],
    ["2026-12-31T23:59:59.999Z", 1n],
    ["2027-01-01", 2n],
    ["2027-01-01T00:00:00.000Z", 2n],
    ["2030-06-01", 3n],
  ])("on %s: %d", (day, nanos) => {
    const all = dated(at(null, 1n), at("2027-01-01", 2n), at("2028-01-01", 3n));
    const quoted = quoteOf(all, check(flux), day);
    expect([quoted.unitNanos, quoted.rule]).toEqual([nanos, `rule ${nanos}`]);
  });

  test("before the first day there is none", () => {
    expect(quote(dated(at("2027-01-01", 2n)), check(flux), today)).toBeNull();
  });
});

describe("whatever is delivered", () => {
  const cases: Array<[string, string | undefined]> = [
    [gpt2, "openai"],
    [gpt15, "azure"],
    [gpt25, "openai"],
    [flux2, "bfl"],
    [schnell, "fal"],
    [flux, undefined],
  ];
  const side = fc.integer({ min: 1, max: 5000 });
  const count = fc.oneof(fc.nat(), fc.constantFrom(-1, 1.5, "x", null, undefined, Number.MAX_SAFE_INTEGER));
  const usage = fc.record(
    {
      input_tokens: count,
      output_tokens: count,
      input_tokens_details: fc.record({ text_tokens: count, image_tokens: count }, { requiredKeys: [] }),
      output_tokens_details: fc.oneof(
        fc.record({ text_tokens: count, image_tokens: count }, { requiredKeys: [] }),
        fc.constantFrom(null, "x"),
      ),
    },
    { requiredKeys: [] },
  );
  const anyDelivery: fc.Arbitrary<Delivered> = fc.record({
    images: fc.array(fc.record({ width: side, height: side }), { maxLength: 12 }),
    usage: fc.option(usage, { nil: undefined }),
    providerCostUsd: fc.oneof(fc.constantFrom(undefined, "0", "0.01", "99999", "x"), fc.string()),
  });

  test.each(cases)("%s at %s: the charge is not above the quote, nor below nothing", (id, provider) => {
    fc.assert(
      fc.property(anyDelivery, fc.integer({ min: 1, max: 10 }), (what, n) => {
        const quoted = quoteOf(route(id, provider), check(id, { n }));
        const charged = quoted.charge(what);
        expect(charged >= 0n && charged <= quoted.totalNanos).toBe(true);
        if (what.images.length === 0) expect(charged).toBe(0n);
      }),
      { numRuns: 500 },
    );
  });

  test.each(cases.slice(0, 3))(
    "%s at %s: the quote grows with n, previews, pixels, prompt and pictures",
    (id, provider) => {
      const of = (extra: Body, given?: ReturnType<typeof edit>) =>
        quoteOf(route(id, provider), check(id, extra, given)).totalNanos;
      const sizes =
        id === gpt15 ? ["1024x1024", "1536x1024"] : ["1024x640", "1024x1024", "1536x1024", "2048x2048", "3840x2160"];
      const bigger = sizes.slice(1).map((size, index) => [sizes[index], size] as const);
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 9 }),
          fc.integer({ min: 0, max: 2 }),
          fc.constantFrom(...bigger),
          fc.constantFrom("low", "medium", "high", "auto"),
          fc.integer({ min: 1, max: 15 }),
          (n, previews, [smaller, larger], quality, pictures) => {
            expect(of({ n, quality }) < of({ n: n + 1, quality })).toBe(true);
            const stream = { stream: true, quality };
            expect(of({ ...stream, partial_images: previews }) < of({ ...stream, partial_images: previews + 1 })).toBe(
              true,
            );
            expect(of({ size: smaller, quality }) <= of({ size: larger, quality })).toBe(true);
            expect(of({ prompt: "x".repeat(n) }) < of({ prompt: "x".repeat(n + 1) })).toBe(true);
            expect(of({ quality }, edit(pictures)) < of({ quality }, edit(pictures + 1))).toBe(true);
          },
        ),
        { numRuns: 100 },
      );
    },
  );
});
