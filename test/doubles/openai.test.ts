/** The OpenAI double against upstream-apis.md §2; the 400s are in openai-refusals.test.ts. */
import { afterAll, describe, expect, test } from "bun:test";
import { openAiErrorOf as errorOf, type OpenAiPicture, postOpenAi } from "./asking.ts";
import { accountErrors, liveModelsOn, OPENAI_MODELS, openAiFault, startOpenAi } from "./openai.ts";

const double = startOpenAi();
afterAll(() => double.stop());

function ask(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return postOpenAi(double, body, { headers });
}

interface Success {
  created: number;
  data: OpenAiPicture[];
  usage?: Record<string, unknown>;
  [echo: string]: unknown;
}

async function successOf(response: Response): Promise<Success> {
  expect(response.status).toBe(200);
  return (await response.json()) as Success;
}

const gpt = (fields: Record<string, unknown> = {}) => ({ model: "gpt-image-2", prompt: "a fox", ...fields });
const dalle2 = (fields: Record<string, unknown> = {}) => ({ model: "dall-e-2", prompt: "a fox", ...fields });
const dalle3 = (fields: Record<string, unknown> = {}) => ({ model: "dall-e-3", prompt: "a fox", ...fields });
const invalid = "invalid_request_error";
const image = "image_generation_user_error";

describe("what is refused", () => {
  test("moderation details name the stage", async () => {
    expect(await errorOf(await ask(gpt({ prompt: "[[moderate]]" })))).toMatchObject({
      message: expect.stringMatching(
        /^Your request was rejected by the safety system\. .* request ID [0-9a-f-]{36}\. safety_violations=\[sexual\]\.$/,
      ),
      moderation_details: { moderation_stage: "input", categories: ["sexual"] },
    });
  });

  test("keys, bodies and paths", async () => {
    const bad = await errorOf(await ask(gpt(), { authorization: "Bearer sk-wrong-0123456789" }));
    expect(bad).toMatchObject({ status: 401, type: invalid, code: "invalid_api_key", param: null });
    expect(bad.message).toStartWith("Incorrect API key provided: sk-wrong");
    expect(bad.message).toEndWith(". You can find your API key at https://platform.openai.com/account/api-keys.");
    const none = await errorOf(await fetch(`${double.url}/models`));
    expect(none).toMatchObject({ status: 401, type: invalid, code: null, param: null });
    expect(none.message).toStartWith("You didn't provide an API key. ");
    expect((await errorOf(await ask("{"))).status).toBe(400);
    expect((await errorOf(await ask(JSON.stringify(gpt()), { "content-type": "text/plain" }))).status).toBe(400);
    const unknown = await fetch(`${double.url}/images/variations`, { method: "POST" });
    expect([unknown.status, await unknown.text()]).toEqual([404, ""]);
  });

  test("errors of the account and the server, by magic word and as faults", async () => {
    for (const name of Object.keys(accountErrors) as (keyof typeof accountErrors)[]) {
      const { status, type, code, message } = accountErrors[name];
      expect(await errorOf(await ask(gpt({ prompt: `[[fail:${name}]]` })))).toEqual({
        status,
        type,
        code,
        message,
        param: null,
      });
      double.next(openAiFault(name, { "retry-after": "7" }));
      const response = await ask(gpt());
      expect(response.headers.get("retry-after")).toBe("7");
      expect(await errorOf(response)).toEqual({ status, type, code, message, param: null });
    }
    const limited = await ask(gpt({ prompt: "[[429]]" }));
    expect(limited.headers.get("x-ratelimit-remaining-input-images")).toBe("0");
    expect(limited.headers.get("x-ratelimit-reset-input-images")).toBe("12s");
    expect(await errorOf(limited)).toMatchObject({ status: 429, type: "input-images", code: "rate_limit_exceeded" });
    expect(await errorOf(await ask(gpt({ prompt: "[[402]]" })))).toMatchObject({
      status: 429,
      code: "insufficient_quota",
    });
    expect(await errorOf(await ask(gpt({ prompt: "[[500]]" })))).toMatchObject({ status: 500, type: "server_error" });
  });
});

