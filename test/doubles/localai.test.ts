/** The LocalAI double against upstream-apis.md §7. */
import { afterAll, beforeEach, describe, expect, test } from "bun:test";
import { startLocalAi } from "./localai.ts";
import { picture } from "./picture.ts";
import { pictureFacts } from "./selfhosted-inputs.ts";

const double = startLocalAi();
const locked = startLocalAi({ key: "local-key" });
beforeEach(() => {
  double.ignored.length = 0;
  double.made.length = 0;
});
afterAll(() => Promise.all([double.stop(), locked.stop()]));

type Fields = Record<string, unknown>;
interface Answer {
  id: string;
  created: number;
  data: { url?: string; b64_json?: string }[];
  usage: Fields;
}

function post(body: unknown, headers: Record<string, string> = {}, on = double): Promise<Response> {
  const all = { "content-type": "application/json", ...headers };
  return fetch(`${on.url}/images/generations`, { method: "POST", headers: all, body: JSON.stringify(body) });
}

async function ask(fields: Fields = {}): Promise<Answer> {
  const response = await post({ model: double.model, prompt: "a fox", ...fields });
  expect(response.status).toBe(200);
  return (await response.json()) as Answer;
}

async function errorOf(response: Response): Promise<unknown> {
  const body = (await response.json()) as { error: Fields };
  expect(Object.keys(body)).toEqual(["error"]);
  expect(body.error.code).toBe(response.status);
  return body.error.message;
}

describe("generations", () => {
  test("a link under /generated-images by default, always PNG, usage of zeros", async () => {
    const before = double.billed;
    const { id, created, data, usage } = await ask({ size: "256x128", n: 2 });
    expect([typeof id, typeof created, data.length, double.billed - before]).toEqual(["string", "number", 2, 2]);
    expect(usage).toMatchObject({ prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 });
    const [first, second] = data;
    expect(first?.url).toStartWith(`${double.origin}/generated-images/`);
    expect(first?.url).not.toBe(second?.url);
    const file = await fetch(first?.url ?? "");
    expect(file.headers.get("content-type")).toBe("image/png");
    expect(await pictureFacts(await file.bytes())).toEqual({ width: 256, height: 128, format: "png" });
    expect(double.requestsAt("file").at(-1)?.path).toStartWith("/generated-images/");
    double.expireLinks();
    expect(await errorOf(await fetch(first?.url ?? ""))).toBe("Resource not found");
  });

  test("base64 when asked for, and only then", async () => {
    const [{ url, b64_json } = {}] = (await ask({ response_format: "b64_json", size: "64x64" })).data;
    expect(url).toBeUndefined();
    expect(await pictureFacts(Uint8Array.fromBase64(b64_json ?? ""))).toMatchObject({ width: 64, height: 64 });
    expect((await ask({ response_format: "webp" })).data[0]?.url).toBeString();
  });

  test.each([undefined, "auto", "1024", "1024*1024", ""])("size %p is 512x512 in silence", async (size) => {
    await ask({ size });
    expect(double.made[0]).toMatchObject({ width: 512, height: 512 });
    expect(double.ignored).toEqual(size === undefined ? [] : ["size"]);
  });

  test.each(["axb", "1024x", "1024x1024x3", "0x0"])("size %p is an error of the server", async (size) => {
    const response = await post({ model: double.model, prompt: "a fox", size });
    expect([response.status, await errorOf(response)]).toEqual([500, "invalid value for 'size'"]);
  });

  test("what follows a pipe is the negative prompt, a third part is lost", async () => {
    await ask({ prompt: "a fox|dogs" });
    expect(double.made[0]).toMatchObject({ prompt: "a fox", negativePrompt: "dogs" });
    expect(double.ignored).toEqual([]);
    await ask({ prompt: "a fox|dogs|cats" });
    expect(double.made[1]).toMatchObject({ prompt: "a fox", negativePrompt: "dogs" });
    expect(double.ignored).toEqual(["prompt"]);
  });

  test("knows step, mode and seed; passes over the rest", async () => {
    const twice = async () => (await ask({ step: 4, mode: 1, seed: 5, response_format: "b64_json" })).data[0]?.b64_json;
    expect(await twice()).toBe(await twice());
    expect(double.made[0]).toMatchObject({ seed: 5, settings: { step: 4, mode: 1 } });
    expect(double.ignored).toEqual([]);
    await ask({ quality: "hd", output_format: "jpeg", style: null, user: "me", negative_prompt: "dogs" });
    expect(double.ignored).toEqual(["quality", "output_format", "negative_prompt"]);
    expect(double.made.at(-1)).toMatchObject({ type: "png", negativePrompt: undefined });
  });

  test("input images: links and base64 are kept for tests, a data URL is dropped in silence", async () => {
    const bytes = picture({ width: 40, height: 30 });
    await ask({ file: bytes.toBase64(), ref_images: ["https://example.com/a.png", bytes.toBase64()] });
    expect(double.made[0]?.images).toEqual([
      { field: "file", bytes, width: 40, height: 30, format: "png" },
      { field: "ref_images.0", url: "https://example.com/a.png" },
      { field: "ref_images.1", bytes, width: 40, height: 30, format: "png" },
    ]);
    await ask({ file: `data:image/png;base64,${bytes.toBase64()}` });
    expect(double.made[1]?.images).toEqual([]);
    expect(double.ignored).toEqual(["file"]);
  });

  test("makes its n pictures one after the other", async () => {
    double.latencyMs = 40;
    const startedAt = performance.now();
    await ask({ n: 3, size: "8x8" });
    double.latencyMs = 0;
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(115);
  });
});

