/** What is charged: by what was used, by what the provider says, and by the price of the day of admission. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readEvents } from "../contracts/events.ts";
import { startBfl } from "../doubles/bfl.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter } from "../router.ts";
import { startKeyedUpstream } from "./keyed-upstream.ts";
import { type Routing, startRouting, threeRoutes } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
const undone: (() => unknown)[] = [];
afterEach(async () => {
  await routing.stop();
  for (const end of undone.splice(0)) await end();
});

interface Usage {
  input_tokens_details: { text_tokens: number; image_tokens: number };
  output_tokens: number;
}
const gpt = { model: "openai/gpt-image-2", prompt: "a cup of tea", size: "1024x1024", quality: "low" };
/** Nano-dollars: 5 $ for text, 8 $ for given pictures, 30 $ for what comes out, each for a million tokens. */
const costOf = ({ input_tokens_details: { text_tokens, image_tokens }, output_tokens }: Usage): number =>
  text_tokens * 5_000 + image_tokens * 8_000 + output_tokens * 30_000;
const usageSent = () => routing.openai.lastRequest?.usage as unknown as Usage;
const charges = () =>
  routing.sql<{ nanos: number; images: number; provider: number | null; rule: string }>(
    "select amount_nanos nanos, images, provider_cost_nanos provider, price_rule rule from movements where kind = 'charge' order by rowid",
  );
const held = () =>
  routing.sql<{ nanos: number }>("select amount_nanos nanos from movements where kind = 'hold' order by rowid");

function edit(fields: Record<string, string>, ...pictures: Uint8Array[]): Promise<Response> {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  for (const bytes of pictures) form.append("image[]", new Blob([bytes as Uint8Array<ArrayBuffer>]), "given.png");
  const headers = { authorization: `Bearer ${routing.router.keys.live}` };
  return fetch(`${routing.router.url}/v1/images/edits`, { method: "POST", headers, body: form });
}

describe("tokens", () => {
  test.each([
    [{}],
    [{ n: 3, quality: "medium" }],
    [{ size: "3840x2160", quality: "high" }],
    [{ size: "auto", quality: "auto" }],
    [{ output_format: "jpeg", prompt: "a long story of a cup ".repeat(4) }],
  ])("are charged as the provider counts them: %j", async (more) => {
    routing = await startRouting();
    const answer = await routing.router.generate({ ...gpt, ...more });
    expect(answer.status).toBe(200);
    const { usage, data } = (await answer.json()) as { usage: Usage; data: unknown[] };
    expect(usage).toEqual(usageSent());
    const cost = costOf(usage);
    expect(charges()).toMatchObject([{ nanos: cost, images: data.length, provider: null }]);
    expect(Number(answer.headers.get("x-arouter-cost-usd"))).toBe(cost / 1e9);
    expect(cost).toBeLessThanOrEqual(held()[0]?.nanos ?? 0);
  });

  test("of given pictures too", async () => {
    routing = await startRouting();
    const given = [picture({ width: 1_024, height: 1_536 }), picture({ width: 512, height: 512, seed: 2 })];
    const answer = await edit(gpt, ...given);
    expect(answer.status).toBe(200);
    const usage = usageSent();
    expect(usage.input_tokens_details.image_tokens).toBeGreaterThan(100);
    expect(charges()).toMatchObject([{ nanos: costOf(usage), images: 1 }]);
  });

  test.each([0, 1, 3])("of a stream with %d previews, which cost tokens as well", async (partial_images) => {
    routing = await startRouting();
    const { events } = await readEvents(await routing.router.generate({ ...gpt, stream: true, partial_images }));
    expect(events).toHaveLength(partial_images + 1);
    const usage = usageSent();
    expect(events.at(-1)?.data).toMatchObject({ usage: JSON.parse(JSON.stringify(usage)) });
    // One preview is 100 tokens of output; a low picture of a megapixel 196.
    expect(usage.output_tokens).toBe(196 + 100 * partial_images);
    expect(charges()).toMatchObject([{ nanos: costOf(usage), images: 1 }]);
  });

  test("that nobody counted are charged by the quote, for the pictures that came", async () => {
    const upstream = startKeyedUpstream();
    undone.push(upstream.stop);
    routing = await startRouting({ env: { OPENAI_API_KEY: "one", OPENAI_BASE_URL: upstream.url } });
    const b64_json = Buffer.from(picture({ width: 1_024, height: 1_024 })).toString("base64");
    const share = (12 + 64) * 5_000 + 196 * 30_000;
    upstream.next("one", { status: 200, body: { created: 1, data: [{ b64_json }, { b64_json }] } });
    const short = await routing.router.generate({ ...gpt, n: 3 });
    expect([short.status, short.headers.get("x-arouter-warnings")]).toEqual([200, "short_delivery"]);
    expect([held()[0]?.nanos, charges()[0]?.nanos]).toEqual([3 * share, 2 * share]);
  });

  test("beyond the quote are the operator's", async () => {
    const upstream = startKeyedUpstream();
    undone.push(upstream.stop);
    routing = await startRouting({ env: { OPENAI_API_KEY: "one", OPENAI_BASE_URL: upstream.url } });
    const b64_json = Buffer.from(picture({ width: 1_024, height: 1_024 })).toString("base64");
    const usage = {
      input_tokens: 10,
      input_tokens_details: { text_tokens: 10, image_tokens: 0 },
      output_tokens: 90_000,
    };
    upstream.next("one", { status: 200, body: { created: 1, data: [{ b64_json }], usage } });
    const answer = await routing.router.generate(gpt);
    expect(answer.status).toBe(200);
    expect(charges()[0]?.nanos).toBe(held()[0]?.nanos ?? 0);
    expect(((await answer.json()) as { usage: unknown }).usage).toEqual(usage);
  });
});

