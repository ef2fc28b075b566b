/** `POST /v1/images/edits`: a form or JSON, the client's pictures to the byte, and nothing of them left behind. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type PictureType, picture } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { readEvents } from "./events.ts";
import {
  at,
  bytesOf,
  dallE3,
  expectError,
  type GenerationObject,
  imagesOf,
  type Json,
  jsonOf,
  pictureOf,
  startUpstreams,
  until,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const gpt = "openai/gpt-image-2";
const prompt = "add a hat";
const upstreams = startUpstreams();
const { openai } = upstreams;
let router: TestRouter;
beforeAll(async () => {
  router = await startRouter({ env: { ...upstreams.env, AROUTER_UPSTREAM_RETRIES: "0" } });
});
afterEach(async () => {
  upstreams.clear();
  openai.latencyMs = 0;
  openai.eventDelayMs = 0;
  // Whatever became of it: no test leaves a picture behind.
  await until(() => (inputsLeft().length === 0 ? true : undefined));
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

function inputsLeft(): string[] {
  const folder = join(router.dataFolder, "inputs");
  return existsSync(folder) ? readdirSync(folder) : [];
}

const png = (seed: number, width = 64, height = 64, type: PictureType = "png") =>
  picture({ width, height, seed, type });
const file = (bytes: Uint8Array, name = "cat.png", type = "image/png") =>
  new File([bytes as Uint8Array<ArrayBuffer>], name, { type });
/** With an alpha channel, as OpenAI wants its masks. */
const mask = Uint8Array.fromBase64(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
);
const onePixel = (seed: number) => png(seed, 1, 1);

type Field = [name: string, value: string | File];
const low: Field[] = [
  ["model", gpt],
  ["prompt", prompt],
  ["size", "1024x1024"],
  ["quality", "low"],
];
interface Options {
  key?: string;
  headers?: Record<string, string>;
}
function send(
  body: NonNullable<RequestInit["body"]>,
  { key = router.keys.live, headers = {} }: Options = {},
): Promise<Response> {
  return fetch(`${router.url}/v1/images/edits`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, ...headers },
    body,
  });
}
function form(fields: Field[], options?: Options): Promise<Response> {
  const data = new FormData();
  for (const [name, value] of fields) data.append(name, value);
  return send(data, options);
}
const json = (body: Json, { key, headers = {} }: Options = {}) =>
  send(JSON.stringify({ model: gpt, prompt, size: "1024x1024", quality: "low", ...body }), {
    ...(key === undefined ? {} : { key }),
    headers: { "content-type": "application/json", ...headers },
  });
