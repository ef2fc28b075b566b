/** Which routes are candidates, and in what order. */
import { afterEach, describe, expect, test } from "bun:test";
import { type Routing, startRouting } from "./support.ts";

let routing: Routing;
afterEach(() => routing.stop());

const ask = (more: Record<string, unknown> = {}, key?: string) =>
  routing.router.generate({ model: "test/three-routes", prompt: "a cup", ...more }, key === undefined ? {} : { key });
const providerOf = (answer: Response) => answer.headers.get("x-arouter-provider");
const errorOf = async (answer: Response) => {
  const { error } = (await answer.json()) as { error: { code: string; param: string | null; message: string } };
  return { status: answer.status, code: error.code, param: error.param };
};

describe("the client chooses", () => {
  test("an order, one provider only, and which to leave out", async () => {
    routing = await startRouting();
    expect(providerOf(await ask({ provider: { order: ["replicate"] } }))).toBe("replicate");
    expect(providerOf(await ask({ provider: { only: ["stability"] } }))).toBe("stability");
    expect(providerOf(await ask({ provider: { ignore: ["openai", "replicate"] } }))).toBe("stability");
    expect(routing.calls()).toEqual([0, 2, 1]);
  });

  test("the cheapest, by suffix or by sort", async () => {
    routing = await startRouting();
    for (let time = 0; time < 4; time += 1) {
      expect(providerOf(await ask({ model: "test/three-routes:floor" }))).toBe("openai");
      expect(providerOf(await ask({ provider: { sort: "price" } }))).toBe("openai");
    }
  });

  test("the fastest, once all have been measured", async () => {
    routing = await startRouting();
    // Replicate is looked at every half second, so it is never faster than that.
    routing.stability.latencyMs = 300;
    routing.openai.latencyMs = 150;
    const tried: Array<string | null> = [];
    for (let time = 0; time < 3; time += 1) tried.push(providerOf(await ask({ model: "test/three-routes:nitro" })));
    expect(new Set(tried)).toEqual(new Set(["openai", "stability", "replicate"]));
    for (let time = 0; time < 3; time += 1) {
      expect(providerOf(await ask({ provider: { sort: "latency" } }))).toBe("openai");
    }
  });

  test("a ceiling for the price of one image, which bounds the hold too", async () => {
    routing = await startRouting();
    for (const max_price of [0.03, "0.03", { image: 0.03 }]) {
      const answer = await ask({ n: 2, provider: { max_price, order: ["replicate", "stability"] } });
      expect(providerOf(answer)).toBe("stability");
    }
    expect(routing.sql("select distinct amount_nanos from movements where kind = 'hold'")).toEqual([
      { amount_nanos: 60_000_000 },
    ]);
    expect(await errorOf(await ask({ provider: { max_price: 0.01 } }))).toEqual({
      status: 400,
      code: "invalid_value",
      param: "provider.max_price",
    });
  });

  test("but not nothing", async () => {
    routing = await startRouting();
    const expected = { status: 400, code: "invalid_value", param: "provider" };
    expect(await errorOf(await ask({ provider: { only: ["fal"] } }))).toEqual(expected);
    expect(await errorOf(await ask({ provider: { ignore: ["openai", "stability", "replicate"] } }))).toEqual(expected);
    expect(routing.calls()).toEqual([0, 0, 0]);
  });
});

describe("only routes that honour the whole request are candidates", () => {
  test("a parameter leaves out the route that does not have it", async () => {
    routing = await startRouting();
    for (let time = 0; time < 5; time += 1) {
      expect(providerOf(await ask({ seed: 7, provider: { order: ["openai", "stability"] } }))).toBe("stability");
    }
    expect(routing.stability.lastRequest?.body).toMatchObject({ seed: "7" });
    expect(routing.calls()).toEqual([0, 5, 0]);
  });

  test("where no configured route has it, the parameter is refused", async () => {
    routing = await startRouting({ env: { STABILITY_API_KEY: "", REPLICATE_API_TOKEN: "" } });
    expect(await errorOf(await ask({ seed: 7 }))).toEqual({ status: 400, code: "invalid_value", param: "seed" });
    expect(providerOf(await ask())).toBe("openai");
  });
});

describe("the key", () => {
  test("may be held to some providers", async () => {
    routing = await startRouting();
    const made = await fetch(`${routing.router.url}/api/v1/keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${routing.router.keys.management}`, "content-type": "application/json" },
      body: JSON.stringify({ name: "narrow", allowed_providers: ["replicate"] }),
    });
    const { key } = (await made.json()) as { key: string };
    for (let time = 0; time < 3; time += 1) expect(providerOf(await ask({}, key))).toBe("replicate");
    const refused = await errorOf(await ask({ provider: { only: ["openai"] } }, key));
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(routing.calls()).toEqual([0, 0, 3]);
  });
});

describe("without a wish", () => {
  test("cheap routes are chosen more often, by the inverse square of the price", async () => {
    routing = await startRouting();
    const asked = 300;
    const chosen: Record<string, number> = {};
    for (let time = 0; time < asked; time += 1) {
      const quote = await fetch(`${routing.router.url}/v1/images/quote`, {
        method: "POST",
        headers: { authorization: `Bearer ${routing.router.keys.live}`, "content-type": "application/json" },
        body: JSON.stringify({ model: "test/three-routes", prompt: "a cup" }),
      });
      const { routes } = (await quote.json()) as { routes: Array<{ provider: string }> };
      const first = routes[0]?.provider ?? "";
      chosen[first] = (chosen[first] ?? 0) + 1;
    }
    // 1/0.02² : 1/0.03² : 1/0.05² = 62 : 28 : 10 of a hundred; five standard deviations either way.
    expect(chosen.openai).toBeGreaterThan(asked * 0.48);
    expect(chosen.openai).toBeLessThan(asked * 0.76);
    expect(chosen.stability).toBeGreaterThan(asked * 0.15);
    expect(chosen.stability).toBeLessThan(asked * 0.41);
    expect(chosen.replicate ?? 0).toBeLessThan(asked * 0.19);
    expect(routing.calls()).toEqual([0, 0, 0]);
  });
});
