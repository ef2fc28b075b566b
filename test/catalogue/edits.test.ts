/** Edits: the client's pictures, the parameters that only they have, and what parameters need of each other. */

import { describe, expect, test } from "bun:test";
import { refusals } from "./refused.ts";
import { type Body, body, catalogue, check, dallE3, edit, picture, type Refusal, refusalOf } from "./support.ts";

const gpt15 = "openai/gpt-image-1.5";
const gpt2 = "openai/gpt-image-2";
const gpt25 = "openai/gpt-image-2.5-flare";
const gpt26 = "openai/gpt-image-2.6-sunburst";
const kontext = "black-forest-labs/flux-1-kontext-pro";
const core = "stability/stable-image-core";
const large = "stability/stable-diffusion-3.5-large";

const imageRefusal = (param: string, message: string): Refusal => ({ code: "invalid_image_file", param, message });

describe("the pictures", () => {
  test("stand in the record as what they are, in place of what the body said", () => {
    const mask = picture({ sha256: "cd".repeat(32), bytes: 9 });
    const first = picture({ contentType: "image/jpeg", bytes: 7 });
    const checked = check(gpt2, { images: [{ image_url: "data:…" }], user: null }, edit([first, picture()], { mask }));
    const record = { sha256: "ab".repeat(32), bytes: 3, content_type: "image/png" };
    expect(checked.operation).toBe("edit");
    expect(checked.requested).toEqual({
      model: gpt2,
      prompt: "a lighthouse",
      images: [{ ...record, bytes: 7, content_type: "image/jpeg" }, record],
      mask: { ...record, sha256: "cd".repeat(32), bytes: 9 },
    });
    expect(checked.inputs).toEqual({ images: [first, picture()], mask, markup: undefined } as never);
    expect(checked.parameters).toEqual({ output_format: "png" });
  });

  test("a generation has none", () => {
    const checked = check(gpt2);
    expect([checked.operation, checked.inputs]).toEqual(["generate", null]);
  });

  test.each<[string, string, Body, ReturnType<typeof edit>, Refusal]>([
    [
      "no picture at all",
      gpt2,
      {},
      edit(0),
      { code: "missing_required_parameter", param: "images", message: "Missing required parameter: 'images'." },
    ],
    [
      "no picture in a form",
      gpt2,
      {},
      edit(0, { field: "image" }),
      { code: "missing_required_parameter", param: "image", message: "Missing required parameter: 'image'." },
    ],
    [
      "an empty list",
      gpt2,
      { images: [] },
      edit(0),
      refusals.value(
        "images",
        "Invalid 'images': empty array. Expected an array with minimum length 1, but got an empty array instead.",
      ),
    ],
    [
      "too many",
      gpt2,
      {},
      edit(17),
      refusals.value(
        "images",
        "Invalid 'images': array too long. Expected an array with maximum length 16, but got an array with length 17 instead.",
      ),
    ],
    [
      "two for a model of one",
      large,
      {},
      edit(2, { field: "image" }),
      refusals.value(
        "image",
        "Invalid 'image': array too long. Expected an array with maximum length 1, but got an array with length 2 instead.",
      ),
    ],
    [
      "a type that the model does not take",
      gpt2,
      {},
      edit([picture(), picture({ contentType: "image/gif" })]),
      imageRefusal(
        "images",
        `Invalid image file or mode for image 2, please check your image file. '${gpt2}' takes 'image/png', 'image/jpeg', and 'image/webp', but this is 'image/gif'.`,
      ),
    ],
    [
      "a mask of another size",
      gpt2,
      {},
      edit(1, { mask: picture({ width: 512 }) }),
      imageRefusal(
        "mask",
        "Invalid mask image: expected the dimensions of the first image, 1024x1024, but this is 512x1024.",
      ),
    ],
    [
      "a mask of another type",
      gpt2,
      {},
      edit(1, { mask: picture({ contentType: "image/webp" }) }),
      imageRefusal("mask", "Invalid mask image: expected 'image/png', but this is 'image/webp'."),
    ],
    ["a mask for a model without", kontext, {}, edit(1, { mask: picture() }), refusals.unknown("mask")],
    ["a markup for a model without", gpt2, {}, edit(1, { markup: picture() }), refusals.unknown("markup")],
    [
      "a markup of another size",
      gpt25,
      {},
      edit(1, { markup: picture({ height: 1 }) }),
      imageRefusal(
        "markup",
        "Invalid markup image: expected the dimensions of the first image, 1024x1024, but this is 1024x1.",
      ),
    ],
    [
      "a markup and a mask",
      gpt25,
      {},
      edit(1, { markup: picture(), mask: picture() }),
      refusals.value(
        "markup",
        "Invalid 'markup': it cannot be combined with 'mask'. Drop 'mask' to use 'markup', or drop 'markup' to use 'mask'.",
      ),
    ],
    ["a picture by another name", gpt2, { image: "x" }, edit(), refusals.unknown("image")],
    // The order of §2.6: unknown keys, prompt, pictures, n.
    ["an unknown key before the prompt", gpt2, { foo: 1, prompt: "" }, edit(0), refusals.unknown("foo")],
    [
      "the prompt before the pictures",
      gpt2,
      { prompt: 1, n: 0 },
      edit(0),
      refusals.type("prompt", "a string", "an integer"),
    ],
    [
      "the pictures before n",
      gpt2,
      { n: 0 },
      edit(0),
      { code: "missing_required_parameter", param: "images", message: "Missing required parameter: 'images'." },
    ],
  ])("%s is refused", (_title, id, extra, given, refusal) => {
    expect(refusalOf(body(id, extra), given)).toEqual(refusal);
  });

  test("a markup is taken where the model takes one", () => {
    expect(check(gpt25, {}, edit(1, { markup: picture() })).inputs?.markup).toEqual(picture() as never);
  });

  test.each([dallE3, core])("%s cannot edit, and the models that can are named", (id) => {
    const { message, ...rest } = refusalOf(body(id), edit());
    expect(rest).toEqual({ code: "invalid_value", param: "model" });
    expect(message).toStartWith(`Invalid value: '${id}'. This model cannot edit pictures. Models that can: '`);
    for (const model of catalogue.models)
      expect(message.includes(`'${model.id}'`)).toBe(id === model.id || model.edit !== null);
  });
});

