/** Models that their vendor has ended: what serves them, what that costs, and what the client is told. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { inspect } from "../../src/images/inspect.ts";
import type { Parts } from "../../src/parts.ts";
import { readEvents } from "../contracts/events.ts";
import { liveModelsOn } from "../doubles/openai.ts";
import type { TestRouterOptions } from "../router.ts";
import { type Routing, startRouting } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
afterEach(() => routing.stop());

const noon = Date.UTC(2026, 10, 22, 12);
const successor = "openai/gpt-image-2";

/** The vendor's own address leads to the double: no base URL of the operator's is set. */
async function startAtVendor(options: TestRouterOptions = {}): Promise<void> {
  let openai = "";
  const opened = (parts: Parts) => {
    const send = parts.transport.fetch;
    const redirected = (url: string | URL | Request, init?: RequestInit) =>
      send(String(url).replace("https://api.openai.com", openai), init);
    parts.transport = { ...parts.transport, fetch: redirected as typeof fetch };
  };
  const env = { OPENAI_BASE_URL: "", STABILITY_API_KEY: "", REPLICATE_API_TOKEN: "", ...options.env };
  routing = await startRouting({ frozenAt: noon, ...options, env, opened });
  openai = routing.openai.origin;
  routing.openai.models = liveModelsOn("2026-11-22");
}
const legacy = { env: { AROUTER_LEGACY: "successor" } };

const ask = (body: Record<string, unknown>, key?: string) =>
  routing.router.generate({ prompt: "a cup", ...body }, key === undefined ? {} : { key });
const errorOf = async (answer: Response) => {
  const { error } = (await answer.json()) as { error: { code: string; param: string | null; message: string } };
  return { status: answer.status, code: error.code, param: error.param, message: error.message };
};
const sent = () => routing.openai.lastRequest?.body as Record<string, unknown>;

/** What OpenAI's own counts cost at the successor's price: nano-dollars for $5 and $30 a million. */
function costOfCall(): number {
  const usage = routing.openai.lastRequest?.usage as { input_tokens: number; output_tokens: number };
  return usage.input_tokens * 5_000 + usage.output_tokens * 30_000;
}

async function pictureOf(answer: Response) {
  const { data } = (await answer.json()) as { data: Array<{ url?: string; b64_json?: string }> };
  const facts = [];
  for (const { url, b64_json } of data) {
    expect(b64_json).toBeUndefined();
    facts.push(inspect(await (await fetch(url ?? "")).bytes()));
  }
  return facts;
}