const dataUrl = (bytes: Uint8Array, type = "image/png") => `data:${type};base64,${bytes.toBase64()}`;
const received = () => openai.inputs.map(({ field, bytes }) => [field, sha256(bytes ?? new Uint8Array())]);
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
const recordOf = async (response: Response) => {
  const id = response.headers.get("x-arouter-generation-id") ?? "";
  return jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`));
};

describe("a form", () => {
  test("one picture as `image`, several as `image[]` or as `image` again: to the byte, in order", async () => {
    for (const names of [["image"], ["image[]", "image[]", "image[]"], ["image", "image"]]) {
      const pictures = names.map((_, index) => png(100 + index));
      const response = await form([...low, ...names.map((name, index): Field => [name, file(at(pictures, index))])]);
      const { data } = await imagesOf(response);
      expect(await pictureOf(await bytesOf(at(data)))).toBe("1024x1024 png");
      expect(received()).toEqual(pictures.map((bytes) => ["image", sha256(bytes)]));
    }
  });

  test("a mask beside, every type, and pictures before the words", async () => {
    const fields: Field[] = [["image[]", file(onePixel(5))], ["mask", file(mask)], ...low];
    await imagesOf(await form(fields));
    expect(received()).toEqual([
      ["image", sha256(onePixel(5))],
      ["mask", sha256(mask)],
    ]);
    for (const type of ["png", "jpeg", "webp"] as const) {
      const bytes = png(6, 64, 48, type);
      await imagesOf(await form([...low, ["image", file(bytes, `cat.${type}`, `image/${type}`)]]));
      expect(received()).toEqual([["image", sha256(bytes)]]);
    }
  });

  test("texts become what the parameters are", async () => {
    const extra: Field[] = [
      ["n", "2"],
      ["output_format", "jpeg"],
      ["output_compression", "80"],
      ["user", "12"],
      ["models[]", "openai/gpt-image-2.5-flare"],
      ["provider[only][]", "openai"],
      ["provider[allow_fallbacks]", "false"],
    ];
    const response = await form([...low, ...extra, ["image", file(png(1))]]);
    const { data } = await imagesOf(response);
    expect(data).toHaveLength(2);
    const { requested } = await recordOf(response);
    expect(requested).toMatchObject({
      n: 2,
      output_compression: 80,
      user: "12",
      models: ["openai/gpt-image-2.5-flare"],
      provider: { only: ["openai"], allow_fallbacks: false },
      images: [{ sha256: sha256(png(1)), bytes: png(1).length, content_type: "image/png" }],
    });
  });

  test("objects may be JSON too, and a stream is asked for with `true`", async () => {
    const extra: Field[] = [
      ["provider", '{"only":["openai"]}'],
      ["stream", "true"],
      ["partial_images", "1"],
    ];
    const { events } = await readEvents(await form([...low, ...extra, ["image", file(png(2))]]));
    expect(events.map(({ name }) => name)).toEqual(["image_edit.partial_image", "image_edit.completed"]);
    expect(Object.keys(at(events, 1).data).slice(0, 3)).toEqual(["type", "b64_json", "created_at"]);
    expect(at(events, 1).data).toMatchObject({ type: "image_edit.completed", size: "1024x1024", quality: "low" });
    expect(at(events, 1).data.usage).toEqual(openai.lastRequest?.usage as Json);
  });

  test("no previews, said aloud, are fine with a model that has none", async () => {
    const fields: Field[] = [
      ["model", "stability/stable-diffusion-3.5-large"],
      ["prompt", prompt],
      ["strength", "0.5"],
      ["partial_images", "0"],
    ];
    expect((await form([...fields, ["image", file(png(6))]], { key: router.keys.test })).status).toBe(200);
  });

  test("a large picture goes through, byte for byte", async () => {
    const large = new Uint8Array(20_000_000);
    large.set(png(3));
    for (let at = png(3).length; at < large.length; at += 1) large[at] = at % 251;
    // Anything a boundary is made of, all over the picture.
    for (let at = 10_000; at < large.length; at += 65_521) large.set(new TextEncoder().encode("\r\n----"), at);
    const words = low.map(([name, value]): Field => [name, name === "prompt" ? "[[500]]" : value]);
    await expectError(await form([...words, ["image", file(large)]]), "upstream_error");
    expect(received()).toEqual([["image", sha256(large)]]);
  });

  test("the record names its pictures and not its bytes, upstream facts included", async () => {
    const response = await form([...low, ["image", file(png(4))]]);
    const record = await recordOf(response);
    expect(record).toMatchObject({ operation: "edit", status: "succeeded" });
    expect(JSON.stringify(record)).not.toContain(png(4).toBase64().slice(40, 80));
    expect(record.sent).toMatchObject({ model: "gpt-image-2", prompt });
  });
});

describe("JSON", () => {
  test("data URLs, a mask, and the pictures to the byte", async () => {
    const images = [onePixel(1), onePixel(2)];
    const response = await json({
      images: images.map((bytes) => ({ image_url: dataUrl(bytes) })),
      mask: { image_url: dataUrl(mask) },
    });
    await imagesOf(response);
    expect(received()).toEqual([...images.map((bytes) => ["image", sha256(bytes)]), ["mask", sha256(mask)]]);
  });

  test("what a picture is decides, not what it is called", async () => {
    await imagesOf(await json({ images: [{ image_url: dataUrl(png(7, 64, 64, "webp"), "image/png") }] }));
    expect(at(openai.inputs).contentType).toBe("image/webp");
  });

  const cases: Array<[what: string, body: Json, code: string, param: string | null, message?: RegExp]> = [
    ["no pictures", {}, "missing_required_parameter", "images"],
    ["an empty list", { images: [] }, "invalid_value", "images", /empty array/],
    ["null", { images: null }, "invalid_type", "images"],
    ["no list", { images: "x" }, "invalid_type", "images"],
    ["a text in the list", { images: ["https://x.example/a.png"] }, "invalid_type", "images[0]", /expected an object/],
    ["a file id", { images: [{ file_id: "file-1" }] }, "invalid_value", "images[0].file_id", /keeps no uploaded files/],
    ["an empty object", { images: [{}] }, "invalid_value", "images[0]"],
    ["a stranger", { images: [{ image_url: "data:,", url: 1 }] }, "unknown_parameter", "images[0].url"],
    ["a number for an address", { images: [{ image_url: 1 }] }, "invalid_type", "images[0].image_url"],
    ["an empty address", { images: [{ image_url: "" }] }, "empty_string", "images[0].image_url"],
    ["http", { images: [{ image_url: "http://x.example/a.png" }] }, "invalid_value", "images[0].image_url", /https/],
    ["a file address", { images: [{ image_url: "file:///etc/passwd" }] }, "invalid_value", "images[0].image_url"],
    ["no address", { images: [{ image_url: "cat" }] }, "invalid_value", "images[0].image_url"],
    ["no base64", { images: [{ image_url: "data:image/png,cat" }] }, "invalid_image_file", "images[0].image_url"],
    [
      "bad base64",
      { images: [{ image_url: "data:image/png;base64,%%%" }] },
      "invalid_image_file",
      "images[0].image_url",
    ],
    [
      "no picture",
      {
        images: [
          { image_url: dataUrl(onePixel(1)) },
          { image_url: `data:image/png;base64,${btoa("a text, no picture")}` },
        ],
      },
      "invalid_image_file",
      null,
      /Invalid image file or mode for image 2, please check your image file\./,
    ],
    ["the form's name", { image: "x" }, "invalid_value", "image", /use 'images' \(array\)/],
    ["the form's other name", { "image[]": "x" }, "invalid_value", "image", /use 'images' \(array\)/],
    [
      "seventeen",
      { images: Array(17).fill({ image_url: dataUrl(onePixel(1)) }) },
      "invalid_value",
      "images",
      /maximum length 16/,
    ],
    [
      "another mask's size",
      { images: [{ image_url: dataUrl(png(1)) }], mask: { image_url: dataUrl(mask) } },
      "invalid_image_file",
      "mask",
    ],
    ["a model that cannot", { model: dallE3, images: [{ image_url: dataUrl(png(1)) }] }, "invalid_value", "model"],
    ["an unknown parameter", { images: [{ image_url: dataUrl(png(1)) }], fancy: 1 }, "unknown_parameter", "fancy"],
  ];
  for (const [what, body, code, param, message] of cases) {
    test(`${what}: ${code}`, async () => {
      const before = openai.requests.length;
      const response = await json(body);
      const { error } = await expectError(response, code, message === undefined ? {} : { message });
      if (code !== "invalid_image_file" || param !== null) expect(error.param).toBe(param);
      expect(openai.requests.length).toBe(before);
    });
  }

  test("links: nothing private is fetched, and the answer does not tell private from unreachable", async () => {
    const words = async (host: string) => {
      const response = await json({ images: [{ image_url: `https://${host}/a.png` }] });
      const { error } = await expectError(response, "invalid_image_file");
      return error.message.replaceAll(host, "HOST");
    };
    const unreachable = await words("nowhere.invalid");
    for (const host of ["127.0.0.1:9", "169.254.169.254", "10.1.2.3", "[::1]", "localhost"]) {
      expect(await words(host)).toBe(unreachable);
    }
  });

  test("what is wrong beside is told before any link is fetched", async () => {
    let asked = 0;
    const own = await startRouter({
      env: upstreams.env,
      resolve: async () => {
        asked += 1;
        throw new Error("no such host");
      },
    });
    try {
      const edit = (body: Json) =>
        fetch(`${own.url}/v1/images/edits`, {
          method: "POST",
          headers: { authorization: `Bearer ${own.keys.live}`, "content-type": "application/json" },
          body: JSON.stringify({ model: gpt, prompt, images: [{ image_url: "https://x.example/a.png" }], ...body }),
        });
      await expectError(await edit({ size: "3x3" }), "invalid_value", { param: "size" });
      await expectError(await edit({ model: dallE3 }), "invalid_value", { param: "model" });
      expect(asked).toBe(0);
      await expectError(await edit({}), "invalid_image_file");
      expect(asked).toBe(1);
    } finally {
      await own.remove();
    }
  });
});