describe("what the provider says it takes", () => {
  const drawn = { model: "black-forest-labs/flux-1.1-pro", prompt: "a cup", provider: { only: ["bfl"] } };

  test("is charged and recorded, for every picture of a fan-out", async () => {
    const bfl = startBfl({ fileOrigin: "same" });
    undone.push(() => bfl.stop());
    routing = await startRouting({ env: { BFL_API_KEY: bfl.key, BFL_BASE_URL: bfl.url } });
    expect((await routing.router.generate({ ...drawn, n: 3 })).status).toBe(200);
    expect(bfl.billedCredits).toBe(12);
    expect(charges()).toMatchObject([{ nanos: 120_000_000, images: 3, provider: 120_000_000 }]);
  });

  /** BFL's protocol with a price of the test's. */
  function startPriced(...credits: (number | undefined)[]) {
    const bytes = picture({ width: 1_024, height: 1_024 });
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch(request) {
        const { pathname, origin } = new URL(request.url);
        if (pathname === "/sample.png") return new Response(bytes, { headers: { "content-type": "image/png" } });
        if (request.method === "POST") {
          const cost = credits.shift();
          return Response.json({ id: "task-1", polling_url: `${origin}/v1/get_result?id=task-1`, cost });
        }
        return Response.json({ id: "task-1", status: "Ready", result: { sample: `${origin}/sample.png` } });
      },
    });
    undone.push(() => server.stop(true));
    return { BFL_API_KEY: "one", BFL_BASE_URL: `${server.url.origin}/v1` };
  }

  test.each<[string, (number | undefined)[], number, number | null]>([
    ["less than the catalogue has", [3.5], 35_000_000, 35_000_000],
    ["more, which is the operator's loss", [9], 40_000_000, 90_000_000],
    ["nothing: the catalogue's price", [undefined], 40_000_000, null],
    ["a fraction of a cent", [1.2345], 12_345_000, 12_345_000],
    ["something for one of two only: the catalogue's price, and what was said", [3, undefined], 80_000_000, 30_000_000],
  ])("%s", async (_name, credits, nanos, provider) => {
    const env = startPriced(...credits);
    routing = await startRouting({ env });
    const answer = await routing.router.generate({ ...drawn, n: credits.length });
    expect(answer.status).toBe(200);
    expect(charges()).toMatchObject([{ nanos, provider, images: credits.length }]);
  });
});