describe("with AROUTER_LEGACY=successor", () => {
  test.each([
    [{}, "1024x1024", "medium"],
    [{ quality: "standard", size: "1792x1024" }, "1792x1024", "medium"],
    [{ quality: "hd", size: "1024x1792" }, "1024x1792", "high"],
  ])("dall-e-3 %j is made as it was asked, at the successor's price", async (asked, size, quality) => {
    await startAtVendor(legacy);
    const answer = await ask({ model: "dall-e-3", ...asked });
    expect(answer.status).toBe(200);
    expect(sent()).toEqual({ model: "gpt-image-2", prompt: "a cup", size, quality, output_format: "png", n: 1 });
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      "x-arouter-model": successor,
      "x-arouter-provider": "openai",
      "x-arouter-cost-usd": String(costOfCall() / 1e9),
    });
    expect(answer.headers.get("x-arouter-warnings")).toBeNull();
    const [width, height] = size.split("x").map(Number);
    expect(await pictureOf(answer.clone() as Response)).toMatchObject([{ contentType: "image/png", width, height }]);
    const movements = routing.sql("select kind, model, provider, amount_nanos from movements where kind = 'charge'");
    expect(movements).toEqual([{ kind: "charge", model: successor, provider: "openai", amount_nanos: costOfCall() }]);
    expect(routing.sql("select model, provider, requests, images, cost_nanos from usage_hours")).toEqual([
      { model: successor, provider: "openai", requests: 1, images: 1, cost_nanos: costOfCall() },
    ]);
    const [{ rule = "" } = {}] = routing.sql<{ rule: string }>("select price_rule rule from generations");
    expect(rule).toStartWith(`${successor}@openai `);
    const record = (await routing.generation(answer)) as unknown as { requested: Record<string, unknown> };
    expect(record.requested).toEqual({ model: "dall-e-3", prompt: "a cup", ...asked });
  });

  test.each([
    ["256x256", "1024x1024"],
    ["512x512", "1024x1024"],
    ["1024x1024", "1024x1024"],
  ])("dall-e-2 %s is delivered in that size, made at %s", async (size, made) => {
    await startAtVendor(legacy);
    const answer = await ask({ model: "openai/dall-e-2", size, n: 2 });
    expect(answer.status).toBe(200);
    expect(sent()).toMatchObject({ model: "gpt-image-2", size: made, quality: "medium", n: 2 });
    expect([answer.headers.get("x-arouter-model"), answer.headers.get("x-arouter-warnings")]).toEqual([
      successor,
      null,
    ]);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe(String(costOfCall() / 1e9));
    const side = Number(size.split("x")[0]);
    const body = (await answer.clone().json()) as { size?: string };
    expect(body.size ?? size).toBe(size);
    expect(await pictureOf(answer)).toMatchObject([
      { width: side, height: side },
      { width: side, height: side },
    ]);
  });

  test("a style has no counterpart and is refused; the other parameters' rules stay the old model's", async () => {
    await startAtVendor(legacy);
    const refused = await errorOf(await ask({ model: "dall-e-3", style: "natural" }));
    expect(refused).toMatchObject({ status: 400, code: "invalid_value", param: "style" });
    expect(await errorOf(await ask({ model: "dall-e-3", size: "1536x1024" }))).toMatchObject({ param: "size" });
    expect(await errorOf(await ask({ model: "dall-e-3", n: 2 }))).toMatchObject({ status: 400, param: "n" });
    expect(await errorOf(await ask({ model: "dall-e-2", background: "opaque" }))).toMatchObject({
      code: "unknown_parameter",
    });
    expect(routing.openai.requests).toHaveLength(0);
    expect((await ask({ model: "dall-e-3", style: null })).status).toBe(200);
  });

  test("b64_json is honoured, and a stream ends with the picture in the size that was asked for", async () => {
    await startAtVendor(legacy);
    const inline = await ask({ model: "dall-e-2", size: "256x256", response_format: "b64_json" });
    const { data } = (await inline.json()) as { data: Array<{ b64_json: string }> };
    expect(inspect(Buffer.from(data[0]?.b64_json ?? "", "base64"))).toMatchObject({ width: 256, height: 256 });
    const { events } = await readEvents(await ask({ model: "dall-e-2", size: "512x512", stream: true }));
    expect(events.map(({ name }) => name)).toEqual(["image_generation.completed"]);
    const completed = events[0]?.data as { b64_json: string; size: string };
    expect(inspect(Buffer.from(completed.b64_json, "base64"))).toMatchObject({ width: 512, height: 512 });
    expect(completed.size).toBe("512x512");
  });

  test("an upstream of the operator's that still serves the old model is asked first, and alone", async () => {
    routing = await startRouting({ frozenAt: noon, ...legacy });
    routing.openai.latencyMs = 100;
    const asked = ask({ model: "dall-e-2", size: "256x256" });
    await routing.openai.arrived();
    routing.router.advance(100);
    const answer = await asked;
    expect([answer.status, answer.headers.get("x-arouter-model")]).toEqual([200, "openai/dall-e-2"]);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.016");
    // Also where the client sorts, and the successor has not been measured yet.
    const sorted = await ask({ model: "dall-e-2", size: "256x256", provider: { sort: "latency" } });
    expect(sorted.headers.get("x-arouter-model")).toBe("openai/dall-e-2");
    expect(routing.openai.requestsAt("create").map(({ body }) => (body as { model: string }).model)).toEqual([
      "dall-e-2",
      "dall-e-2",
    ]);
  });

  test("where that one says that it does not exist, the successor is next", async () => {
    routing = await startRouting({ frozenAt: noon, ...legacy });
    routing.openai.models = liveModelsOn("2026-11-22");
    const answer = await ask({ model: "dall-e-2", size: "256x256" });
    expect([answer.status, answer.headers.get("x-arouter-model")]).toEqual([200, successor]);
    expect(await pictureOf(answer)).toMatchObject([{ width: 256, height: 256 }]);
    expect([routing.openai.requestsAt("create").length, routing.openai.billed]).toEqual([2, 1]);
    const { attempts } = await routing.generation(answer);
    expect(attempts).toMatchObject([
      { status: "failed", model: "dall-e-2", error: { class: "model_unavailable" } },
      { status: "succeeded", model: "gpt-image-2", error: null },
    ] as object[]);
  });

  test("a key is asked about the name that the client used", async () => {
    await startAtVendor(legacy);
    const keyFor = async (allowed_models: string[]) => {
      const made = await fetch(`${routing.router.url}/api/v1/keys`, {
        method: "POST",
        headers: { authorization: `Bearer ${routing.router.keys.management}`, "content-type": "application/json" },
        body: JSON.stringify({ name: allowed_models.join(" "), allowed_models }),
      });
      return ((await made.json()) as { key: string }).key;
    };
    expect((await ask({ model: "dall-e-2" }, await keyFor(["openai/dall-e-2"]))).status).toBe(200);
    const other = await ask({ model: "dall-e-2" }, await keyFor([successor]));
    expect(await errorOf(other)).toMatchObject({ status: 403, code: "model_not_allowed" });
  });

  test("the sandbox draws the old model itself", async () => {
    await startAtVendor(legacy);
    const answer = await ask({ model: "dall-e-3", style: "natural" }, routing.router.keys.test);
    expect([answer.status, answer.headers.get("x-arouter-model")]).toEqual([200, "openai/dall-e-3"]);
    expect(routing.openai.requests).toHaveLength(0);
  });
});