describe("a form that is refused", () => {
  const words = (change: Record<string, string>): Field[] => [
    ...low.filter(([name]) => !(name in change)),
    ...Object.entries(change),
  ];
  const one: Field = ["image", file(png(1))];
  const cases: Array<[what: string, fields: Field[], code: string, param: string | null, message?: RegExp]> = [
    [
      "a text for a number",
      [...words({ n: "abc" }), one],
      "invalid_type",
      "n",
      /^Invalid type for 'n': expected an integer, but got a string value that could not be converted into an integer\.$/,
    ],
    ["a decimal number", [...words({ n: "1.5" }), one], "invalid_type", "n"],
    ["a text for a boolean", [...words({ stream: "maybe" }), one], "invalid_type", "stream"],
    ["a text for an object", [...words({ provider: "openai" }), one], "invalid_type", "provider"],
    ["an unknown text", [...words({ fancy: "1" }), one], "unknown_parameter", "fancy"],
    [
      "an unknown text with a dangerous name",
      [...words({}), ["__proto__", "1"], one],
      "unknown_parameter",
      "__proto__",
    ],
    ["a text twice", [...low, ["size", "1024x1024"], one], "invalid_value", "size", /Duplicate parameter/],
    ["an unknown file", [...low, one, ["cat", file(png(2))]], "unknown_parameter", "cat"],
    ["JSON's name", [...low, ["images", file(png(2))]], "invalid_value", "images", /use 'image' or 'image\[\]'/],
    [
      "JSON's name for a text",
      [...low, one, ["images", "[]"]],
      "invalid_value",
      "images",
      /use 'image' or 'image\[\]'/,
    ],
    [
      "a text for a picture",
      [...low, ["image", "https://x.example/a.png"]],
      "invalid_type",
      "image",
      /expected a file/,
    ],
    ["two masks", [...low, one, ["mask", file(png(1))], ["mask", file(png(2))]], "invalid_value", "mask"],
    ["no pictures", low, "missing_required_parameter", "image"],
    ["no words", [one], "missing_required_parameter", "model"],
    ["a wrong size", [...words({ size: "3x3" }), one], "invalid_value", "size"],
    [
      "no picture among pictures",
      [
        ...low,
        ["image[]", file(png(1))],
        ["image[]", file(png(2))],
        ["image[]", file(new TextEncoder().encode("no picture here"))],
        ["image[]", file(png(3))],
      ],
      "invalid_image_file",
      null,
      /Invalid image file or mode for image 3, please check your image file\./,
    ],
    ["an empty picture", [...low, ["image", file(new Uint8Array(0))]], "invalid_image_file", null],
    [
      "seventeen",
      [...low, ...Array.from({ length: 17 }, (_, seed): Field => ["image[]", file(png(seed))])],
      "invalid_value",
      "image",
      /maximum length 16/,
    ],
  ];
  for (const [what, fields, code, param, message] of cases) {
    test(`${what}: ${code}`, async () => {
      const before = openai.requests.length;
      const { error } = await expectError(await form(fields), code, message === undefined ? {} : { message });
      if (code !== "invalid_image_file") expect(error.param).toBe(param);
      expect(openai.requests.length).toBe(before);
    });
  }

  test("more than 50 MB in a picture, or 4 MB in a mask: 413, and the server goes on", async () => {
    const large = new Uint8Array(51 << 20);
    large.set(png(1));
    await expectError(await form([...low, ["image", file(large)]]), "payload_too_large");
    const overlay = new Uint8Array(5 << 20);
    overlay.set(mask);
    await expectError(await form([...low, ["image", file(onePixel(1))], ["mask", file(overlay)]]), "payload_too_large");
    await expectError(await form([["prompt", "x".repeat(2 << 20)], one]), "payload_too_large");
    await imagesOf(await form([...low, one]));
  });

  test("JSON beyond 32 MB: 413", async () => {
    await expectError(await json({ prompt: "x".repeat(33 << 20) }), "payload_too_large");
  });

  test("a bad picture before many good bytes is answered all the same", async () => {
    const rest = new Uint8Array(8 << 20);
    rest.set(png(1));
    const fields: Field[] = [
      ...low,
      ["image[]", file(new TextEncoder().encode("no picture at all"))],
      ["image[]", file(rest)],
    ];
    await expectError(await form(fields), "invalid_image_file", { message: /image 1/ });
  });
});