describe("what is made", () => {
  test("GPT: b64_json alone, usage, the echo, the headers", async () => {
    const response = await ask(gpt({ n: 2, size: "1024x1024", quality: "low", user: "u1" }));
    expect(response.headers.get("x-request-id")).toStartWith("req_");
    expect(response.headers.get("openai-processing-ms")).toMatch(/^\d+$/);
    expect(response.headers.get("openai-version")).toBe("2020-10-01");
    for (const kind of ["requests", "tokens", "input-images"]) {
      for (const what of ["limit", "remaining", "reset"]) {
        expect(response.headers.get(`x-ratelimit-${what}-${kind}`)).not.toBeNull();
      }
    }
    const body = await successOf(response);
    expect(body).toMatchObject({ background: "opaque", output_format: "png", quality: "low", size: "1024x1024" });
    expect(body.data.map((entry) => Object.keys(entry))).toEqual([["b64_json"], ["b64_json"]]);
    expect(body.usage).toMatchObject({
      output_tokens: 392,
      output_tokens_details: { image_tokens: 392, text_tokens: 0 },
    });
    expect(Math.abs(body.created - Date.now() / 1000)).toBeLessThan(5);
  });

  const sizes = [
    [{ quality: "medium", size: "1024x1024" }, "1024x1024", 1756],
    [{ quality: "high", size: "1024x1024" }, "1024x1024", 7024],
    [{ quality: "low", size: "2048x2048" }, "2048x2048", 397],
    [{ quality: "low", size: "3840x2160" }, "3840x2160", 371],
    [{ quality: "low", size: "1024x640" }, "1024x640", undefined],
    [{ quality: "high", size: "1024x1024", model: "gpt-image-1.5" }, "1024x1024", 4160],
    [{ quality: "low", size: null, model: "gpt-image-1-mini" }, "1024x1024", 272],
    [
      { quality: "max", complexity: "high", model: "gpt-image-2.6-sunburst", output_format: "webp" },
      "1254x1254",
      undefined,
    ],
    [{ quality: null, n: null, stream: null, output_compression: null, output_format: "jpeg" }, "1254x1254", undefined],
  ] as const;

  test.each(sizes)("%j gives %s", async (fields, size, tokens) => {
    const body = await successOf(await ask(gpt(fields)));
    const bytes = Uint8Array.fromBase64(body.data[0]?.b64_json ?? "");
    const { width, height, format } = await new Bun.Image(bytes).metadata();
    expect(`${width}x${height}`).toBe(size);
    expect(body).toMatchObject({ size, output_format: format });
    if (tokens !== undefined) expect(body.usage).toMatchObject({ output_tokens: tokens });
  });

  test("665,856 and 8,294,400 pixels are within the budget", async () => {
    for (const size of ["816x816", "2880x2880"]) await successOf(await ask(gpt({ size, quality: "low" })));
  });

  test("a blank prompt is accepted and billed; prompts are counted in characters, not code units", async () => {
    const before = double.billed;
    await successOf(await ask(gpt({ prompt: "  " })));
    expect(double.billed - before).toBe(1);
    await successOf(await ask(dalle2({ prompt: "🦊".repeat(1000) })));
  });

  test("dall-e-3: a link by default, with a revised prompt", async () => {
    const body = await successOf(await ask(dalle3({ size: "1792x1024", quality: "hd", style: "natural" })));
    expect(Object.keys(body).sort()).toEqual(["created", "data"]);
    expect(Object.keys(body.data[0] ?? {})).toEqual(["url", "revised_prompt"]);
    const link = new URL(body.data[0]?.url ?? "");
    expect(link.pathname).toMatch(/^\/private\/org-\w+\/user-\w+\/img-\w{24}\.png$/);
    const lifeMs = Date.parse(link.searchParams.get("se") ?? "") - Date.parse(link.searchParams.get("st") ?? "");
    expect(lifeMs).toBe(2 * 3_600_000);
    const picture = await new Bun.Image(await (await fetch(link)).bytes()).metadata();
    expect(picture).toEqual({ width: 1792, height: 1024, format: "png" });
  });

  test("dall-e-2: ten pictures as b64_json, no revised prompt", async () => {
    const body = await successOf(await ask(dalle2({ n: 10, size: "512x512", response_format: "b64_json" })));
    expect(body.data).toHaveLength(10);
    expect(Object.keys(body.data[0] ?? {})).toEqual(["b64_json"]);
  });

  test("links live for an hour of the double's clock", async () => {
    let now = Date.now();
    const clocked = startOpenAi({ now: () => now });
    const made = await successOf(await postOpenAi(clocked, dalle3()));
    const link = made.data[0]?.url ?? "";
    now += 3_599_000;
    expect((await fetch(link)).status).toBe(200);
    now += 1000;
    expect((await fetch(link)).status).toBe(403);
    await clocked.stop();
  });
});

test("models can be retired, and are listed with their shutdown dates", async () => {
  const listed = async () => {
    const response = await fetch(`${double.url}/models`, { headers: { authorization: `Bearer ${double.key}` } });
    return ((await response.json()) as { data: { id: string; shutdown_date: string | null }[] }).data;
  };
  expect((await listed()).map(({ id }) => id)).toEqual(OPENAI_MODELS.map(({ id }) => id));
  expect(await listed()).toContainEqual(
    expect.objectContaining({ id: "dall-e-3", object: "model", shutdown_date: "2026-05-12" }),
  );
  double.models = liveModelsOn("2026-11-22");
  expect(await errorOf(await ask(dalle3()))).toMatchObject({
    status: 400,
    type: image,
    message: "The model 'dall-e-3' does not exist.",
  });
  await successOf(await ask(gpt({ model: "gpt-image-1.5" })));
  double.models = liveModelsOn("2026-12-01");
  expect((await errorOf(await ask(gpt({ model: "gpt-image-1.5" })))).param).toBe("model");
  expect((await listed()).every((model) => model.shutdown_date === null)).toBe(true);
  double.models = OPENAI_MODELS.map(({ id }) => id);
});