describe("without it", () => {
  test("an ended model is refused without a call, naming the date, the successor and the setting", async () => {
    await startAtVendor();
    const refused = await errorOf(await ask({ model: "dall-e-3" }));
    expect(refused).toMatchObject({ status: 404, code: "model_unavailable", param: "model" });
    for (const word of ["2026-05-12", successor, "AROUTER_LEGACY"]) expect(refused.message).toContain(word);
    expect(routing.openai.requests).toHaveLength(0);
    expect(routing.sql("select 1 from generations")).toEqual([]);
  });

  test("at an upstream of the operator's its own word decides", async () => {
    routing = await startRouting({ frozenAt: noon });
    expect((await ask({ model: "dall-e-3" })).status).toBe(200);
    routing.openai.models = liveModelsOn("2026-11-22");
    expect(await errorOf(await ask({ model: "dall-e-3" }))).toMatchObject({ status: 404, code: "model_unavailable" });
    expect(routing.openai.requestsAt("create")).toHaveLength(2);
  });
});

test("a model with an end date tells it until then, on every answer, and is refused from the day after", async () => {
  await startAtVendor({ frozenAt: Date.UTC(2026, 10, 30, 23, 59, 59) });
  const body = { model: "gpt-image-1.5", size: "1024x1024", quality: "low" };
  const told = {
    deprecation: `@${Date.UTC(2026, 11, 1) / 1000}`,
    sunset: "Tue, 01 Dec 2026 00:00:00 GMT",
    link: '</v1/models/openai/gpt-image-2.6-sunburst>; rel="successor-version"',
  };
  const before = await ask(body);
  expect([before.status, before.headers.get("x-arouter-model")]).toEqual([200, "openai/gpt-image-1.5"]);
  expect(Object.fromEntries(before.headers)).toMatchObject(told);
  // The day itself still counts: the vendor names no hour.
  routing.router.advance(1_000);
  const onTheDay = await ask(body);
  expect(onTheDay.status).toBe(200);
  expect(Object.fromEntries(onTheDay.headers)).toMatchObject(told);
  routing.openai.models = liveModelsOn("2026-12-02");
  const saidGone = await ask(body);
  expect(await errorOf(saidGone)).toMatchObject({ status: 404, code: "model_unavailable" });
  expect(Object.fromEntries(saidGone.headers)).toMatchObject(told);

  routing.router.advance(86_400_000);
  const calls = routing.openai.requests.length;
  const after = await errorOf(await ask(body));
  expect(after).toMatchObject({ status: 404, code: "model_unavailable", param: "model" });
  for (const word of ["2026-12-01", "openai/gpt-image-2.6-sunburst"]) expect(after.message).toContain(word);
  expect(routing.openai.requests).toHaveLength(calls);
  // Another model may stand in, by the client's own word.
  const other = await ask({ ...body, models: ["openai/gpt-image-2"] });
  expect([other.status, other.headers.get("x-arouter-model")]).toEqual([200, "openai/gpt-image-2"]);
});