describe("a body that is broken", () => {
  const boundary = "xxBOUNDARYxx";
  const multipart = { "content-type": `multipart/form-data; boundary=${boundary}` };
  const part = (header: string, content: string) => `--${boundary}\r\n${header}\r\n\r\n${content}\r\n`;
  const text = (name: string, value: string) => part(`content-disposition: form-data; name="${name}"`, value);
  const start = text("model", gpt) + text("prompt", prompt);
  const end = `--${boundary}--\r\n`;
  const cases: Array<[what: string, body: string, headers?: Record<string, string>]> = [
    ["no boundary named", start + end, { "content-type": "multipart/form-data" }],
    ["another boundary named", start + end, { "content-type": "multipart/form-data; boundary=other" }],
    ["no end", start],
    ["an end within a text", start.slice(0, -8)],
    [
      "an end within a picture",
      `${start}--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="a"\r\n\r\nabc`,
    ],
    ["a part without a name", start + part("content-disposition: form-data", "x") + end],
    ["a part without a disposition", start + part("content-type: text/plain", "x") + end],
    ["a part that is no form's", start + part('content-disposition: attachment; name="n"', "1") + end],
    [
      "a part without an end of its header",
      `${start}--${boundary}\r\ncontent-disposition: form-data; name="n"\r\n${end}`,
    ],
    [
      "an encoded part",
      start + part('content-disposition: form-data; name="n"\r\ncontent-transfer-encoding: base64', "MQ==") + end,
    ],
    ["nothing at all", ""],
    ["no form at all", "{}"],
  ];
  for (const [what, body, headers = multipart] of cases) {
    test(`${what}: 400, nothing left`, async () => {
      await expectError(await send(body, { headers }), "invalid_json", { message: /multipart/ });
    });
  }

  test("text that is no UTF-8", async () => {
    const bytes = Buffer.concat([
      Buffer.from(`--${boundary}\r\ncontent-disposition: form-data; name="prompt"\r\n\r\n`),
      Buffer.from([0xff, 0xfe]),
      Buffer.from(`\r\n${end}`),
    ]);
    await expectError(await send(bytes, { headers: multipart }), "invalid_json");
  });

  test("only the end of a form: what is missing is named", async () => {
    await expectError(await send(end, { headers: multipart }), "missing_required_parameter", { param: "model" });
  });

  test("words before the first boundary and after the last are of no meaning", async () => {
    const bytes = Buffer.concat([
      Buffer.from(
        `a preamble\r\n${start}${text("size", "1024x1024")}${text("quality", "low")}--${boundary}\r\ncontent-disposition: form-data; name=image; filename=cat.png\r\n\r\n`,
      ),
      png(9),
      Buffer.from(`\r\n${end}an epilogue`),
    ]);
    await imagesOf(await send(bytes, { headers: multipart }));
    expect(received()).toEqual([["image", sha256(png(9))]]);
  });

  test("other content types: 415, naming both", async () => {
    const response = await send("<x/>", { headers: { "content-type": "text/xml" } });
    await expectError(response, "unsupported_media_type", { message: /'application\/json' or 'multipart\/form-data'/ });
    const encoded = await send(start, { headers: { ...multipart, "content-encoding": "gzip" } });
    await expectError(encoded, "unsupported_media_type");
  });

  test("a client that leaves in the middle of a picture: nothing is asked, nothing is left", async () => {
    const before = openai.requests.length;
    const { hostname, port } = new URL(router.url);
    for (const how of ["content-length: 5000000", "transfer-encoding: chunked"]) {
      const socket = connect(Number(port), hostname);
      const head = `POST /v1/images/edits HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: Bearer ${router.keys.live}\r\n${how}\r\ncontent-type: ${multipart["content-type"]}\r\n\r\n`;
      const beginning = Buffer.concat([
        Buffer.from(`${start}--${boundary}\r\ncontent-disposition: form-data; name="image"; filename="a.png"\r\n\r\n`),
        png(1),
        Buffer.alloc(300_000, 7),
      ]);
      const chunk = how.startsWith("t")
        ? Buffer.concat([Buffer.from(`${beginning.length.toString(16)}\r\n`), beginning, Buffer.from("\r\n")])
        : beginning;
      socket.write(Buffer.concat([Buffer.from(head), chunk]));
      await until(() => (inputsLeft().length > 0 ? true : undefined));
      socket.destroy();
      await until(() => (inputsLeft().length === 0 ? true : undefined));
    }
    expect(openai.requests.length).toBe(before);
    expect((await router.get("/healthz")).status).toBe(200);
  });
});

