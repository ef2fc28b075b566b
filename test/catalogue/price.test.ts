import { describe, expect, test } from "bun:test";
import { quote } from "../../src/catalogue/index.ts";
import { formatUsd } from "../../src/money.ts";
import {
  type Body,
  catalogue,
  check,
  dallE2,
  dallE3,
  delivered,
  flux,
  quoteOf,
  route,
  stableDiffusion,
  today,
} from "./support.ts";

/** The seed's price table and service-facts.md "Image endpoint", written out: request → USD per image, rule on the charge. */
const priceTable: Array<[string, Body, string, string]> = [
  [
    dallE3,
    { size: "1024x1024", quality: "standard" },
    "0.04",
    "openai/dall-e-3@openai per_image size=1024x1024 quality=standard 0.04 checked=2026-11-22",
  ],
  [
    dallE3,
    { size: "1792x1024", quality: "standard" },
    "0.08",
    "openai/dall-e-3@openai per_image size=1792x1024 quality=standard 0.08 checked=2026-11-22",
  ],
  [
    dallE3,
    { size: "1024x1792", quality: "standard" },
    "0.08",
    "openai/dall-e-3@openai per_image size=1024x1792 quality=standard 0.08 checked=2026-11-22",
  ],
  [
    dallE3,
    { size: "1024x1024", quality: "hd" },
    "0.08",
    "openai/dall-e-3@openai per_image size=1024x1024 quality=hd 0.08 checked=2026-11-22",
  ],
  [
    dallE3,
    { size: "1792x1024", quality: "hd" },
    "0.12",
    "openai/dall-e-3@openai per_image size=1792x1024 quality=hd 0.12 checked=2026-11-22",
  ],
  [
    dallE3,
    { size: "1024x1792", quality: "hd" },
    "0.12",
    "openai/dall-e-3@openai per_image size=1024x1792 quality=hd 0.12 checked=2026-11-22",
  ],
  [dallE3, {}, "0.04", "openai/dall-e-3@openai per_image size=1024x1024 quality=standard 0.04 checked=2026-11-22"],
  [dallE2, { size: "256x256" }, "0.016", "openai/dall-e-2@openai per_image size=256x256 0.016 checked=2026-11-22"],
  [dallE2, { size: "512x512" }, "0.018", "openai/dall-e-2@openai per_image size=512x512 0.018 checked=2026-11-22"],
  [dallE2, { size: "1024x1024" }, "0.02", "openai/dall-e-2@openai per_image size=1024x1024 0.02 checked=2026-11-22"],
  [dallE2, { quality: "standard" }, "0.02", "openai/dall-e-2@openai per_image size=1024x1024 0.02 checked=2026-11-22"],
  [stableDiffusion, {}, "0.065", "stability/stable-diffusion-3-large@stability per_image 0.065 checked=2026-11-22"],
  [
    stableDiffusion,
    { aspect_ratio: "21:9" },
    "0.065",
    "stability/stable-diffusion-3-large@stability per_image 0.065 checked=2026-11-22",
  ],
  [flux, {}, "0.05", "black-forest-labs/flux-1-pro@replicate per_image 0.05 checked=2026-11-22"],
  [flux, { size: "1440x1440" }, "0.05", "black-forest-labs/flux-1-pro@replicate per_image 0.05 checked=2026-11-22"],
];

/** Without what the model does not have. */
const given = (extra: Body): Body =>
  Object.fromEntries(Object.entries(extra).filter(([, value]) => value !== undefined));

describe("quote", () => {
  test.each(priceTable)("%s %j costs %s", (id, extra, usd, rule) => {
    const quoted = quote(route(id), check(id, extra), today);
    expect(quoted && formatUsd(quoted.unitNanos)).toBe(usd);
    expect(quoted?.totalNanos).toBe(quoted?.unitNanos);
    expect(quoted?.rule).toBe(rule);
  });

  test("n pictures cost n times one, not n times n", () => {
    const quoted = quote(route(stableDiffusion), check(stableDiffusion, { n: 10 }), today);
    expect(quoted && formatUsd(quoted.totalNanos)).toBe("0.65");
    expect(quoted && formatUsd(quoted.unitNanos)).toBe("0.065");
  });

  test("no row that fits is no price, and a quality of its own never stands in for another", () => {
    const [price] = route(dallE3).prices;
    if (price.unit !== "image") throw new Error("another unit");
    const hdOnly = { ...price, rows: price.rows.filter((row) => row.quality === "hd") };
    expect(quote({ ...route(dallE3), prices: [hdOnly] }, check(dallE3), today)).toBeNull();
    expect(quote({ ...route(dallE3), prices: [{ ...price, rows: [] }] }, check(dallE3), today)).toBeNull();
  });

  test("every size × quality that the built-in models take has a price somewhere", () => {
    for (const model of catalogue.models) {
      const values = (name: string) => {
        const parameter = model.parameters.find((candidate) => candidate.name === name);
        return parameter !== undefined && "values" in parameter ? parameter.values : [undefined];
      };
      for (const size of values("size")) {
        for (const quality of values("quality")) {
          const checked = check(model.id, given({ size, quality }));
          expect(model.routes.some((each) => quote(each, checked, today) !== null)).toBe(true);
        }
      }
    }
  });

  test("routes whose price nobody publishes have none", () => {
    const priceless = catalogue.models.flatMap((model) =>
      model.routes
        .filter((each) => quote(each, check(model.id), today) === null)
        .map(({ provider }) => `${model.id}@${provider}`),
    );
    expect(priceless).toEqual([
      "black-forest-labs/flux-1-dev@bfl",
      "black-forest-labs/flux-2-flex@replicate",
      "black-forest-labs/flux-2-pro@replicate",
    ]);
  });
});

describe("the charge", () => {
  const square = { width: 1024, height: 1024 };
  const wide = { width: 1792, height: 1024 };
  test.each<[string, string, Body, Array<{ width: number; height: number }>, string]>([
    ["as asked", dallE3, {}, [square], "0.04"],
    ["smaller than asked", dallE3, { size: "1792x1024", quality: "hd" }, [square], "0.08"],
    ["larger than asked: never above the quote", dallE3, {}, [wide], "0.04"],
    ["a size without a row: the requested size's", dallE3, { size: "1792x1024" }, [{ width: 7, height: 7 }], "0.08"],
    ["fewer than asked", dallE2, { n: 3 }, [square, square], "0.04"],
    ["none", dallE2, { n: 3 }, [], "0"],
    ["mixed sizes", dallE2, { n: 3 }, [square, { width: 256, height: 256 }, { width: 512, height: 512 }], "0.054"],
    ["larger, but short: still within the quote", dallE2, { n: 2, size: "256x256" }, [square], "0.02"],
    ["larger, all of them", dallE2, { n: 2, size: "256x256" }, [square, square], "0.032"],
    ["more than asked", dallE2, { n: 1 }, [square, square], "0.02"],
    ["a flat price", flux, { n: 2, size: "256x256" }, [square, wide], "0.1"],
  ])("%s", (_title, id, extra, images, usd) => {
    expect(formatUsd(quoteOf(route(id), check(id, extra)).charge(delivered(images)))).toBe(usd);
  });
});
