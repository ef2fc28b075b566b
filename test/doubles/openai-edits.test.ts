/** `POST /v1/images/edits` of the OpenAI double against upstream-apis.md §2.1, §2.2 and §2.6. */
import { afterAll, describe, expect, test } from "bun:test";
import OpenAI from "openai";
import { openAiErrorOf } from "./asking.ts";
import { startOpenAi } from "./openai.ts";
import { dataUrl, fileOf, formOf, maskFile, pngFile, postEdit } from "./openai-asking.ts";
import { clearPng, picture } from "./picture.ts";

const double = startOpenAi();
afterAll(() => double.stop());

const fox = picture({ width: 64, height: 64, seed: 1 });
const owl = picture({ width: 32, height: 48, type: "webp", seed: 2 });
const clear = clearPng(64, 64);
const reference = { image_url: dataUrl(fox) };
const invalid = "invalid_request_error";
const image = "image_generation_user_error";

const multipart = (fields: Record<string, string | File | File[]> = {}) =>
  formOf({ model: "gpt-image-2", prompt: "add a hat", image: pngFile(), ...fields });
const bare = (fields: Record<string, string | File | File[]>) =>
  formOf({ model: "gpt-image-2", prompt: "add a hat", ...fields });
const body = (fields: Record<string, unknown> = {}) => ({
  model: "gpt-image-2",
  prompt: "add a hat",
  images: [reference],
  ...fields,
});

describe("what is made", () => {
  test("multipart: images and mask are kept as they came, and counted in usage", async () => {
    const before = double.billed;
    const files = [pngFile(), fileOf(owl, "owl.webp", "image/webp")];
    const response = await postEdit(
      double,
      bare({ image: files, mask: maskFile(), n: "2", size: "1024x1024", quality: "low" }),
    );
    expect(response.status).toBe(200);
    const answer = (await response.json()) as { data: { b64_json: string }[]; usage: Record<string, unknown> };
    expect(answer).toMatchObject({ background: "opaque", output_format: "png", quality: "low", size: "1024x1024" });
    expect(answer.data.map((entry) => Object.keys(entry))).toEqual([["b64_json"], ["b64_json"]]);
    expect(answer.usage).toMatchObject({
      input_tokens_details: { image_tokens: 2 * (65 + 129) },
      output_tokens: 392,
      output_tokens_details: { image_tokens: 392, text_tokens: 0 },
    });
    expect(double.billed - before).toBe(2);
    expect(double.inputs.map(({ field, contentType, fileName }) => [field, contentType, fileName])).toEqual([
      ["image", "image/png", "fox-1.png"],
      ["image", "image/webp", "owl.webp"],
      ["mask", "image/png", "mask.png"],
    ]);
    expect(double.inputs.map(({ bytes }) => bytes)).toEqual([fox, owl, clear]);
    expect(double.lastRequest).toMatchObject({ stage: "create", usage: answer.usage });
    expect(double.inputsOf(double.requests[0] as never)).toBe(double.inputs);
  });

  test("JSON: data URLs are read, other addresses and file ids are noted", async () => {
    const far = "https://pictures.example/fox.png?size=1";
    const images = [reference, { image_url: far }, { file_id: "file-abc" }];
    const response = await postEdit(double, body({ images, mask: { image_url: dataUrl(clear) } }));
    expect(response.status).toBe(200);
    expect(double.inputs).toEqual([
      { field: "image", bytes: fox, contentType: "image/png", fileName: undefined, url: undefined, fileId: undefined },
      { field: "image", bytes: undefined, contentType: undefined, fileName: undefined, url: far, fileId: undefined },
      {
        field: "image",
        bytes: undefined,
        contentType: undefined,
        fileName: undefined,
        url: undefined,
        fileId: "file-abc",
      },
      { field: "mask", bytes: clear, contentType: "image/png", fileName: undefined, url: undefined, fileId: undefined },
    ]);
  });

  const accepted: [name: string, body: FormData | object][] = [
    ["null mask", body({ mask: null })],
    ["16 images", body({ images: Array.from({ length: 16 }, () => reference) })],
    ["one image[]", bare({ image: [pngFile()] })],
    ["high fidelity on 1.5", body({ model: "gpt-image-1.5", input_fidelity: "high" })],
    ["low fidelity on the mini", body({ model: "gpt-image-1-mini", input_fidelity: "low" })],
    ["markup on 2.5", multipart({ model: "gpt-image-2.5-flare", markup: maskFile() })],
    ["a mask without a content type", multipart({ mask: fileOf(clear, "mask", "") })],
    [
      "a mask for an image that is not fetched",
      body({ images: [{ file_id: "file-1" }], mask: { image_url: dataUrl(clear) } }),
    ],
    ["jpeg", multipart({ image: fileOf(picture({ width: 9, height: 9, type: "jpeg" }), "a.jpg", "image/jpeg") })],
  ];
  test.each(accepted)("accepted: %s", async (_, sent) => {
    expect((await postEdit(double, sent)).status).toBe(200);
  });

  test("high fidelity costs more input tokens", async () => {
    const tokens = async (fields: object) => {
      const response = await postEdit(double, body({ model: "gpt-image-1.5", ...fields }));
      return ((await response.json()) as { usage: { input_tokens: number } }).usage.input_tokens;
    };
    expect((await tokens({ input_fidelity: "high" })) - (await tokens({}))).toBe(4160);
  });

  test("the official client's edits are understood", async () => {
    const client = new OpenAI({ apiKey: double.key, baseURL: double.url, maxRetries: 0 });
    const made = await client.images
      .edit({
        model: "gpt-image-2.6-sunburst",
        prompt: "add a hat",
        image: [pngFile(64, 64, 1), pngFile(64, 64, 2)],
        n: 2,
        output_format: "svg" as const,
        svg: null,
        complexity: "high",
      })
      .catch((error: unknown) => error);
    expect(made).toMatchObject({ status: 400, param: "n" }); // svg is n = 1: the format and the number got through
    const one = await client.images.edit({
      model: "gpt-image-2.6-sunburst",
      prompt: "add a hat",
      image: pngFile(),
      mask: maskFile(),
      output_format: "svg",
      svg: { model: "gpt-6", reasoning: { effort: "low" } },
    });
    expect(one.svg_usage).toMatchObject({ model: "gpt-6" });
    expect(double.inputs.map(({ field }) => field)).toEqual(["image", "mask"]);
  });
});

