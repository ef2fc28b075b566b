import { describe, expect, test } from "bun:test";
import { PublicError } from "../../src/errors.ts";
import { readPreferences } from "../../src/generation/preferences.ts";

const none = {
  order: [],
  only: null,
  ignore: [],
  allowFallbacks: true,
  fallbackOnRefusal: false,
  sort: null,
  maxPriceNanos: null,
};

describe("the fields of routing", () => {
  test("name candidates in order, each once, with their suffixes read", () => {
    const body = { model: "a/one:floor", models: ["b/two:nitro", "a/one", "c/three"], route: "fallback", prompt: "x" };
    expect(readPreferences(body)).toEqual({
      models: [
        { id: "a/one", sort: "price" },
        { id: "b/two", sort: "latency" },
        { id: "c/three", sort: null },
      ],
      preferences: none,
    });
  });

  test("may be absent or null", () => {
    expect(readPreferences({ model: "a/one", models: null, provider: null, route: null })).toEqual({
      models: [{ id: "a/one", sort: null }],
      preferences: none,
    });
    expect(readPreferences({}).models).toEqual([]);
  });

  test("read the provider object", () => {
    const provider = {
      order: ["fal", "bfl"],
      only: ["bfl"],
      ignore: ["replicate"],
      allow_fallbacks: false,
      require_parameters: false,
      sort: "latency",
      max_price: 0.05,
      fallback_on_refusal: true,
    };
    expect(readPreferences({ model: "m", provider }).preferences).toEqual({
      order: ["fal", "bfl"],
      only: ["bfl"],
      ignore: ["replicate"],
      allowFallbacks: false,
      fallbackOnRefusal: true,
      sort: "latency",
      maxPriceNanos: 50_000_000n,
    });
  });

  test.each([
    [{ max_price: "0.04" }, 40_000_000n],
    [{ max_price: { image: 0.04 } }, 40_000_000n],
    [{ max_price: 0 }, 0n],
    [{ max_price: 1e-7 }, 100n],
    [{ max_price: null }, null],
  ])("take a price as %j", (provider, nanos) => {
    expect(readPreferences({ model: "m", provider }).preferences.maxPriceNanos).toBe(nanos);
  });

  test.each([
    [{ route: "cheapest" }, "invalid_value", "route"],
    [{ route: 7 }, "invalid_type", "route"],
    [{ models: "a/one" }, "invalid_type", "models"],
    [{ models: [] }, "invalid_value", "models"],
    [{ models: Array.from({ length: 11 }, (_, index) => `a/${index}`) }, "invalid_value", "models"],
    [{ models: ["a/one", 5] }, "invalid_type", "models[1]"],
    [{ models: [""] }, "empty_string", "models[0]"],
    [{ provider: [] }, "invalid_type", "provider"],
    [{ provider: { data_collection: "deny" } }, "unknown_parameter", "provider.data_collection"],
    [{ provider: { order: "fal" } }, "invalid_type", "provider.order"],
    [{ provider: { only: [1] } }, "invalid_type", "provider.only[0]"],
    [{ provider: { sort: "quality" } }, "invalid_value", "provider.sort"],
    [{ provider: { sort: 1 } }, "invalid_type", "provider.sort"],
    [{ provider: { allow_fallbacks: "yes" } }, "invalid_type", "provider.allow_fallbacks"],
    [{ provider: { require_parameters: 1 } }, "invalid_type", "provider.require_parameters"],
    [{ provider: { max_price: -1 } }, "invalid_value", "provider.max_price"],
    [{ provider: { max_price: Number.POSITIVE_INFINITY } }, "invalid_value", "provider.max_price"],
    [{ provider: { max_price: "cheap" } }, "invalid_value", "provider.max_price"],
    [{ provider: { max_price: true } }, "invalid_type", "provider.max_price"],
    [{ provider: { max_price: { prompt: 1 } } }, "unknown_parameter", "provider.max_price.prompt"],
  ])("refuse %j", (fields, code, param) => {
    let error: unknown;
    try {
      readPreferences({ model: "m", ...fields });
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(PublicError);
    expect(error).toMatchObject({ code, param });
  });
});