describe("parameters of one operation", () => {
  test.each<[string, Body, Refusal]>([
    [gpt15, { moderation: "low" }, refusals.unknown("moderation")],
    [gpt15, { input_fidelity: "max" }, refusals.list("input_fidelity", "max", "'high' and 'low'")],
    ["openai/gpt-image-1-mini", { input_fidelity: "high" }, refusals.list("input_fidelity", "high", "'low'")],
    [gpt2, { input_fidelity: "low" }, refusals.unknown("input_fidelity")],
    [large, { aspect_ratio: "1:1" }, refusals.unknown("aspect_ratio")],
    [large, { size: "1024x1024" }, refusals.unknown("size")],
    [
      large,
      { strength: 1.5 },
      refusals.value(
        "strength",
        "Invalid 'strength': number above maximum value. Expected a value <= 1, but got 1.5 instead.",
      ),
    ],
    [
      "black-forest-labs/flux-1-dev",
      { prompt_strength: "1" },
      refusals.type("prompt_strength", "a number", "a string"),
    ],
  ])("an edit with %s refuses %j", (id, extra, refusal) => {
    expect(refusalOf(body(id, extra), edit())).toEqual(refusal);
  });

  test("an edit's own are taken by edits, with their defaults, and unknown to generations", () => {
    expect(check(gpt15, { input_fidelity: "high" }, edit()).parameters).toEqual({
      input_fidelity: "high",
      output_format: "png",
    });
    expect(check(large, {}, edit()).parameters).toEqual({ strength: 0.5, output_format: "png" });
    expect(check(large).parameters).toEqual({ output_format: "png", size: "1024x1024" });
    expect(refusalOf(body(large, { strength: 0.3 }))).toEqual(refusals.unknown("strength"));
  });

  test("a default may be for generations only", () => {
    expect(check(kontext).aspectRatio).toEqual({ width: 1, height: 1 });
    expect(check(kontext, {}, edit()).aspectRatio).toBeNull();
    expect(check(kontext, { aspect_ratio: "16:9" }, edit()).aspectRatio).toEqual({ width: 16, height: 9 });
  });
});

