/** Calls that are made again on the same route: which, how often, after how long, and what is on record about them. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Parts } from "../../src/parts.ts";
import type { Fault } from "../doubles/faults.ts";
import { failure, type KeyedUpstream, startKeyedUpstream } from "./keyed-upstream.ts";
import { withoutJitter } from "./short-pauses.ts";
import { type Routing, startRouting } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
let upstream: KeyedUpstream | undefined;
afterEach(async () => {
  await upstream?.stop();
  upstream = undefined;
  await routing.stop();
});

interface Recorded {
  status: string;
  cost_usd: number;
  error: { code: string } | null;
  attempts: Array<{
    round: number;
    status: string;
    started: number;
    finished: number;
    error: { class: string } | null;
  }>;
}

const twice = { AROUTER_UPSTREAM_RETRIES: "2" };
const on = (provider: string, more: Record<string, unknown> = {}) =>
  routing.router.generate({ model: "test/three-routes", prompt: "a cup", provider: { only: [provider] }, ...more });
const recordOf = async (answer: Response) => (await routing.generation(answer)) as unknown as Recorded;
const roundsOf = ({ attempts }: Recorded) => attempts.map(({ round, status }) => `${round} ${status}`);
const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code;
const status = (code: number, headers: Record<string, string> = {}): Fault => ({
  kind: "answer",
  status: code,
  body: { error: { message: "no", type: "server_error" } },
  headers,
});

const quick = { env: twice, opened: withoutJitter };

/** A router in front of an upstream that notes when it was called. */
async function startTimed(opened?: (parts: Parts) => void): Promise<KeyedUpstream> {
  upstream = startKeyedUpstream();
  const env = { ...twice, OPENAI_BASE_URL: upstream.url, OPENAI_API_KEY: "one" };
  routing = await startRouting({ env, ...(opened === undefined ? {} : { opened }) });
  return upstream;
}
const gapsOf = ({ calls }: KeyedUpstream) => calls.slice(1).map(({ atMs }, index) => atMs - (calls[index]?.atMs ?? 0));

describe("a call that failed in passing is made again", () => {
  test.each<[string, Fault]>([
    ["500", status(500)],
    ["503", status(503)],
    ["an HTML 502", { kind: "htmlBadGateway" }],
    ["429", { kind: "answer", status: 429, body: failure(429).body }],
  ])("after %s, up to twice: one bill, every call on record", async (_name, fault) => {
    routing = await startRouting(quick);
    routing.openai.next(fault, { times: 2 });
    const answer = await on("openai");
    expect([answer.status, answer.headers.get("x-arouter-cost-usd")]).toEqual([200, "0.02"]);
    expect([routing.calls(), routing.billed()]).toEqual([
      [3, 0, 0],
      [1, 0, 0],
    ]);
    const record = await recordOf(answer);
    expect(roundsOf(record)).toEqual(["0 failed", "1 failed", "2 succeeded"]);
    for (const { started, finished } of record.attempts) expect(finished).toBeGreaterThanOrEqual(started);
    expect(routing.sql("select kind, amount_nanos from movements order by rowid")).toEqual([
      { kind: "hold", amount_nanos: 20_000_000 },
      { kind: "charge", amount_nanos: 20_000_000 },
    ]);
  });

  test("and not a fourth time", async () => {
    routing = await startRouting(quick);
    routing.openai.always(status(500));
    const answer = await on("openai");
    expect([answer.status, await codeOf(answer), answer.headers.get("x-should-retry")]).toEqual([
      502,
      "upstream_error",
      "true",
    ]);
    expect(routing.calls()).toEqual([3, 0, 0]);
    const record = await recordOf(answer);
    expect([record.cost_usd, ...roundsOf(record)]).toEqual([0, "0 failed", "1 failed", "2 failed"]);
  });

  test("as often as the operator says", async () => {
    routing = await startRouting({ ...quick, env: { AROUTER_UPSTREAM_RETRIES: "4" } });
    routing.openai.always(status(500));
    await on("openai");
    expect(routing.calls()).toEqual([5, 0, 0]);
  });

  test("where nothing was sent", async () => {
    const closed = startKeyedUpstream();
    await closed.stop();
    routing = await startRouting({ ...quick, env: { ...twice, OPENAI_BASE_URL: closed.url } });
    const answer = await on("openai");
    expect([answer.status, await codeOf(answer)]).toEqual([502, "upstream_error"]);
    const { attempts } = await recordOf(answer);
    expect(attempts.map(({ error }) => error?.class)).toEqual(["unreachable", "unreachable", "unreachable"]);
  });

  test("only when no other candidate is left", async () => {
    routing = await startRouting(quick);
    routing.openai.always(status(500));
    routing.stability.next(status(500), { times: 2 });
    const provider = { only: ["openai", "stability"], order: ["openai", "stability"] };
    const answer = await routing.router.generate({ model: "test/three-routes", prompt: "a cup", provider });
    expect([answer.status, answer.headers.get("x-arouter-provider")]).toEqual([200, "stability"]);
    expect(routing.calls()).toEqual([1, 3, 0]);
    expect(roundsOf(await recordOf(answer))).toEqual(["0 failed", "1 failed", "2 failed", "3 succeeded"]);
  });

  test("of a fan-out only what failed, and the pictures keep their places", async () => {
    routing = await startRouting(quick);
    routing.stability.next(status(500), { times: 2 });
    const answer = await on("stability", { n: 4, seed: 5 });
    expect([answer.status, answer.headers.get("x-arouter-warnings")]).toEqual([200, null]);
    expect(((await answer.json()) as { data: unknown[] }).data).toHaveLength(4);
    expect([routing.calls(), routing.billed()]).toEqual([
      [0, 6, 0],
      [0, 4, 0],
    ]);
    const attempts = routing.sql<{ round: number; place: number; status: string }>(
      "select round, image_offset place, status from attempts order by sequence",
    );
    const failed = attempts.filter(({ status }) => status === "failed").map(({ place }) => place);
    const again = attempts.filter(({ round }) => round === 1).map(({ place }) => place);
    expect([failed.length, again]).toEqual([2, failed]);
    // Each picture has its own seed, and each seed was asked for until it was delivered, once.
    const seeds = routing.stability.requestsAt("create").map(({ body }) => (body as { seed: string }).seed);
    expect(new Set(seeds).size).toBe(4);
    expect(answer.headers.get("x-arouter-cost-usd")).toBe("0.12");
  });

  test("what a fan-out has delivered stays when the rest goes on failing", async () => {
    routing = await startRouting(quick);
    routing.stability.next({ kind: "delay", ms: 1 });
    routing.stability.always(status(500));
    const answer = await on("stability", { n: 2 });
    expect([answer.status, answer.headers.get("x-arouter-warnings")]).toEqual([200, "short_delivery"]);
    expect([routing.calls(), routing.billed(), answer.headers.get("x-arouter-cost-usd")]).toEqual([
      [0, 4, 0],
      [0, 1, 0],
      "0.03",
    ]);
  });
});

