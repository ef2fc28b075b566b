/** The SGLang double against upstream-apis.md §7. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { picture } from "./picture.ts";
import { pictureFacts } from "./selfhosted-inputs.ts";
import { startSglang } from "./sglang.ts";

const double = startSglang();
const cloud = startSglang({ links: "cloud", key: "sgl-key" });
beforeEach(() => {
  double.ignored.length = 0;
  double.made.length = 0;
});
afterAll(() => Promise.all([double.stop(), cloud.stop()]));

interface Item {
  url: string | null;
  b64_json: string | null;
  revised_prompt: string;
  file_path: string;
}
interface Answer {
  id: string;
  created: number;
  data: Item[];
  peak_memory_mb: number;
  inference_time_s: number;
}

function post(fields: Record<string, unknown>, headers: Record<string, string> = {}, on = double): Promise<Response> {
  const all = { "content-type": "application/json", ...headers };
  const body = JSON.stringify({ prompt: "a fox", ...fields });
  return fetch(`${on.url}/images/generations`, { method: "POST", headers: all, body });
}

async function answerOf(response: Response | Promise<Response>): Promise<Answer> {
  const answer = await response;
  expect(answer.status).toBe(200);
  return (await answer.json()) as Answer;
}

function edit(fields: Record<string, string>, files: Record<string, Uint8Array[]> = {}): Promise<Response> {
  const body = new FormData();
  for (const [name, value] of Object.entries({ prompt: "a fox", ...fields })) body.set(name, value);
  for (const [name, all] of Object.entries(files)) {
    for (const bytes of all)
      body.append(name, new File([bytes as Uint8Array<ArrayBuffer>], "input.png", { type: "image/png" }));
  }
  return fetch(`${double.url}/images/edits`, { method: "POST", body });
}

describe("generations", () => {
  test("a path on the server by default, a JPEG, with file_path and figures", async () => {
    const answer = await answerOf(post({ size: "256x128" }));
    const keys = ["id", "created", "data", "peak_memory_mb", "inference_time_s"];
    expect(Object.keys(answer)).toEqual(keys);
    const [item] = answer.data;
    expect(item).toMatchObject({ b64_json: null, url: `/v1/images/${answer.id}/content`, revised_prompt: "a fox" });
    expect(item?.file_path).toMatch(/^\/.+\.jpg$/);
    const file = await fetch(double.origin + item?.url);
    expect(file.headers.get("content-type")).toBe("image/jpeg");
    expect(await pictureFacts(await file.bytes())).toEqual({ width: 256, height: 128, format: "jpeg" });
    double.expireLinks();
    const gone = await fetch(double.origin + item?.url);
    expect([gone.status, await gone.json()]).toEqual([404, { detail: "Image not found" }]);
  });

  test("several have a variant each", async () => {
    const before = double.billed;
    const { id, data } = await answerOf(post({ n: 3, size: "64x64" }));
    const links = [0, 1, 2].map((variant) => `/v1/images/${id}/content?variant=${variant}`);
    expect(data.map(({ url }) => url)).toEqual(links);
    expect(double.billed - before).toBe(3);
    const files = await Promise.all(
      links.map(async (link) => (await (await fetch(double.origin + link)).bytes()).toBase64()),
    );
    expect(new Set(files).size).toBe(3);
    expect((await fetch(`${double.origin}/v1/images/${id}/content?variant=3`)).status).toBe(404);
  });

  test("the same request makes the same picture: seed 1024", async () => {
    const ask = async (fields = {}) =>
      (await answerOf(post({ response_format: "b64_json", ...fields }))).data[0]?.b64_json;
    const first = await ask();
    expect(await ask()).toBe(first ?? "");
    expect(await ask({ seed: 1024 })).toBe(first ?? "");
    expect(await ask({ seed: 7 })).not.toBe(first ?? "");
    expect(await ask({ prompt: "a dog" })).not.toBe(first ?? "");
    expect(double.made[0]?.seed).toBe(1024);
  });

  test.each([
    [{ output_format: "png" }, "png"],
    [{ output_format: "webp" }, "webp"],
    [{ output_format: "jpeg" }, "jpeg"],
    [{ background: "transparent" }, "png"],
  ])("%j is %s", async (fields, format) => {
    const { data } = await answerOf(post({ response_format: "b64_json", ...fields }));
    expect(await pictureFacts(Uint8Array.fromBase64(data[0]?.b64_json ?? ""))).toMatchObject({ format });
    expect(double.ignored).toEqual([]);
  });

  test("its own fields have an effect; the rest, and what it cannot do, is passed over", async () => {
    const settings = { num_inference_steps: 9, guidance_scale: 3.5, true_cfg_scale: 4, output_compression: 80 };
    await answerOf(post({ ...settings, negative_prompt: "dogs", model: double.model, user: "me", seed: null }));
    expect(double.made[0]).toMatchObject({ settings, negativePrompt: "dogs", width: 1024, height: 1024 });
    expect(double.ignored).toEqual([]);
    const odd = {
      n: 12,
      size: "big",
      quality: "hd",
      style: "vivid",
      moderation: "low",
      output_format: "gif",
      model: "x",
    };
    const { data } = await answerOf(post(odd));
    expect(data).toHaveLength(10);
    expect(double.ignored.toSorted()).toEqual(Object.keys(odd).toSorted());
  });

  test("with a cloud store: whole addresses elsewhere, which want no key", async () => {
    expect((await post({}, {}, cloud)).status).toBe(401);
    const { data } = await answerOf(post({}, { authorization: "Bearer sgl-key" }, cloud));
    const link = data[0]?.url ?? "";
    expect(new URL(link).origin).toBe(cloud.fileOrigin);
    expect(cloud.fileOrigin).not.toBe(cloud.origin);
    expect((await fetch(link)).status).toBe(200);
    expect(cloud.credentialsAtFiles).toEqual([]);
  });

  test("with a key and no store, the content route wants the key", async () => {
    const locked = startSglang({ key: "sgl-key" });
    const bearer = { authorization: "Bearer sgl-key" };
    const { data } = await answerOf(post({}, bearer, locked));
    expect((await fetch(locked.origin + data[0]?.url)).status).toBe(401);
    expect((await fetch(locked.origin + data[0]?.url, { headers: bearer })).status).toBe(200);
    await locked.stop();
  });
});

describe("edits", () => {
  const input = picture({ width: 96, height: 64 });

  test("multipart, base64 by default, the input's size, the files kept for tests", async () => {
    const { data } = await answerOf(edit({ seed: "5" }, { "image[]": [input, input] }));
    expect(data[0]?.url).toBeNull();
    expect(await pictureFacts(Uint8Array.fromBase64(data[0]?.b64_json ?? ""))).toMatchObject({ width: 96, height: 64 });
    const image = {
      field: "image[]",
      name: "input.png",
      contentType: "image/png",
      bytes: input,
      width: 96,
      height: 64,
    };
    expect(double.made[0]).toMatchObject({ seed: 5, images: [image, image] });
    expect((await answerOf(edit({ response_format: "url" }, { image: [input] }))).data[0]?.url).toStartWith(
      "/v1/images/",
    );
  });

  test("a link instead of a file; a mask is passed over", async () => {
    await answerOf(edit({ url: "https://example.com/fox.png", size: "64x32" }));
    expect(double.made[0]).toMatchObject({
      width: 64,
      height: 32,
      images: [{ field: "url", url: "https://example.com/fox.png" }],
    });
    await answerOf(edit({}, { image: [input], mask: [input] }));
    expect(double.ignored).toEqual(["mask"]);
  });

  test("422 without an image, 400 for a file that is none, 422 for JSON", async () => {
    const without = await edit({});
    expect([without.status, await without.json()]).toEqual([422, { detail: "Field 'image' or 'url' is required" }]);
    expect((await edit({}, { image: [new Uint8Array(8)] })).status).toBe(400);
    const json = { method: "POST", headers: { "content-type": "application/json" }, body: '{"prompt":"a fox"}' };
    expect((await fetch(`${double.url}/images/edits`, json)).status).toBe(422);
    expect(double.made).toEqual([]);
  });
});

test("refusals: 422, 400, 500, 404, 405", async () => {
  const before = double.billed;
  for (const fields of [{ prompt: null }, { n: "x" }, { seed: 1.5 }, { guidance_scale: [] }]) {
    const response = await post(fields);
    expect(response.status).toBe(422);
    const { detail } = (await response.json()) as { detail: unknown };
    expect(detail).toMatchObject([{ loc: ["body", Object.keys(fields)[0]] }]);
  }
  const format = await post({ response_format: "png" });
  expect([format.status, await format.json()]).toEqual([400, { detail: "response_format=png is not supported" }]);
  const broken = await post({ prompt: "[[500]]" });
  expect([broken.status, await broken.text()]).toEqual([500, "Internal Server Error"]);
  expect((await fetch(`${double.url}/nope`)).status).toBe(404);
  expect((await fetch(`${double.url}/images/edits`)).status).toBe(405);
  expect(double.billed).toBe(before);
});
