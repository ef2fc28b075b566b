/** What every rule of every model refuses, and in which words. Messages: upstream-apis.md §2.6 [M]. */

import { type Body, dallE2, dallE3, flux, type Refusal, stableDiffusion } from "./support.ts";

/** Recorded forms of refusal, spelled out here a second time so that a slip in the code shows. */
export const refusals = {
  type: (param: string, expected: string, got: string) => ({
    code: "invalid_type",
    param,
    message: `Invalid type for '${param}': expected ${expected}, but got ${got} instead.`,
  }),
  below: (param: string, bound: number, got: number) => ({
    code: "integer_below_min_value",
    param,
    message: `Invalid '${param}': integer below minimum value. Expected a value >= ${bound}, but got ${got} instead.`,
  }),
  above: (param: string, bound: number, got: number) => ({
    code: "integer_above_max_value",
    param,
    message: `Invalid '${param}': integer above maximum value. Expected a value <= ${bound}, but got ${got} instead.`,
  }),
  value: (param: string, message: string) => ({ code: "invalid_value", param, message }),
  list: (param: string, got: string, list: string) => ({
    code: "invalid_value",
    param,
    message: `Invalid value: '${got}'. Supported values are: ${list}.`,
  }),
  unknown: (param: string) => ({ code: "unknown_parameter", param, message: `Unknown parameter: '${param}'.` }),
  tooLong: (param: string, limit: number, length: number) => ({
    code: "string_above_max_length",
    param,
    message: `Invalid '${param}': string too long. Expected a string with maximum length ${limit}, but got a string with length ${length} instead.`,
  }),
};