describe("the pause", () => {
  test("is never shorter than the provider asks", async () => {
    const timed = await startTimed(withoutJitter);
    timed.next("one", failure(429, { "retry-after": "1" }), failure(500, { "retry-after": "1" }));
    expect((await on("openai")).status).toBe(200);
    expect(timed.calls).toHaveLength(3);
    for (const gap of gapsOf(timed)) {
      expect(gap).toBeGreaterThan(990);
      expect(gap).toBeLessThan(2_000);
    }
  });

  test("is up to half a second, then up to one, as chance has it", async () => {
    const timed = await startTimed((parts) => {
      const { random } = parts;
      parts.random = { bytes: (count) => (count === 2 ? new Uint8Array([0xff, 0xff]) : random.bytes(count)) };
    });
    timed.next("one", failure(500), failure(500));
    expect((await on("openai")).status).toBe(200);
    const [first = 0, second = 0] = gapsOf(timed);
    expect([first > 490, first < 950, second > 990, second < 1_900]).toEqual([true, true, true, true]);
  });

  test.each<[429 | 500]>([[429], [500]])(
    "that would be too long is the client's: %d with Retry-After: 12",
    async (code) => {
      const timed = await startTimed(withoutJitter);
      timed.next("one", failure(code, { "retry-after": "12" }));
      const begun = performance.now();
      const answer = await on("openai");
      expect([answer.status, answer.headers.get("retry-after"), answer.headers.get("x-should-retry")]).toEqual([
        code === 429 ? 429 : 502,
        "12",
        "true",
      ]);
      expect(performance.now() - begun).toBeLessThan(1_500);
      expect(timed.calls).toHaveLength(1);
    },
  );

  test("ends when the client cancels: nothing more is called, nothing is charged", async () => {
    const timed = await startTimed(withoutJitter);
    timed.always("one", failure(429, { "retry-after": "4" }));
    const asked = on("openai");
    await timed.arrived(1);
    await Bun.sleep(100);
    const [{ id = "" } = {}] = routing.sql<{ id: string }>("select id from generations");
    const headers = { authorization: `Bearer ${routing.router.keys.live}` };
    const begun = performance.now();
    const canceled = await fetch(`${routing.router.url}/v1/images/generations/${id}`, { method: "DELETE", headers });
    expect(((await canceled.json()) as { status: string }).status).toBe("canceled");
    const answer = await asked;
    expect([answer.status, await codeOf(answer)]).toEqual([410, "image_expired"]);
    expect(performance.now() - begun).toBeLessThan(2_000);
    expect(timed.calls).toHaveLength(1);
    expect(routing.sql("select kind from movements order by rowid")).toEqual([{ kind: "hold" }, { kind: "release" }]);
  });
});