describe("like any generation", () => {
  test("the picture itself, an answer later, links", async () => {
    const one: Field = ["image", file(png(1))];
    const raw = await form([...low, one], { headers: { accept: "image/*" } });
    expect(raw.headers.get("content-type")).toBe("image/png");
    expect(await pictureOf(await raw.bytes())).toBe("1024x1024 png");
    const links = await imagesOf(await form([...low, one, ["response_format", "url"]]));
    expect(at(links.data).url).toStartWith(router.url);
    const accepted = await form([...low, one], { headers: { prefer: "respond-async" } });
    expect(accepted.status).toBe(202);
    const ended = await until(async () => {
      const record = await recordOf(accepted);
      return record.finished === null ? undefined : record;
    });
    expect(ended).toMatchObject({ status: "succeeded", operation: "edit" });
  });

  test("views that exclude each other leave no picture behind", async () => {
    const fields: Field[] = [...low, ["image", file(png(1))], ["stream", "true"]];
    await expectError(await form(fields, { headers: { accept: "image/*" } }), "invalid_value", { param: "stream" });
    await expectError(await form(fields, { headers: { prefer: "respond-async" } }), "invalid_value", {
      param: "stream",
    });
  });

  test("a repeat is told by its pictures, whichever way they come", async () => {
    const headers = { "idempotency-key": "edit-once" };
    const before = openai.requestsAt("create").length;
    const first = await form([...low, ["image", file(png(11))]], { headers });
    const again = await json({ images: [{ image_url: dataUrl(png(11)) }] }, { headers });
    expect(again.headers.get("x-arouter-generation-id")).toBe(first.headers.get("x-arouter-generation-id"));
    expect(openai.requestsAt("create").length - before).toBe(1);
    const other = await form([...low, ["image", file(png(12))]], { headers });
    await expectError(other, "idempotency_conflict");
  });

  test("keys are looked at before the body", async () => {
    await expectError(await form(low, { key: "lr_live_none" }), "invalid_api_key");
    await expectError(await form(low, { key: router.keys.management }), "wrong_key_type");
  });

  test("a refusal of the pictures is one of content", async () => {
    const words = low.map(([name, value]): Field => [name, name === "prompt" ? "[[moderate]]" : value]);
    const response = await form([...words, ["image", file(png(1))]]);
    expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    await expectError(response, "content_policy_violation");
  });

  test("the sandbox edits too: another picture, another result; the same, the same", async () => {
    const edited = async (seed: number) => {
      const response = await form([...low, ["image", file(png(seed))]], { key: router.keys.test });
      return sha256(await bytesOf(at((await imagesOf(response)).data)));
    };
    const [one, two, same] = [await edited(1), await edited(2), await edited(1)];
    expect(one).not.toBe(two);
    expect(same).toBe(one);
  });
});