/** By model. */
export const refused: Record<string, Array<[Body, Refusal]>> = {
  [dallE3]: [
    [{ n: 2 }, refusals.above("n", 1, 2)],
    [{ size: "512x512" }, refusals.list("size", "512x512", "'1024x1024', '1792x1024', and '1024x1792'")],
    [{ size: "auto" }, refusals.list("size", "auto", "'1024x1024', '1792x1024', and '1024x1792'")],
    [{ size: "1024X1024" }, refusals.list("size", "1024X1024", "'1024x1024', '1792x1024', and '1024x1792'")],
    [{ size: 1024 }, refusals.type("size", "a string", "an integer")],
    [{ quality: "high" }, refusals.list("quality", "high", "'standard' and 'hd'")],
    [{ quality: "HD" }, refusals.list("quality", "HD", "'standard' and 'hd'")],
    [{ quality: ["hd"] }, refusals.type("quality", "a string", "an array")],
    [{ style: "anime" }, refusals.list("style", "anime", "'vivid' and 'natural'")],
    [{ style: "" }, refusals.list("style", "", "'vivid' and 'natural'")],
    [{ seed: 1 }, refusals.unknown("seed")],
    [{ aspect_ratio: "1:1" }, refusals.unknown("aspect_ratio")],
    [{ output_format: "png" }, refusals.unknown("output_format")],
    [{ background: "transparent" }, refusals.unknown("background")],
    [{ prompt: "x".repeat(4001) }, refusals.tooLong("prompt", 4000, 4001)],
  ],
  [dallE2]: [
    [{ n: 11 }, refusals.above("n", 10, 11)],
    [{ size: "1792x1024" }, refusals.list("size", "1792x1024", "'256x256', '512x512', and '1024x1024'")],
    [{ quality: "hd" }, refusals.list("quality", "hd", "'standard'")],
    [{ style: "vivid" }, refusals.unknown("style")],
    [{ style: null }, refusals.unknown("style")],
    [{ prompt: "x".repeat(1001) }, refusals.tooLong("prompt", 1000, 1001)],
  ],
  [stableDiffusion]: [
    [{ n: 11 }, refusals.above("n", 10, 11)],
    [{ size: "1024x768" }, refusals.list("size", "1024x768", "'1024x1024'")],
    [
      { aspect_ratio: "4:3" },
      refusals.list("aspect_ratio", "4:3", "'21:9', '16:9', '3:2', '5:4', '1:1', '4:5', '2:3', '9:16', and '9:21'"),
    ],
    [
      { size: "1024x1024", aspect_ratio: "1:1" },
      refusals.value(
        "aspect_ratio",
        "Invalid 'aspect_ratio': it cannot be combined with 'size'. Drop 'size' to use 'aspect_ratio', or drop 'aspect_ratio' to use 'size'.",
      ),
    ],
    [{ seed: -1 }, refusals.below("seed", 0, -1)],
    [{ seed: 4294967295 }, refusals.above("seed", 4294967294, 4294967295)],
    [{ seed: 1.5 }, refusals.type("seed", "an integer", "a decimal number")],
    [{ seed: "1" }, refusals.type("seed", "an integer", "a string")],
    [
      { seed: 4294967286, n: 10 },
      {
        code: "integer_above_max_value",
        param: "seed",
        message:
          "Invalid 'seed': integer above maximum value. Each of the 10 images uses the next seed. Expected a value <= 4294967285, but got 4294967286 instead.",
      },
    ],
    [{ negative_prompt: "x".repeat(10001) }, refusals.tooLong("negative_prompt", 10000, 10001)],
    [{ negative_prompt: 1 }, refusals.type("negative_prompt", "a string", "an integer")],
    [{ output_format: "jpg" }, refusals.list("output_format", "jpg", "'png', 'jpeg', and 'webp'")],
    [{ quality: "standard" }, refusals.unknown("quality")],
    [{ style_preset: "anime" }, refusals.unknown("style_preset")],
    [{ prompt: "x".repeat(10001) }, refusals.tooLong("prompt", 10000, 10001)],
  ],
  [flux]: [
    [{ n: 11 }, refusals.above("n", 10, 11)],
    ...["1000x1000", "1024x1000", "224x1024", "1472x1024", "1024x1472", "100000000000000000000x32"].map(
      (size): [Body, Refusal] => [
        { size },
        refusals.value(
          "size",
          `Invalid size '${size}'. Width and height must both be divisible by 32 and between 256 and 1440.`,
        ),
      ],
    ),
    ...[
      "bogus",
      "auto",
      "",
      "1024",
      "1024x",
      "x1024",
      "1024x1024x1024",
      "1024X1024",
      "01024x1024",
      "-32x32",
      "1e3x1e3",
      " 1024x1024",
      "1024x1024\n",
    ].map((size): [Body, Refusal] => [
      { size },
      refusals.value(
        "size",
        `Invalid size '${size}'. Expected WIDTHxHEIGHT, for example '1024x768'; width and height must both be divisible by 32 and between 256 and 1440.`,
      ),
    ]),
    [{ size: { width: 1024 } }, refusals.type("size", "a string", "an object")],
    [
      { aspect_ratio: "custom" },
      refusals.list("aspect_ratio", "custom", "'1:1', '16:9', '3:2', '2:3', '4:5', '5:4', '9:16', '3:4', and '4:3'"),
    ],
    [
      { aspect_ratio: "16:9", size: "1024x1024" },
      refusals.value(
        "aspect_ratio",
        "Invalid 'aspect_ratio': it cannot be combined with 'size'. Drop 'size' to use 'aspect_ratio', or drop 'aspect_ratio' to use 'size'.",
      ),
    ],
    [{ width: 1024 }, refusals.unknown("width")],
    [{ seed: 2147483648 }, refusals.above("seed", 2147483647, 2147483648)],
    [{ seed: 1e300 }, refusals.above("seed", 2147483647, 1e300)],
    [{ output_format: "gif" }, refusals.list("output_format", "gif", "'webp', 'jpg', 'jpeg', and 'png'")],
    [{ steps: 0 }, refusals.below("steps", 1, 0)],
    [{ steps: 51 }, refusals.above("steps", 50, 51)],
    [{ steps: true }, refusals.type("steps", "an integer", "a boolean")],
    [
      { guidance: 1.9 },
      refusals.value(
        "guidance",
        "Invalid 'guidance': number below minimum value. Expected a value >= 2, but got 1.9 instead.",
      ),
    ],
    [
      { guidance: 5.1 },
      refusals.value(
        "guidance",
        "Invalid 'guidance': number above maximum value. Expected a value <= 5, but got 5.1 instead.",
      ),
    ],
    [{ guidance: "3" }, refusals.type("guidance", "a number", "a string")],
    [{ guidance: Number.NaN }, refusals.type("guidance", "a number", "a decimal number")],
    [
      { interval: 0.5 },
      refusals.value(
        "interval",
        "Invalid 'interval': number below minimum value. Expected a value >= 1, but got 0.5 instead.",
      ),
    ],
    [
      { interval: 5 },
      refusals.value(
        "interval",
        "Invalid 'interval': number above maximum value. Expected a value <= 4, but got 5 instead.",
      ),
    ],
    [{ safety_tolerance: 0 }, refusals.below("safety_tolerance", 1, 0)],
    [{ safety_tolerance: 7 }, refusals.above("safety_tolerance", 6, 7)],
    [{ output_quality: -1 }, refusals.below("output_quality", 0, -1)],
    [{ output_quality: 101 }, refusals.above("output_quality", 100, 101)],
    [{ prompt_upsampling: "true" }, refusals.type("prompt_upsampling", "a boolean", "a string")],
    [{ prompt_upsampling: 1 }, refusals.type("prompt_upsampling", "a boolean", "an integer")],
    ...["http://example.com/a.png", "data:image/png;base64,AA==", "a.png", ""].map((url): [Body, Refusal] => [
      { image_prompt: url },
      refusals.value("image_prompt", `Invalid value: '${url}'. Expected an https URL.`),
    ]),
    [{ image_prompt: 1 }, refusals.type("image_prompt", "a string", "an integer")],
    [{ style: "vivid" }, refusals.unknown("style")],
    [{ negative_prompt: "x" }, refusals.unknown("negative_prompt")],
  ],
};

