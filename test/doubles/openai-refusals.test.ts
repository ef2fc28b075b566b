/** Every 400 of the OpenAI double against upstream-apis.md §2.6 and §2.2: one row per documented message. */
import { afterAll, expect, test } from "bun:test";
import { openAiErrorOf, postOpenAi } from "./asking.ts";
import { startOpenAi } from "./openai.ts";

const double = startOpenAi();
afterAll(() => double.stop());

const gpt = (fields: Record<string, unknown> = {}) => ({ model: "gpt-image-2", prompt: "a fox", ...fields });
const dalle2 = (fields: Record<string, unknown> = {}) => ({ model: "dall-e-2", prompt: "a fox", ...fields });
const dalle3 = (fields: Record<string, unknown> = {}) => ({ model: "dall-e-3", prompt: "a fox", ...fields });
const invalid = "invalid_request_error";
const image = "image_generation_user_error";
const tooLong = (most: number, length: number) =>
  `Invalid 'prompt': string too long. Expected a string with maximum length ${most}, but got a string with length ${length} instead.`;
const aboveMax = "Invalid 'n': integer above maximum value. Expected a value <= 10, but got 11 instead.";
const belowMin = "Invalid 'n': integer below minimum value. Expected a value >= 1, but got 0 instead.";
const notStandard = (quality: string) =>
  `Invalid value: '${quality}'. Supported values are: 'low', 'medium', 'high', and 'auto'.`;

/** Body, type, code, param, message: §2.6 unless said otherwise. A message of undefined is not documented. */
type Row = [name: string, body: unknown, type: string, code: string | null, param: string | null, message?: string];