describe("what values need of each other", () => {
  test.each<[string, Body, Refusal]>([
    [
      gpt2,
      { background: "transparent", output_format: "jpeg" },
      refusals.value("background", "Transparent background is not supported for JPEG output format"),
    ],
    [
      gpt26,
      { background: "transparent", output_format: "gif" },
      refusals.value(
        "background",
        "Invalid 'background': 'transparent' needs 'output_format' to be 'png' or 'webp', but that is 'gif'.",
      ),
    ],
    [
      gpt2,
      { output_compression: 80 },
      refusals.value(
        "output_compression",
        "Invalid 'output_compression': it needs 'output_format' to be 'webp' or 'jpeg', but that is 'png'.",
      ),
    ],
    [
      gpt26,
      { frame_count: 3 },
      refusals.value("frame_count", "Invalid 'frame_count': it needs 'output_format' to be 'gif', but that is 'png'."),
    ],
    [
      gpt26,
      { output_format: "svg", n: 2 },
      refusals.value("output_format", "Invalid 'output_format': 'svg' needs 'n' to be 1, but that is 2."),
    ],
    [
      gpt26,
      { output_format: "gif", stream: true },
      refusals.value("output_format", "Invalid 'output_format': 'gif' needs 'stream' to be false, but that is true."),
    ],
    [
      gpt26,
      { svg: { model: "x" } },
      refusals.value("svg", "Invalid 'svg': it needs 'output_format' to be 'svg', but that is 'png'."),
    ],
    [
      gpt2,
      { n: 2, stream: true },
      refusals.value("n", "Invalid 'n': a stream carries one image. Expected 1, but got 2 instead."),
    ],
    [dallE3, { stream: true, partial_images: 1 }, refusals.unknown("partial_images")],
    [
      gpt2,
      { partial_images: 2 },
      refusals.value("partial_images", "Invalid 'partial_images': it needs 'stream' to be true, but that is false."),
    ],
  ])("%s %j", (id, extra, refusal) => {
    expect(refusalOf(body(id, extra))).toEqual(refusal);
  });

  test("a gif and a mask", () => {
    expect(refusalOf(body(gpt26, { output_format: "gif" }), edit(1, { mask: picture() }))).toEqual(
      refusals.value("output_format", "Invalid 'output_format': 'gif' needs 'mask' to be false, but that is true."),
    );
    expect(check(gpt26, { output_format: "gif" }, edit()).format).toBe("gif");
  });

  test("what is needed may be there by default", () => {
    expect(check(gpt2, { background: "transparent" }).parameters.background).toBe("transparent");
    expect(check(gpt2, { background: "opaque", output_format: "jpeg" }).format).toBe("jpeg");
    expect(check(gpt2, { partial_images: 0 }).partialImages).toBe(0);
  });
});

test("streams", () => {
  const checked = check(gpt2, { stream: true, partial_images: 3 });
  expect([checked.stream, checked.partialImages]).toEqual([true, 3]);
  expect(checked.parameters).toEqual({ output_format: "png" });
  expect([check(dallE3, { stream: true }).stream, check(dallE3).stream]).toEqual([true, false]);
});

test.each([
  [gpt2, {}, null],
  [gpt2, { size: "auto" }, null],
  [gpt2, { size: "1536x864" }, { width: 1536, height: 864 }],
  ["black-forest-labs/flux-2-pro", { size: "2048x1024" }, { width: 2048, height: 1024 }],
])("%s %j promises the pixels %j", (id, extra, size) => {
  expect(check(id, extra).size).toEqual(size);
});