/** The same for every model. */
export const refusedEverywhere: Array<[Body, Refusal]> = [
  [{ n: 0 }, refusals.below("n", 1, 0)],
  [{ n: -1 }, refusals.below("n", 1, -1)],
  [{ n: 1.5 }, refusals.type("n", "an integer", "a decimal number")],
  [{ n: "1" }, refusals.type("n", "an integer", "a string")],
  [{ n: [1] }, refusals.type("n", "an integer", "an array")],
  [{ n: {} }, refusals.type("n", "an integer", "an object")],
  [{ n: true }, refusals.type("n", "an integer", "a boolean")],
  [{ n: Number.NaN }, refusals.type("n", "an integer", "a decimal number")],
  [{ n: Number.POSITIVE_INFINITY }, refusals.type("n", "an integer", "a decimal number")],
  [{ response_format: "png" }, refusals.list("response_format", "png", "'url' and 'b64_json'")],
  [{ response_format: 1 }, refusals.type("response_format", "a string", "an integer")],
  [{ user: 1 }, refusals.type("user", "a string", "an integer")],
  [{ stream: "true" }, refusals.type("stream", "a boolean", "a string")],
  [{ images: [] }, refusals.unknown("images")],
  [{ mask: {} }, refusals.unknown("mask")],
  [{ markup: {} }, refusals.unknown("markup")],
  [{ image: "x" }, refusals.unknown("image")],
  [{ input_fidelity: "low" }, refusals.unknown("input_fidelity")],
  [{ foo: 1 }, refusals.unknown("foo")],
  [{ foo: null }, refusals.unknown("foo")],
  [{ constructor: 1 }, refusals.unknown("constructor")],
  [{ toString: 1 }, refusals.unknown("toString")],
  [JSON.parse('{"__proto__": {"n": 2}}'), refusals.unknown("__proto__")],
  [{ Prompt: "x" }, refusals.unknown("Prompt")],
  [
    { prompt: "" },
    {
      code: "empty_string",
      param: "prompt",
      message:
        "Invalid 'prompt': empty string. Expected a string with minimum length 1, but got an empty string instead.",
    },
  ],
  [{ prompt: null }, refusals.type("prompt", "a string", "null")],
  [{ prompt: 1 }, refusals.type("prompt", "a string", "an integer")],
  [{ prompt: 1.5 }, refusals.type("prompt", "a string", "a decimal number")],
  [{ prompt: ["x"] }, refusals.type("prompt", "a string", "an array")],
  [{ prompt: { text: "x" } }, refusals.type("prompt", "a string", "an object")],
  [{ prompt: false }, refusals.type("prompt", "a string", "a boolean")],
];
