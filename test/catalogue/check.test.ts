/** Every rule of every model: what it accepts, and the exact refusal of what it does not. Messages: upstream-apis.md §2.6 [M]. */

import { describe, expect, test } from "bun:test";
import { checkRequest } from "../../src/catalogue/index.ts";
import { accepted, acceptedEverywhere } from "./accepted.ts";
import { families } from "./families.ts";
import { refusals, refused, refusedEverywhere } from "./refused.ts";
import {
  type Body,
  body,
  catalogue,
  check,
  dallE2,
  dallE3,
  flux,
  model,
  type Refusal,
  refusalOf,
  stableDiffusion,
} from "./support.ts";

const everyModel = catalogue.models.map(({ id }) => id);
const taken = (id: string): Body[] => [
  ...acceptedEverywhere,
  ...(accepted[id] ?? []),
  ...(families[id]?.accepted ?? []),
];
const turnedDown = (id: string): Array<[Body, Refusal]> => [
  ...refusedEverywhere,
  ...(refused[id] ?? []),
  ...(families[id]?.refused ?? []),
];

/** Like a spread, but keeps `__proto__` an own key, as `JSON.parse` does. */
function merged(id: string, extra: Body): Body {
  const request = body(id);
  for (const [key, value] of Object.entries(extra)) {
    Object.defineProperty(request, key, { value, enumerable: true, writable: true, configurable: true });
  }
  return request;
}

describe.each(everyModel)("%s", (id) => {
  test.each(taken(id).map((extra) => [JSON.stringify(extra).slice(0, 80), extra] as const))(
    "takes %s",
    (_title, extra) => {
      const checked = check(id, extra);
      const given = Object.fromEntries(Object.entries(body(id, extra)).filter(([, value]) => value !== null));
      expect(checked.model.id).toBe(id);
      expect(checked.requested).toEqual(given);
    },
  );

  test.each(turnedDown(id).map(([extra, refusal]) => [JSON.stringify(extra).slice(0, 80), extra, refusal] as const))(
    "refuses %s",
    (_title, extra, refusal) => {
      expect(refusalOf(merged(id, extra))).toEqual(refusal);
    },
  );

  test("has cases for every parameter of its own, taken and refused", () => {
    const own = model(id).parametersOf.generate.all.map(({ name }) => name);
    const keys = (bodies: Body[]) => new Set(bodies.flatMap(Object.keys));
    const [yes, no] = [keys(taken(id)), keys(turnedDown(id).map(([extra]) => extra))];
    expect(own.filter((name) => !yes.has(name) || !no.has(name))).toEqual([]);
  });
});

describe("the model", () => {
  const prompt = "a lighthouse";
  test.each<[unknown, Refusal]>([
    [
      { prompt },
      { code: "missing_required_parameter", param: "model", message: "Missing required parameter: 'model'." },
    ],
    [{ model: null, prompt }, refusals.type("model", "a string", "null")],
    [{ model: 3, prompt }, refusals.type("model", "a string", "an integer")],
    [
      { model: "", prompt },
      {
        code: "empty_string",
        param: "model",
        message:
          "Invalid 'model': empty string. Expected a string with minimum length 1, but got an empty string instead.",
      },
    ],
    ...["dall-e-4", "OpenAI/dall-e-3", "openai/dall-e-3 ", "constructor", "__proto__", "openai/", "flux-1-pro"].map(
      (id): [unknown, Refusal] => [
        { model: id, prompt },
        {
          code: "model_not_found",
          param: "model",
          message: `The model '${id}' does not exist. GET /v1/models lists the models that do.`,
        },
      ],
    ),
    [
      { model: dallE3 },
      { code: "missing_required_parameter", param: "prompt", message: "Missing required parameter: 'prompt'." },
    ],
  ])("%j", (request, refusal) => {
    expect(refusalOf(request)).toEqual(refusal);
  });

  test("a bare id is OpenAI's", () => {
    expect(check("dall-e-3").model.id).toBe(dallE3);
    expect(check("dall-e-3").requested.model).toBe("dall-e-3");
  });

  test.each([
    [null, "null"],
    [[], "an array"],
    ["x", "a string"],
    [1, "an integer"],
  ])("a body that is %j is no object", (request, got) => {
    expect(refusalOf(request)).toEqual({
      code: "invalid_type",
      param: null,
      message: `Invalid type for the request body: expected an object, but got ${got} instead.`,
    });
  });
});