/** Body, type, code, param, message: §2.6 and §2.2. A message of undefined is not documented. */
type Row = [
  name: string,
  sent: FormData | object,
  type: string,
  code: string | null,
  param: string | null,
  message?: string,
];

const onlyImages = "Unknown parameter: 'image'. For application/json on /v1/images/edits, use 'images' (array).";
const onlyImage = "Unknown parameter: 'images'. For multipart/form-data use 'image' or 'image[]'.";
const notAnInteger =
  "Invalid type for 'n': expected an integer, but got a string value that could not be converted into an integer.";
const unreadable = (position: number) =>
  `Invalid image file or mode for image ${position}, please check your image file.`;
const junk = new TextEncoder().encode("no picture at all");
const gif = Uint8Array.fromBase64("R0lGODdhAQABAIAAAP///////ywAAAAAAQABAAACAkQBADs=");
const half = picture({ width: 300, height: 300 }).slice(0, 150);

const rows: Row[] = [
  ["JSON image", body({ image: reference }), invalid, "invalid_value", "image", onlyImages],
  ["JSON image[]", body({ "image[]": [reference] }), invalid, "invalid_value", "image[]", onlyImages],
  ["multipart images", multipart({ images: "x" }), invalid, "invalid_value", "images", onlyImage],
  ["no images", body({ images: undefined }), invalid, "missing_required_parameter", "images"],
  ["null images", body({ images: null }), invalid, "invalid_type", "images"],
  ["images an object", body({ images: {} }), invalid, "invalid_type", "images"],
  ["empty images", body({ images: [] }), invalid, "empty_array", "images"],
  [
    "a string member",
    body({ images: ["x"] }),
    invalid,
    "invalid_type",
    "images[0]",
    "Invalid type for 'images[0]': expected an object, but got a string instead.",
  ],
  [
    "17 images",
    body({ images: Array.from({ length: 17 }, () => reference) }),
    invalid,
    "array_above_max_length",
    "images",
  ],
  ["both keys", body({ images: [{ ...reference, file_id: "file-1" }] }), invalid, "invalid_value", "images[0]"],
  ["no key", body({ images: [reference, {}] }), invalid, "invalid_value", "images[1]"],
  [
    "another key",
    body({ images: [{ type: "input_image", ...reference }] }),
    invalid,
    "unknown_parameter",
    "images[0].type",
    "Unknown parameter: 'images[0].type'.",
  ],
  ["no address", body({ images: [{ image_url: "fox.png" }] }), invalid, "invalid_value", "images[0].image_url"],
  ["ftp", body({ images: [{ image_url: "ftp://a/b.png" }] }), invalid, "invalid_value", "images[0].image_url"],
  [
    "a data URL that is not base64",
    body({ images: [{ image_url: "data:image/png;base64,a*b=" }] }),
    invalid,
    "invalid_value",
    "images[0].image_url",
  ],
  [
    "a data URL beyond the limit",
    body({ images: [{ image_url: `data:image/png;base64,${"A".repeat(20_971_520)}` }] }),
    invalid,
    "string_above_max_length",
    "images[0].image_url",
  ],
  ["no file", bare({}), invalid, "missing_required_parameter", "image"],
  [
    "a text for a file",
    bare({ image: "x" }),
    invalid,
    "invalid_type",
    "image",
    "Invalid type for 'image': expected one of an array of files or file, but got a string instead.",
  ],
  [
    "17 files",
    bare({ image: Array.from({ length: 17 }, () => pngFile()) }),
    invalid,
    "array_above_max_length",
    "image",
  ],
  [
    "a content type that is no picture's",
    bare({ image: [pngFile(), fileOf(fox, "fox.png", "application/octet-stream")] }),
    invalid,
    "unsupported_file_mimetype",
    "image[1]",
    "Invalid file 'image[1]': unsupported mimetype ('application/octet-stream'). Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'.",
  ],
  [
    "a heavy mask",
    multipart({ mask: fileOf(new Uint8Array(4 * 1024 * 1024), "m") }),
    invalid,
    "file_too_large",
    "mask",
  ],
  ["response_format", multipart({ response_format: "url" }), invalid, "unknown_parameter", "response_format"],
  ["multipart n=abc", multipart({ n: "abc" }), invalid, "invalid_type", "n", notAnInteger],
  ["multipart n=2.5", multipart({ n: "2.5" }), invalid, "invalid_type", "n", notAnInteger],
  ["multipart n=0", multipart({ n: "0" }), invalid, "integer_below_min_value", "n"],
  ["multipart quality empty", multipart({ quality: "" }), invalid, "invalid_value", "quality"],
  ["multipart stream=yes", multipart({ stream: "yes" }), invalid, "invalid_type", "stream"],
  [
    "fidelity on 2",
    body({ input_fidelity: "low" }),
    image,
    "invalid_input_fidelity_model",
    "input_fidelity",
    "The model 'gpt-image-2' does not support the 'input_fidelity' parameter.",
  ],
  [
    "high fidelity on the mini",
    body({ model: "gpt-image-1-mini", input_fidelity: "high" }),
    invalid,
    "invalid_value",
    "input_fidelity",
  ],
  ["markup before 2.5", multipart({ markup: maskFile() }), invalid, "unknown_parameter", "markup"],
  [
    "markup and mask",
    multipart({ model: "gpt-image-2.5-flare", markup: maskFile(), mask: maskFile() }),
    image,
    "invalid_value",
    "markup",
  ],
  ["a mask as a text", multipart({ mask: "x" }), invalid, "invalid_type", "mask"],
  ["a mask as a string", body({ mask: dataUrl(clear) }), invalid, "invalid_type", "mask"],
  [
    "unreadable, the third",
    bare({ image: [pngFile(), pngFile(), fileOf(junk, "x.png")] }),
    image,
    "invalid_image_file",
    null,
    unreadable(3),
  ],
  ["a gif", multipart({ image: fileOf(gif, "x.png") }), image, "invalid_image_file", null, unreadable(1)],
  ["half a png", body({ images: [{ image_url: dataUrl(half) }] }), image, "invalid_image_file", null, unreadable(1)],
  [
    "a mask of another size",
    multipart({ mask: maskFile(64, 63) }),
    image,
    "invalid_mask_image_format",
    null,
    "Invalid mask image format - mask size does not match image size",
  ],
  [
    "a mask without alpha",
    multipart({ mask: pngFile() }),
    image,
    "invalid_mask_image_format",
    null,
    "Invalid mask image format - mask image missing alpha channel",
  ],
  ["a webp mask", multipart({ mask: fileOf(owl, "m.webp") }), image, "invalid_mask_image_format", null],
  ["dall-e", body({ model: "dall-e-3" }), image, "invalid_value", "model", "The model 'dall-e-3' does not exist."],
  ["moderation", multipart({ prompt: "[[moderate]]" }), image, "moderation_blocked", null],
];

