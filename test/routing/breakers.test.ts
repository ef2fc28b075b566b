/** When a route is left alone, and how it comes back. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { credentialsOf } from "./credentials.ts";
import { failure, startKeyedUpstream } from "./keyed-upstream.ts";
import { type Routing, startRouting } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
const undone: (() => unknown)[] = [];
afterEach(async () => {
  await routing.stop();
  for (const end of undone.splice(0)) await end();
});

const on = (provider: string, more: Record<string, unknown> = {}) =>
  routing.router.generate({ model: "test/three-routes", prompt: "a cup", provider: { only: [provider] }, ...more });
const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code;

describe("a breaker", () => {
  const fail = async (times: number) => {
    for (let time = 0; time < times; time += 1) expect((await on("openai")).status).toBe(502);
  };
  const stateOfRoute = async () => (await credentialsOf(routing, "openai"))[0]?.routes;

  test("opens after ten failed generations in a row, lets one trial through after a while, and closes", async () => {
    const upstream = startKeyedUpstream();
    undone.push(upstream.stop);
    routing = await startRouting({ env: { OPENAI_API_KEY: "one", OPENAI_BASE_URL: upstream.url } });
    upstream.always("one", failure(500));
    await fail(9);
    expect(await stateOfRoute()).toEqual([{ model: "dall-e-2", state: "degraded" }]);
    await fail(1);
    expect(await stateOfRoute()).toEqual([{ model: "dall-e-2", state: "open" }]);
    const refused = await on("openai");
    const retryAfter = Number(refused.headers.get("retry-after"));
    expect([refused.status, await codeOf(refused), refused.headers.get("x-should-retry")]).toEqual([
      503,
      "no_available_provider",
      "true",
    ]);
    expect([retryAfter >= 1, retryAfter <= 5]).toEqual([true, true]);
    // Nothing was called, held or put on record.
    expect(upstream.calls).toHaveLength(10);
    expect(routing.sql("select count(*) n from generations")).toEqual([{ n: 10 }]);
    // The others serve meanwhile, whatever order is asked for.
    const elsewhere = await on("openai", { provider: { order: ["openai", "stability"] } });
    expect([elsewhere.status, elsewhere.headers.get("x-arouter-provider")]).toEqual([200, "stability"]);
    expect(upstream.calls).toHaveLength(10);

    routing.router.advance(5_000);
    expect(await stateOfRoute()).toEqual([{ model: "dall-e-2", state: "half_open" }]);
    const letGo = upstream.hold("one");
    const trial = on("openai");
    await upstream.arrived(11);
    // One trial, no second one beside it.
    expect((await on("openai")).status).toBe(503);
    expect(upstream.calls).toHaveLength(11);
    letGo();
    expect((await trial).status).toBe(502);
    routing.router.advance(9_000);
    expect((await on("openai")).status).toBe(503);
    routing.router.advance(1_000);
    upstream.clear("one");
    expect((await on("openai")).status).toBe(200);
    expect(await stateOfRoute()).toEqual([{ model: "dall-e-2", state: "closed" }]);
    for (let time = 0; time < 5; time += 1) expect((await on("openai")).status).toBe(200);
    expect(upstream.calls).toHaveLength(17);
  });

  test("takes one of several requests that come at once for its trial, and sends no other", async () => {
    const upstream = startKeyedUpstream();
    undone.push(upstream.stop);
    routing = await startRouting({
      env: { OPENAI_API_KEY: "one", OPENAI_BASE_URL: upstream.url, AROUTER_UPSTREAM_RETRIES: "0" },
    });
    upstream.always("one", failure(500));
    await fail(10);
    routing.router.advance(5_000);
    const letGo = upstream.hold("one");
    const asked = Array.from({ length: 6 }, () => on("openai"));
    // All but the trial end while it is under way.
    const codes = await Promise.all(
      asked.map((answer) => Promise.race([answer.then(({ status }) => status), Bun.sleep(1_500)])),
    );
    expect(upstream.calls).toHaveLength(11);
    expect(codes.filter((code) => code === undefined)).toHaveLength(1);
    expect(codes.filter((code) => code === 502 || code === 503)).toHaveLength(5);
    upstream.clear("one");
    letGo();
    expect((await Promise.all(asked)).filter(({ status }) => status === 200)).toHaveLength(1);
    expect(await stateOfRoute()).toEqual([{ model: "dall-e-2", state: "closed" }]);
  });

  test("puts a route that fails behind its siblings before it opens", async () => {
    routing = await startRouting();
    const cheapest = { model: "test/three-routes:floor", provider: {} };
    expect((await on("", cheapest)).headers.get("x-arouter-provider")).toBe("openai");
    routing.openai.always({ kind: "htmlBadGateway" });
    await fail(3);
    const calls = routing.calls()[0] ?? 0;
    for (let time = 0; time < 3; time += 1) {
      expect((await on("", cheapest)).headers.get("x-arouter-provider")).toBe("stability");
    }
    expect(routing.calls()[0]).toBe(calls);
    // Half a minute later it is as good as any.
    routing.openai.clear();
    routing.router.advance(30_000);
    expect((await on("", cheapest)).headers.get("x-arouter-provider")).toBe("openai");
  });

  test("counts a generation once, however many of its calls fail, also beside another's", async () => {
    routing = await startRouting({ env: { AROUTER_UPSTREAM_RETRIES: "1" } });
    routing.stability.always({ kind: "htmlBadGateway" });
    routing.stability.latencyMs = 50;
    const both = await Promise.all([on("stability", { n: 4 }), on("stability", { n: 4 })]);
    expect(both.map(({ status }) => status)).toEqual([502, 502]);
    expect(routing.calls()).toEqual([0, 16, 0]);
    expect((await credentialsOf(routing, "stability"))[0]?.routes).toEqual([{ model: "sd3.5-large", state: "closed" }]);
  });

  test("is not opened by clients that cancel", async () => {
    routing = await startRouting();
    routing.replicate.progress = { startMs: 0, runMs: 60_000 };
    const headers = { authorization: `Bearer ${routing.router.keys.live}` };
    for (let time = 1; time <= 10; time += 1) {
      const asked = on("replicate");
      await routing.replicate.arrived(time);
      const [{ id = "" } = {}] = routing.sql<{ id: string }>("select id from generations where status = 'running'");
      await fetch(`${routing.router.url}/v1/images/generations/${id}`, { method: "DELETE", headers });
      expect((await asked).status).toBe(410);
    }
    expect((await credentialsOf(routing, "replicate"))[0]?.routes).toEqual([
      { model: "black-forest-labs/flux-schnell", state: "closed" },
    ]);
  });

  test("does not stay open when its trial ends by a fault of ours", async () => {
    let storeFails = false;
    routing = await startRouting({
      opened: (parts) => {
        const { images } = parts;
        parts.images = {
          ...images,
          create: (id) => (storeFails ? Promise.reject(new Error("ENOSPC")) : images.create(id)),
        };
      },
    });
    routing.openai.always({ kind: "htmlBadGateway" });
    await fail(10);
    expect((await on("openai")).status).toBe(503);
    routing.openai.clear();
    routing.router.advance(5_000);
    storeFails = true;
    expect((await on("openai")).status).toBe(500);
    storeFails = false;
    expect((await on("openai")).status).toBe(200);
  });
});
