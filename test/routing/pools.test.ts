/** Several credentials of one provider: whom a call goes to. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { credentialLabel } from "../../src/generation/providers.ts";
import { credentialsOf } from "./credentials.ts";
import { failure, type KeyedUpstream, startKeyedUpstream } from "./keyed-upstream.ts";
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
const viewOf = async (key: string) =>
  (await credentialsOf(routing, "openai")).find(({ credential }) => credential === credentialLabel(key));

async function startPool(...keys: string[]): Promise<KeyedUpstream> {
  const upstream = startKeyedUpstream();
  undone.push(upstream.stop);
  const env = { OPENAI_API_KEY: keys.join(","), OPENAI_BASE_URL: upstream.url, AROUTER_UPSTREAM_RETRIES: "2" };
  routing = await startRouting({ env });
  return upstream;
}

describe("the credentials of a pool", () => {
  test("are chosen by load, and equals share the work", async () => {
    const upstream = await startPool("a", "b", "c");
    const letGo = upstream.hold("a");
    const held: Promise<Response>[] = [];
    // Until one call hangs at the first credential, it may be any of them.
    while (!upstream.keys().includes("a")) {
      const before = upstream.calls.length;
      const asked = on("openai");
      await upstream.arrived(before + 1);
      if (upstream.keys().at(-1) === "a") held.push(asked);
      else await asked;
    }
    const before = upstream.calls.length;
    for (let time = 0; time < 16; time += 1) expect((await on("openai")).status).toBe(200);
    const since = upstream.keys().slice(before);
    expect(new Set(since)).toEqual(new Set(["b", "c"]));
    expect(await viewOf("a")).toMatchObject({ running: 1, waiting: 0 });
    letGo();
    for (const asked of held) expect((await asked).status).toBe(200);
    expect(await viewOf("a")).toMatchObject({ running: 0 });
  });

  test("share requests that come at once evenly", async () => {
    const upstream = await startPool("a", "b", "c");
    const letGo = ["a", "b", "c"].map((key) => upstream.hold(key));
    const asked = Array.from({ length: 12 }, () => on("openai"));
    await upstream.arrived(12);
    const of = (key: string) => upstream.keys().filter((other) => other === key).length;
    expect(["a", "b", "c"].map(of)).toEqual([4, 4, 4]);
    for (const go of letGo) go();
    expect((await Promise.all(asked)).map(({ status }) => status)).toEqual(new Array(12).fill(200));
  });

  test.each<[string, 401 | 402 | 429, number]>([
    ["one that is not accepted", 401, 300_000],
    ["one without money", 402, 300_000],
    ["one that is limited", 429, 10_000],
  ])("%s is left alone for a while, and the call goes to another at once", async (_name, status, parkedMs) => {
    const upstream = await startPool("bad", "good");
    upstream.always("bad", failure(status));
    while (!upstream.keys().includes("bad")) {
      const begun = performance.now();
      const answer = await on("openai");
      expect([answer.status, answer.headers.get("x-arouter-cost-usd")]).toEqual([200, "0.02"]);
      expect(performance.now() - begun).toBeLessThan(450);
    }
    expect(upstream.keys().slice(-2)).toEqual(["bad", "good"]);
    const reason = { 401: "auth", 402: "quota", 429: "rate_limited" }[status];
    const parked = (await viewOf("bad"))?.parked;
    expect(parked?.reason).toBe(reason);
    const untilMs = Date.parse(parked?.until ?? "") - Date.now();
    expect([untilMs > parkedMs - 5_000, untilMs <= parkedMs]).toEqual([true, true]);
    expect((await viewOf("good"))?.parked).toBeNull();
    const before = upstream.calls.length;
    for (let time = 0; time < 8; time += 1) expect((await on("openai")).status).toBe(200);
    expect(upstream.keys().slice(before)).toEqual(Array(8).fill("good"));
    // Afterwards it gets its turn again.
    routing.router.advance(parkedMs);
    upstream.clear("bad");
    expect((await viewOf("bad"))?.parked).toBeNull();
    for (let time = 0; time < 20 && upstream.keys().at(-1) !== "bad"; time += 1) await on("openai");
    expect(upstream.keys().at(-1)).toBe("bad");
  });

  test("park for as long as the provider says", async () => {
    const upstream = await startPool("only");
    upstream.next("only", failure(429, { "retry-after": "40" }));
    const answer = await on("openai");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "40"]);
    routing.router.advance(38_000);
    expect((await viewOf("only"))?.parked).not.toBeNull();
    routing.router.advance(2_000);
    expect((await viewOf("only"))?.parked).toBeNull();
  });

  test("are still tried when all are parked, the one that is free soonest first; a good answer ends it", async () => {
    const upstream = await startPool("poor", "busy");
    upstream.always("poor", failure(402));
    upstream.always("busy", failure(429, { "retry-after": "30" }));
    const none = await on("openai");
    expect([503, 429]).toContain(none.status);
    expect(new Set(upstream.keys())).toEqual(new Set(["poor", "busy"]));
    const before = upstream.calls.length;
    expect((await on("openai")).status).toBe(429);
    expect(upstream.keys().slice(before)).toEqual(["busy"]);
    upstream.clear("busy");
    expect((await on("openai")).status).toBe(200);
    expect((await viewOf("busy"))?.parked).toBeNull();
    expect((await viewOf("poor"))?.parked?.reason).toBe("quota");
  });

  test("stay parked when a call from before comes to a good end", async () => {
    const upstream = await startPool("one");
    const letGo = upstream.hold("one");
    const slow = on("openai");
    await upstream.arrived(1);
    await Bun.sleep(20);
    // The next call is not held.
    upstream.hold("one")();
    upstream.next("one", failure(429, { "retry-after": "60" }));
    expect((await on("openai")).status).toBe(429);
    expect((await viewOf("one"))?.parked?.reason).toBe("rate_limited");
    letGo();
    expect((await slow).status).toBe(200);
    expect((await viewOf("one"))?.parked?.reason).toBe("rate_limited");
  });
});