for (const row of rows) {
  test(`refused: ${row[0]}`, () => refused(row));
}

async function refused([, sent, type, code, param, message]: Row): Promise<void> {
  const before = double.billed;
  const error = await openAiErrorOf(await postEdit(double, sent));
  expect(error).toMatchObject({ status: 400, type, code, param, ...(message ? { message } : {}) });
  expect(double.billed).toBe(before);
}

test("a name given twice is refused unless it is a list", async () => {
  const form = multipart();
  form.append("image", pngFile(64, 64, 2));
  const error = await openAiErrorOf(await postEdit(double, form));
  expect(error).toMatchObject({ status: 400, param: "image" });
  expect(error.message).toStartWith("Duplicate parameter: 'image'. You provided multiple values");
  const both = bare({ image: [pngFile()] });
  both.append("image", pngFile());
  expect(await openAiErrorOf(await postEdit(double, both))).toMatchObject({ code: "invalid_value", param: "image" });
});

test("50 MB is too heavy for a file", async () => {
  const form = multipart({ image: fileOf(new Uint8Array(50 * 1024 * 1024), "x.png") });
  expect(await openAiErrorOf(await postEdit(double, form))).toMatchObject({ code: "file_too_large", param: "image" });
});

test("the order of looking: model, unknown keys, prompt, images, n, the rest, the pictures' insides", async () => {
  const sent: Record<string, unknown> = { model: "sdxl", extra: 1, prompt: "", images: ["x"], n: 0, size: "bogus" };
  Object.assign(sent, { quality: "hd", output_compression: 101 });
  const mend: Record<string, unknown> = { model: "gpt-image-2", extra: undefined, prompt: "a hat", n: 1 };
  Object.assign(mend, { quality: "low", output_compression: 100, size: "auto" });
  const seen: (string | null)[] = [];
  for (let count = 0; count < 9; count += 1) {
    const { param, code } = await openAiErrorOf(await postEdit(double, sent));
    seen.push(param ?? code);
    if (param === "images[0]") sent.images = [{ image_url: dataUrl(junk) }];
    else sent[param ?? ""] = mend[param ?? ""];
    if (param === null) break;
  }
  const expected = ["model", "extra", "prompt", "images[0]", "n", "quality", "output_compression", "size"];
  expect(seen).toEqual([...expected, "invalid_image_file"]);
  expect(double.inputs.map(({ bytes }) => bytes)).toEqual([junk]);
});

test("bodies that cannot be read, and a form for a generation", async () => {
  const headers = { authorization: `Bearer ${double.key}` };
  const send = (path: string, sent: RequestInit["body"], type?: string) =>
    fetch(`${double.url}/images/${path}`, {
      method: "POST",
      headers: type ? { ...headers, "content-type": type } : headers,
      body: sent ?? null,
    });
  expect((await send("edits", "--x\r\nbroken", "multipart/form-data; boundary=x")).status).toBe(400);
  const nameless = "--x\r\ncontent-disposition: form-data\r\n\r\n1\r\n--x--\r\n";
  expect((await send("edits", nameless, "multipart/form-data; boundary=x")).status).toBe(400);
  expect((await send("edits", "model=gpt-image-2", "application/x-www-form-urlencoded")).status).toBe(400);
  expect((await send("generations", formOf({ model: "gpt-image-2", prompt: "x" }))).status).toBe(400);
  expect((await postEdit(double, body(), { authorization: "Bearer sk-no" })).status).toBe(401);
});
