/** Several defects at once: the first in the recorded order answers (upstream-apis.md §2.6, "Validation order" [M]). */

import { expect, test } from "bun:test";
import { type Body, catalogue, dallE3, flux, model, refusalOf, stableDiffusion } from "./support.ts";

/** Bodies from which one defect after the other is repaired; the parameter blamed each time. */
const repairs: Array<[string, Array<[Body, string]>]> = [
  [
    dallE3,
    [
      [{ prompt: 1, foo: 1, n: 0, quality: "x", style: "x", response_format: "x", size: "x" }, "model"],
      [{ model: dallE3, foo: 1, bar: 1, n: 0 }, "foo"],
      [{ bar: 1, model: dallE3, foo: 1, n: 0 }, "bar"],
      [{ model: dallE3, n: 0, quality: "x", style: "x", size: "x" }, "prompt"],
      [{ size: "x", style: "x", quality: "x", n: 0, prompt: "p", model: dallE3 }, "n"],
      [{ size: "x", response_format: "x", user: 1, style: "x", quality: "x", prompt: "p", model: dallE3 }, "quality"],
      [{ size: "x", response_format: "x", user: 1, style: "x", prompt: "p", model: dallE3 }, "style"],
      [{ size: "x", response_format: "x", user: 1, prompt: "p", model: dallE3 }, "user"],
      [{ size: "x", response_format: "x", prompt: "p", model: dallE3 }, "response_format"],
      [{ size: "x", prompt: "p", model: dallE3 }, "size"],
    ],
  ],
  [
    stableDiffusion,
    [
      [
        {
          aspect_ratio: "x",
          size: "x",
          output_format: "x",
          seed: -1,
          negative_prompt: 1,
          prompt: "p",
          model: stableDiffusion,
        },
        "negative_prompt",
      ],
      [{ aspect_ratio: "x", size: "x", output_format: "x", seed: -1, prompt: "p", model: stableDiffusion }, "seed"],
      [{ aspect_ratio: "x", size: "x", output_format: "x", prompt: "p", model: stableDiffusion }, "output_format"],
      [{ aspect_ratio: "x", size: "x", prompt: "p", model: stableDiffusion }, "size"],
      [{ aspect_ratio: "x", size: "1024x1024", prompt: "p", model: stableDiffusion }, "aspect_ratio"],
    ],
  ],
];

/** A model with its defects in the recorded order: quality before output_compression, size after it. */
const gpt = "openai/gpt-image-2";
repairs.push([
  gpt,
  [
    [{ size: "x", output_compression: 101, quality: "x", prompt: "p", model: gpt }, "quality"],
    [{ size: "x", output_compression: 101, background: "x", prompt: "p", model: gpt }, "background"],
    [{ size: "x", output_compression: 101, prompt: "p", model: gpt }, "output_compression"],
    [{ size: "x", output_compression: 1, stream: true, n: 2, prompt: "p", model: gpt }, "size"],
    // What values need of each other comes after what they are themselves.
    [{ output_compression: 1, stream: true, n: 2, prompt: "p", model: gpt }, "n"],
    [{ output_compression: 1, partial_images: 1, prompt: "p", model: gpt }, "partial_images"],
    [{ output_compression: 1, prompt: "p", model: gpt }, "output_compression"],
  ],
]);

test.each(repairs)("%s", (_id, steps) => {
  expect(steps.map(([request]) => refusalOf(request).param)).toEqual(steps.map(([, param]) => param));
});

test("n comes first and sizes last, whatever the file's order", () => {
  for (const { parameters } of catalogue.models) {
    const names = parameters.map(({ name }) => name);
    expect(names[0]).toBe("n");
    for (const name of ["size", "aspect_ratio"].filter((one) => names.includes(one)))
      expect(names.indexOf(name)).toBeGreaterThan(names.indexOf("response_format"));
  }
  expect(model(flux).parameters.at(-1)?.name).toBe("aspect_ratio");
});