const rows: Row[] = [
  ["no model", { prompt: "a fox" }, invalid, "missing_required_parameter", "model"],
  ["null model", gpt({ model: null }), invalid, "invalid_type", "model"],
  ["unknown model", gpt({ model: "sdxl" }), image, "invalid_value", "model", "The model 'sdxl' does not exist."],
  [
    "unknown field",
    gpt({ negative_prompt: "x" }),
    invalid,
    "unknown_parameter",
    "negative_prompt",
    "Unknown parameter: 'negative_prompt'.",
  ],
  [
    "response_format",
    gpt({ response_format: "url" }),
    invalid,
    "unknown_parameter",
    "response_format",
    "Unknown parameter: 'response_format'.",
  ],
  ["null style", gpt({ style: null }), invalid, "unknown_parameter", "style", "Unknown parameter: 'style'."],
  ["images", gpt({ images: [] }), invalid, "unknown_parameter", "images", "Unknown parameter: 'images'."],
  ["mask", gpt({ mask: {} }), invalid, "unknown_parameter", "mask", "Unknown parameter: 'mask'."],
  ["input_fidelity", gpt({ input_fidelity: "high" }), invalid, "unknown_parameter", "input_fidelity"],
  ["complexity before 2.6", gpt({ complexity: "low" }), invalid, "unknown_parameter", "complexity"],
  ["no prompt", { model: "gpt-image-2" }, invalid, "missing_required_parameter", "prompt"],
  ["null prompt", gpt({ prompt: null }), invalid, "invalid_type", "prompt"],
  ["empty prompt", gpt({ prompt: "" }), invalid, "empty_string", "prompt"],
  [
    "long prompt",
    gpt({ prompt: "x".repeat(50_733) }),
    invalid,
    "string_above_max_length",
    "prompt",
    tooLong(32_000, 50_733),
  ],
  ["n 0", gpt({ n: 0 }), invalid, "integer_below_min_value", "n", belowMin],
  ["n 11", gpt({ n: 11 }), invalid, "integer_above_max_value", "n", aboveMax],
  [
    "n 1.5",
    gpt({ n: 1.5 }),
    invalid,
    "invalid_type",
    "n",
    "Invalid type for 'n': expected an integer, but got a decimal number instead.",
  ],
  ["quality hd", gpt({ quality: "hd" }), invalid, "invalid_value", "quality", notStandard("hd")],
  ["quality standard", gpt({ quality: "standard" }), invalid, "invalid_value", "quality", notStandard("standard")],
  ["quality max on 2", gpt({ quality: "max" }), invalid, "invalid_value", "quality", notStandard("max")],
  [
    "moderation",
    gpt({ moderation: "high" }),
    invalid,
    "invalid_value",
    "moderation",
    "Invalid value: 'high'. Supported values are: 'auto' and 'low'.",
  ],
  ["background", gpt({ background: "blue" }), invalid, "invalid_value", "background"],
  ["null background", gpt({ background: null }), invalid, "invalid_type", "background"],
  ["gif", gpt({ output_format: "gif" }), invalid, "invalid_value", "output_format"],
  ["compression 101", gpt({ output_compression: 101 }), invalid, "integer_above_max_value", "output_compression"],
  ["compressed png", gpt({ output_compression: 50 }), image, "invalid_value", "output_compression"],
  ["partial_images 4", gpt({ partial_images: 4 }), invalid, "integer_above_max_value", "partial_images"],
  [
    "transparent jpeg",
    gpt({ background: "transparent", output_format: "jpeg" }),
    image,
    "invalid_value",
    "background",
    "Transparent background is not supported for JPEG output format",
  ],
  [
    "fixed size",
    { ...gpt({ size: "512x512" }), model: "gpt-image-1.5" },
    invalid,
    "invalid_value",
    "size",
    "Invalid value: '512x512'. Supported values are: '1024x1024', '1024x1536', '1536x1024', and 'auto'.",
  ],
  [
    "size bogus",
    gpt({ size: "bogus" }),
    image,
    "invalid_value",
    "size",
    "Invalid size 'bogus'. Expected WIDTHxHEIGHT, for example '1824x1024'.",
  ],
  [
    "size not by 16",
    gpt({ size: "1500x1500" }),
    image,
    "invalid_value",
    "size",
    "Invalid size '1500x1500'. Width and height must both be divisible by 16.",
  ],
  [
    "size too long",
    gpt({ size: "3856x2048" }),
    image,
    "invalid_value",
    "size",
    "Invalid size '3856x2048'. The longest edge must be less than or equal to 3840.",
  ],
  ["size too narrow", gpt({ size: "3200x1024" }), image, "invalid_value", "size"],
  [
    "size 640,000",
    gpt({ size: "800x800" }),
    image,
    "invalid_value",
    "size",
    "Invalid size '800x800'. Requested resolution is below the current minimum pixel budget.",
  ],
  [
    "size 9,048,064",
    gpt({ size: "3008x3008" }),
    image,
    "invalid_value",
    "size",
    "Invalid size '3008x3008'. Requested resolution exceeds the current pixel budget.",
  ],
  ["moderation of GPT", gpt({ prompt: "[[moderate]]" }), image, "moderation_blocked", null],
  ["moderation of output", gpt({ prompt: "[[fail:E005]]" }), image, "moderation_blocked", null],
  ["dall-e-3 n 2 (§2.6 legacy)", dalle3({ n: 2 }), invalid, null, null, "You must provide n=1 for this model."],
  ["dall-e-3 n 0", dalle3({ n: 0 }), invalid, "integer_below_min_value", "n", belowMin],
  ["dall-e-2 n 11", dalle2({ n: 11 }), invalid, "integer_above_max_value", "n", aboveMax],
  [
    "dall-e-3 size",
    dalle3({ size: "512x512" }),
    invalid,
    null,
    null,
    "'512x512' is not one of ['1024x1024', '1792x1024', '1024x1792'] - 'size'",
  ],
  [
    "dall-e-2 size",
    dalle2({ size: "1792x1024" }),
    invalid,
    "invalid_size",
    "size",
    "The size is not supported by this model.",
  ],
  [
    "dall-e-3 prompt",
    dalle3({ prompt: "x".repeat(4001) }),
    invalid,
    "string_above_max_length",
    "prompt",
    tooLong(4000, 4001),
  ],
  [
    "dall-e-2 prompt",
    dalle2({ prompt: "x".repeat(1001) }),
    invalid,
    "string_above_max_length",
    "prompt",
    tooLong(1000, 1001),
  ],
  ["dall-e-2 quality hd", dalle2({ quality: "hd" }), invalid, "invalid_value", "quality"],
  [
    "dall-e-3 quality high",
    dalle3({ quality: "high" }),
    invalid,
    "invalid_value",
    "quality",
    "Invalid value: 'high'. Supported values are: 'standard' and 'hd'.",
  ],
  [
    "dall-e-3 style",
    dalle3({ style: "pop" }),
    invalid,
    "invalid_value",
    "style",
    "Invalid value: 'pop'. Supported values are: 'vivid' and 'natural'.",
  ],
  ["dall-e-2 style", dalle2({ style: "vivid" }), invalid, "unknown_parameter", "style"],
  [
    "dall-e-3 response_format",
    dalle3({ response_format: "png" }),
    invalid,
    "invalid_value",
    "response_format",
    "Invalid value: 'png'. Supported values are: 'url' and 'b64_json'.",
  ],
  ["dall-e-3 background", dalle3({ background: "opaque" }), invalid, "unknown_parameter", "background"],
  [
    "dall-e moderation",
    dalle3({ prompt: "[[moderate]]" }),
    invalid,
    "content_policy_violation",
    null,
    "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our safety system.",
  ],
];

for (const row of rows) {
  test(row[0], () => refused(row));
}

async function refused([, body, type, code, param, message]: Row): Promise<void> {
  const before = double.billed;
  const response = await postOpenAi(double, body);
  const raw = (await response.clone().json()) as { error: object };
  for (const key of ["message", "type", "param", "code"]) expect(raw.error).toHaveProperty(key);
  expect(await openAiErrorOf(response)).toMatchObject({
    status: 400,
    type,
    code,
    param,
    ...(message ? { message } : {}),
  });
  expect(double.billed).toBe(before);
}

test("the order of looking: model, unknown keys, prompt, n, quality, compression, size", async () => {
  const body: Record<string, unknown> = { model: "sdxl", extra: 1, prompt: "", n: 0, quality: "hd" };
  Object.assign(body, { output_compression: 101, size: "bogus" });
  const seen: (string | null)[] = [];
  const mend: Record<string, unknown> = { model: "gpt-image-2", extra: undefined, prompt: "a fox", n: 1 };
  Object.assign(mend, { quality: "low", output_compression: 100 });
  for (let count = 0; count < 7; count += 1) {
    const { param } = await openAiErrorOf(await postOpenAi(double, body));
    seen.push(param);
    body[param ?? ""] = mend[param ?? ""];
  }
  expect(seen).toEqual(["model", "extra", "prompt", "n", "quality", "output_compression", "size"]);
});