describe("refusals, each with a number for a code", () => {
  const bad: [name: string, body: unknown, status: number][] = [
    ["n as a text", { model: "flux.1-dev", prompt: "x", n: "2" }, 400],
    ["n a fraction", { model: "flux.1-dev", prompt: "x", n: 1.5 }, 400],
    ["no prompt", { model: "flux.1-dev" }, 400],
    ["another model", { model: "dall-e-3", prompt: "x" }, 404],
    ["not an object", ["x"], 400],
    ["a failure of the backend", { model: "flux.1-dev", prompt: "[[500]]" }, 500],
  ];

  test.each(bad)("%s", async (_name, body, status) => {
    const before = double.billed;
    const response = await post(body);
    expect(response.status).toBe(status);
    await errorOf(response);
    expect(double.billed).toBe(before);
  });

  test("the envelope is OpenAI's, with an empty type and no param", async () => {
    const response = await post({ model: double.model, prompt: "x", size: "axb" });
    expect(await response.json()).toEqual({ error: { code: 500, message: "invalid value for 'size'", type: "" } });
  });

  test("there is no edits route", async () => {
    const body = new FormData();
    body.set("prompt", "a fox");
    const response = await fetch(`${double.url}/images/edits`, { method: "POST", body });
    expect([response.status, await errorOf(response)]).toEqual([404, "Resource not found"]);
  });

  test("with a key set, everything wants it, result files too", async () => {
    const bearer = { authorization: `Bearer ${locked.key}` };
    const body = { model: locked.model, prompt: "a fox", size: "8x8" };
    for (const headers of [{}, { authorization: "Bearer other" }]) {
      const response = await post(body, headers, locked);
      expect([response.status, response.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);
      expect(await errorOf(response)).toBe("An authentication key is required");
    }
    expect(locked.billed).toBe(0);
    const { data } = (await (await post(body, bearer, locked)).json()) as Answer;
    const link = data[0]?.url ?? "";
    expect((await fetch(link)).status).toBe(401);
    expect((await fetch(link, { headers: bearer })).status).toBe(200);
    expect((await fetch(`${link}x`, { headers: bearer })).status).toBe(404);
  });
});

describe("inpainting", () => {
  test("wants both files, gives one link of 512x512", async () => {
    const form = (names: string[]) => {
      const body = new FormData();
      body.set("model", double.model);
      body.set("prompt", "a fox");
      for (const name of names) body.set(name, new File([picture({ width: 64, height: 64 })], `${name}.png`));
      return fetch(`${double.url}/images/inpainting`, { method: "POST", body });
    };
    expect(await errorOf(await form(["mask"]))).toBe("code=400, message=missing image file");
    expect(await errorOf(await form(["image"]))).toBe("code=400, message=missing mask file");
    const { data } = (await (await form(["image", "mask"])).json()) as Answer;
    const bytes = await (await fetch(data[0]?.url ?? "")).bytes();
    expect(await pictureFacts(bytes)).toEqual({ width: 512, height: 512, format: "png" });
    expect(double.made[0]).toMatchObject({ images: [{ name: "image.png" }], mask: { name: "mask.png" } });
  });
});