describe("lengths are counted in code points", () => {
  // Each of these is one code point and two UTF-16 units; the family is seven code points, the flag two.
  test.each([
    ["an emoji", "😀", 1000],
    ["a CJK character beyond the basic plane", "𠮷", 1000],
    ["a CJK character", "漢", 1000],
    ["a lone surrogate", "\ud83d", 1000],
    ["a family", "👨‍👩‍👧‍👦", 142],
    ["a flag", "🇹🇼", 500],
  ])("%s", (_title, character, fitting) => {
    expect(check(dallE2, { prompt: character.repeat(fitting) }).prompt).toBe(character.repeat(fitting));
    const over = character.repeat(fitting + 1);
    expect(refusalOf(body(dallE2, { prompt: over }))).toEqual(
      refusals.tooLong("prompt", 1000, Array.from(over).length),
    );
  });
});

test("a refusal does not repeat megabytes", () => {
  const long = "😀".repeat(1_000_000);
  const cut = `${"😀".repeat(64)}…`;
  expect(refusalOf(body(dallE3, { style: long })).message).toContain(`'${cut}'`);
  expect(refusalOf(body(dallE3, { [long]: 1 }))).toEqual(refusals.unknown(cut));
  expect(refusalOf(body(long)).message).toContain(`'${cut}'`);
  const exactly = "😀".repeat(64);
  expect(refusalOf(body(dallE3, { style: exactly })).message).toContain(`'${exactly}'`);
});

describe("what the client may expect", () => {
  test.each([
    [dallE3, {}, { size: { width: 1024, height: 1024 }, aspectRatio: null, format: null }],
    [dallE3, { size: "1792x1024" }, { size: { width: 1792, height: 1024 }, aspectRatio: null, format: null }],
    [stableDiffusion, {}, { size: { width: 1024, height: 1024 }, aspectRatio: null, format: "png" }],
    [stableDiffusion, { aspect_ratio: "21:9" }, { size: null, aspectRatio: { width: 21, height: 9 }, format: "png" }],
    [flux, {}, { size: null, aspectRatio: { width: 1, height: 1 }, format: "webp" }],
    [flux, { size: "1440x256" }, { size: { width: 1440, height: 256 }, aspectRatio: null, format: "webp" }],
    [flux, { output_format: "jpg" }, { size: null, aspectRatio: { width: 1, height: 1 }, format: "jpeg" }],
    [flux, { output_format: "jpeg" }, { size: null, aspectRatio: { width: 1, height: 1 }, format: "jpeg" }],
  ] as const)("%s %j", (id, extra, expected) => {
    const { size, aspectRatio, format } = check(id, extra);
    expect({ size, aspectRatio, format }).toEqual(expected);
  });

  test("defaults are filled in where price or result depend on them, and only there", () => {
    expect(check(dallE3).parameters).toEqual({ quality: "standard", size: "1024x1024" });
    expect(check(dallE2).parameters).toEqual({ quality: "standard", size: "1024x1024" });
    expect(check(stableDiffusion).parameters).toEqual({ output_format: "png", size: "1024x1024" });
    expect(check(stableDiffusion, { aspect_ratio: "1:1" }).parameters).toEqual({
      output_format: "png",
      aspect_ratio: "1:1",
    });
    expect(check(flux).parameters).toEqual({ output_format: "webp", aspect_ratio: "1:1" });
    expect(check(flux, { size: "256x256" }).parameters).toEqual({ output_format: "webp", size: "256x256" });
  });

  test("n, user and response_format stand beside the parameters", () => {
    const plain = check(dallE2);
    expect([plain.n, plain.user, plain.responseFormat]).toEqual([1, undefined, "url"]);
    const full = check(dallE2, { n: 3, user: "u", response_format: "b64_json" });
    expect([full.n, full.user, full.responseFormat]).toEqual([3, "u", "b64_json"]);
    expect(full.parameters).toEqual({ quality: "standard", size: "1024x1024" });
  });

  test("the record has what was given, in its order, without nulls and defaults", () => {
    const given = { size: "512x512", n: null, prompt: "p", model: "dall-e-2", user: undefined };
    expect(Object.entries(checkRequest(catalogue, given).requested)).toEqual([
      ["size", "512x512"],
      ["prompt", "p"],
      ["model", "dall-e-2"],
    ]);
  });
});
