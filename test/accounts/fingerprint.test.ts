/** What makes two requests the same request. */
import { expect, test } from "bun:test";
import { fingerprintOf } from "../../src/generation/repeats.ts";
import { check } from "../catalogue/support.ts";

const base = { size: "256x256", n: 2, user: "me" };
const of = (extra: object, model = "openai/dall-e-2") => fingerprintOf(check(model, extra as Record<string, unknown>));

test("the fingerprint does not see how the answer is presented, the order of fields, nulls, or a model's other name", () => {
  const asked = of(base);
  expect(of({ ...base, response_format: "b64_json" })).toBe(asked);
  expect(of({ ...base, response_format: "url" })).toBe(asked);
  expect(of({ user: "me", n: 2, size: "256x256" })).toBe(asked);
  expect(of({ ...base, quality: null })).toBe(asked);
  expect(of(base, "dall-e-2")).toBe(asked);
  const nested = { ...check("openai/dall-e-2", base) };
  const withProvider = (provider: object) =>
    fingerprintOf({ ...nested, requested: { ...nested.requested, provider, stream: true } });
  expect(withProvider({ order: ["a", "b"], sort: "price" })).toBe(withProvider({ sort: "price", order: ["a", "b"] }));
  expect(withProvider({ order: ["a", "b"] })).not.toBe(withProvider({ order: ["b", "a"] }));
  expect(fingerprintOf({ ...nested, requested: { ...nested.requested, stream: true } })).toBe(asked);
});

test("the fingerprint sees everything else", () => {
  const all = [
    of(base),
    of({ ...base, prompt: "another" }),
    of({ ...base, prompt: "a lighthouse " }),
    of({ ...base, n: 3 }),
    of({ ...base, size: "512x512" }),
    of({ ...base, user: "you" }),
    of({ ...base, quality: "standard" }),
    of({ size: "1024x1024" }, "openai/dall-e-3"),
  ];
  expect(new Set(all).size).toBe(all.length);
});
