/** The sd-server double against upstream-apis.md §7. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { type PictureType, picture } from "./picture.ts";
import { startSdServer } from "./sd-server.ts";
import { pictureFacts } from "./selfhosted-inputs.ts";

const double = startSdServer();
beforeEach(() => {
  double.ignored.length = 0;
  double.made.length = 0;
});
afterAll(() => double.stop());

interface Answer {
  created: number;
  data: { b64_json: string }[];
  output_format: string;
}

function post(
  body: unknown,
  headers: Record<string, string> = { "content-type": "application/json" },
): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${double.url}/images/generations`, { method: "POST", headers, body: text });
}

async function ask(fields: Record<string, unknown> = {}): Promise<Answer> {
  return answerOf(post({ prompt: "a fox", ...fields }));
}

async function answerOf(response: Promise<Response>): Promise<Answer> {
  const answer = await response;
  expect(answer.status).toBe(200);
  return (await answer.json()) as Answer;
}

async function factsOf(answer: Answer) {
  return pictureFacts(Uint8Array.fromBase64(answer.data[0]?.b64_json ?? ""));
}

function edit(fields: Record<string, string>, files: [name: string, bytes: Uint8Array][]): Promise<Response> {
  const body = new FormData();
  for (const [name, value] of Object.entries(fields)) body.set(name, value);
  for (const [name, bytes] of files) body.append(name, new File([bytes as Uint8Array<ArrayBuffer>], "in.png"));
  return fetch(`${double.url}/images/edits`, { method: "POST", body });
}

test("one model under a fixed name", async () => {
  const models = await (await fetch(`${double.url}/models`)).json();
  expect(models).toEqual({ data: [{ id: "sd-cpp-local", object: "model", owned_by: "local" }] });
});

describe("generations", () => {
  test("base64 and the format, nothing else", async () => {
    const before = double.billed;
    const answer = await ask({ n: 2, size: "256x128" });
    expect(Object.keys(answer).toSorted()).toEqual(["created", "data", "output_format"]);
    expect(answer.output_format).toBe("png");
    expect(answer.data.map((item) => Object.keys(item))).toEqual([["b64_json"], ["b64_json"]]);
    expect(answer.data[0]).not.toEqual(answer.data[1]);
    expect(await factsOf(answer)).toEqual({ width: 256, height: 128, format: "png" });
    expect(double.billed - before).toBe(2);
  });

  test.each<PictureType>(["png", "jpeg", "webp"])("%s", async (format) => {
    const answer = await ask({ output_format: format, output_compression: 300 });
    expect(answer.output_format).toBe(format);
    expect(await factsOf(answer)).toEqual({ width: 512, height: 512, format });
    expect(double.made[0]?.settings).toEqual({ output_compression: 100 });
  });

  test("the same request makes the same picture: seed 42; -1 is random", async () => {
    expect((await ask()).data).toEqual((await ask()).data);
    expect(double.made[0]?.seed).toBe(42);
    const random = { prompt: 'a fox<sd_cpp_extra_args>{"seed":-1}</sd_cpp_extra_args>' };
    expect((await ask(random)).data).not.toEqual((await ask(random)).data);
  });

  test("native settings come inside the prompt and leave it", async () => {
    const args = { seed: 7, width: 64, negative_prompt: "dogs", sample_params: { sample_steps: 28 } };
    await ask({ prompt: `a fox <sd_cpp_extra_args>${JSON.stringify(args)}</sd_cpp_extra_args>` });
    const expected = { prompt: "a fox ", seed: 7, width: 64, height: 512, negativePrompt: "dogs" };
    expect(double.made[0]).toMatchObject({ ...expected, settings: args });
    const broken = await post({ prompt: "a fox <sd_cpp_extra_args>{</sd_cpp_extra_args>" });
    expect([broken.status, await broken.json()]).toEqual([400, { error: "invalid sd_cpp_extra_args" }]);
  });

  test("what it does not know, and a size it cannot read, is passed over", async () => {
    await ask({ model: "sd-cpp-local", response_format: "b64_json", user: "me" });
    expect(double.ignored).toEqual([]);
    const odd = { model: "flux", response_format: "url", seed: 5, quality: "hd", size: "auto", n: 0 };
    expect((await ask(odd)).data).toHaveLength(1);
    expect(double.ignored.toSorted()).toEqual(Object.keys(odd).toSorted());
    expect(double.made[1]).toMatchObject({ width: 512, height: 512, seed: 42 });
    await ask({ size: "64xhigh" });
    expect(double.made[2]).toMatchObject({ width: 64, height: 512 });
  });

  test("wants no key, minds none, and does not look at the content type", async () => {
    const bearer = { authorization: "Bearer anything", "content-type": "text/plain" };
    expect((await post({ prompt: "a fox" }, bearer)).status).toBe(200);
  });
});

describe("edits", () => {
  const input = picture({ width: 96, height: 64 });
  const fox = { prompt: "a fox" };

  test("multipart with image[], image or a mask; the input's size; kept for tests", async () => {
    const answer = await answerOf(
      edit({ ...fox, n: "2", output_format: "jpeg" }, [
        ["image[]", input],
        ["image[]", input],
        ["mask", input],
      ]),
    );
    expect(answer.data).toHaveLength(2);
    expect(await factsOf(answer)).toEqual({ width: 96, height: 64, format: "jpeg" });
    const image = { field: "image[]", name: "in.png", bytes: input, width: 96, height: 64 };
    expect(double.made[0]).toMatchObject({ images: [image, image], mask: { bytes: input } });
    expect(await factsOf(await answerOf(edit({ ...fox, size: "128x32" }, [["image", input]])))).toMatchObject({
      width: 128,
      height: 32,
    });
    expect(double.ignored).toEqual([]);
  });

  test("a file that is no picture, image beside image[], and unknown fields are passed over", async () => {
    await answerOf(
      edit({ ...fox, strength: "0.5" }, [
        ["image[]", input],
        ["image[]", new Uint8Array(9)],
        ["image", input],
      ]),
    );
    expect(double.ignored.toSorted()).toEqual(["image", "image[]", "strength"]);
    expect(double.made[0]?.images).toHaveLength(1);
  });

  test.each<[name: string, sent: () => Promise<Response>, error: string]>([
    ["no prompt", () => edit({}, [["image[]", input]]), "prompt required"],
    ["no image", () => edit(fox, []), "at least one image[] required"],
    [
      "webp",
      () => edit({ ...fox, output_format: "webp" }, [["image", input]]),
      "invalid output_format, must be one of [png, jpeg]",
    ],
    [
      "JSON",
      () =>
        fetch(`${double.url}/images/edits`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify(fox),
        }),
      "Content-Type must be multipart/form-data",
    ],
  ])("400 %s", async (_name, sent, error) => {
    const response = await sent();
    expect([response.status, await response.json()]).toEqual([400, { error }]);
    expect(double.made).toEqual([]);
  });
});

describe("errors: a text, not an object", () => {
  const bad: [name: string, body: unknown, status: number, error: unknown][] = [
    ["no body", "", 400, { error: "empty body" }],
    ["no prompt", {}, 400, { error: "prompt required" }],
    ["empty prompt", { prompt: "" }, 400, { error: "prompt required" }],
    [
      "gif",
      { prompt: "x", output_format: "gif" },
      400,
      { error: "invalid output_format, must be one of [png, jpeg, webp]" },
    ],
    ["zero by zero", { prompt: "x", size: "0x0" }, 400, { error: "invalid params" }],
    ["n as a text", { prompt: "x", n: "2" }, 500, { error: "server_error", message: expect.any(String) }],
    ["null", { prompt: "x", size: null }, 500, { error: "server_error", message: expect.any(String) }],
    ["not JSON", "{", 500, { error: "server_error", message: expect.any(String) }],
    ["nothing made", { prompt: "[[500]]" }, 500, { error: "generate_image returned no results" }],
  ];

  test.each(bad)("%s", async (_name, body, status, error) => {
    const before = double.billed;
    const response = await post(body);
    expect([response.status, await response.json()]).toEqual([status, error]);
    expect(double.billed).toBe(before);
  });

  test("404 with an empty body", async () => {
    const response = await fetch(`${double.url}/images/variations`, { method: "POST" });
    expect([response.status, await response.text()]).toEqual([404, ""]);
  });
});