describe("a price that changes at midnight", () => {
  const lastSecond = Date.UTC(2026, 10, 22, 23, 59, 59);
  const price = (usd: string, more: object = {}) => ({
    unit: "image",
    rows: [{ usd }],
    source: "test",
    checked: "2026-11-22",
    ...more,
  });

  /** A model whose price goes from 2 to 7 cents tomorrow, on a route at once and on one with jobs. */
  function datedModels(): string {
    const folder = mkdtempSync(join(tmpdir(), "arouter-dated-"));
    undone.push(() => rmSync(folder, { recursive: true, force: true }));
    const routes = threeRoutes.routes.map((route) => ({
      ...route,
      price: [price("0.02"), price("0.07", { from: "2026-11-23", checked: "2026-11-23" })],
    }));
    writeFileSync(join(folder, "dated.json"), JSON.stringify({ ...threeRoutes, id: "test/dated", routes }));
    return folder;
  }
  const dated = (provider: string) => ({ model: "test/dated", prompt: "a cup", provider: { only: [provider] } });

  test("holds for what is admitted from then on; what was admitted before keeps its own", async () => {
    routing = await startRouting({ frozenAt: lastSecond, env: { AROUTER_MODELS: datedModels() } });
    const ask = () => routing.router.generate(dated("openai"));
    const before = await ask();
    routing.openai.latencyMs = 300;
    const across = ask();
    await routing.openai.arrived(2);
    routing.router.advance(1_000);
    const late = await across;
    routing.openai.latencyMs = 0;
    const after = await ask();
    const costs = [before, late, after].map((answer) => answer.headers.get("x-arouter-cost-usd"));
    expect(costs).toEqual(["0.02", "0.02", "0.07"]);
    const rules = charges().map(({ rule }) => rule);
    expect(rules[0]).toBe(rules[1] ?? "");
    expect([rules[0]?.includes("0.02"), rules[2]?.includes("0.07")]).toEqual([true, true]);
    // The record of yesterday's stays what it was.
    expect((await routing.generation(before)).price_rule).toBe(rules[0] ?? "");
    expect((await routing.generation(after)).price_rule).toBe(rules[2] ?? "");
    expect(held().map(({ nanos }) => nanos)).toEqual([20_000_000, 20_000_000, 70_000_000]);
  });

  test("does not touch a job of yesterday's that another program brings to its end", async () => {
    const env = { AROUTER_MODELS: datedModels(), AROUTER_DRAIN_TIMEOUT_MS: "10" };
    routing = await startRouting({ frozenAt: lastSecond, env });
    const { router, replicate } = routing;
    // Longer than the first program takes to stop.
    replicate.progress = { startMs: 0, runMs: 4_000 };
    const lost = router.generate(dated("replicate")).catch(() => null);
    await replicate.arrived(1, "poll");
    await router.stop();
    await lost;
    const next = await startRouter({
      dataFolder: router.dataFolder,
      keys: router.keys,
      frozenAt: lastSecond + 60_000,
      env: { ...env, REPLICATE_API_TOKEN: replicate.key, REPLICATE_BASE_URL: replicate.url },
    });
    undone.unshift(() => next.stop());
    while (routing.sql("select 1 from generations where status = 'running'").length > 0) await Bun.sleep(20);
    expect(charges()).toMatchObject([{ nanos: 20_000_000, images: 1 }]);
    expect(charges()[0]?.rule).toContain("0.02");
    replicate.progress = { startMs: 0, runMs: 0 };
    const anew = await next.generate(dated("replicate"));
    expect(anew.headers.get("x-arouter-cost-usd")).toBe("0.07");
    await next.stop();
  });
});
