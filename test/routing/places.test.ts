/** How many jobs a provider is given at once, and whose turn it is. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type BflDouble, startBfl } from "../doubles/bfl.ts";
import { picture } from "../doubles/picture.ts";
import { startRouter } from "../router.ts";
import { credentialsOf } from "./credentials.ts";
import { type Routing, startRouting } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let routing: Routing;
const undone: (() => unknown)[] = [];
afterEach(async () => {
  await routing.stop();
  for (const end of undone.splice(0)) await end();
});

const codeOf = async (answer: Response) => ((await answer.json()) as { code?: string }).code;

describe("places at Black Forest Labs", () => {
  const drawn = { model: "black-forest-labs/flux-1.1-pro", provider: { only: ["bfl"] } };
  const narrow = { model: "black-forest-labs/flux-1-kontext-max", provider: { only: ["bfl"] } };
  const small = picture({ width: 64, height: 64, type: "png", seed: 3 });
  const envOf = (bfl: BflDouble) => ({ BFL_API_KEY: bfl.key, BFL_BASE_URL: bfl.url });

  function startTasks(runMs: number): BflDouble {
    // It takes as many as come: what is measured is what the router sends.
    const bfl = startBfl({
      progress: { runMs },
      maxActive: 1_000,
      maxActiveKontextMax: 1_000,
      fileOrigin: "same",
      paint: () => small,
    });
    undone.push(() => bfl.stop());
    return bfl;
  }

  /** The most tasks that ran at once, of all or of one model. */
  function peakOf({ tasks }: BflDouble, runMs: number, model?: string): number {
    const begins = tasks
      .filter((task) => model === undefined || task.model.name === model)
      .map((task) => task.createdAtMs);
    return Math.max(0, ...begins.map((at) => begins.filter((other) => other <= at && at < other + runMs).length));
  }

  async function makeKey(name: string): Promise<string> {
    const made = await fetch(`${routing.router.url}/api/v1/keys`, {
      method: "POST",
      headers: { authorization: `Bearer ${routing.router.keys.management}`, "content-type": "application/json" },
      body: JSON.stringify({ name }),
    });
    return ((await made.json()) as { key: string }).key;
  }

  const waitingFor = async (places: number) => {
    const view = async () => (await credentialsOf(routing, "bfl"))[0];
    for (let seen = await view(); (seen?.running ?? 0) + (seen?.waiting ?? 0) < places; seen = await view()) {
      await Bun.sleep(20);
    }
    return view();
  };

  test("24 and no more, in turns of three keys; 6 and no more for kontext-max", async () => {
    const runMs = 1_000;
    const bfl = startTasks(runMs);
    routing = await startRouting({ env: envOf(bfl) });
    const keys = [await makeKey("greedy"), await makeKey("modest"), await makeKey("late")];
    const ask = (who: number, body: object, count: number) =>
      Array.from({ length: count }, () =>
        routing.router.generate({ ...body, prompt: `cup of ${who}` }, { key: keys[who] ?? "" }),
      );
    const asked = ask(0, drawn, 36);
    await waitingFor(36);
    asked.push(...ask(1, drawn, 9), ...ask(2, drawn, 7), ...ask(2, narrow, 8));
    const full = await waitingFor(60);
    expect([full?.running, full?.waiting]).toEqual([24, 36]);
    const answers = await Promise.all(asked);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(bfl.tasks).toHaveLength(60);
    expect([bfl.peakActive, peakOf(bfl, runMs)]).toEqual([24, 24]);
    const narrowPeak = peakOf(bfl, runMs, "flux-kontext-max");
    expect([narrowPeak > 0, narrowPeak <= 6]).toEqual([true, true]);
    // 36 were in line before the others came; of the places that were given anew, each key gets its share.
    const given = bfl.tasks.slice(24, 24 + 21).map(({ input }) => Number(String(input.prompt).at(-1)));
    const shares = [0, 1, 2].map((who) => given.filter((other) => other === who).length);
    for (const share of shares) expect([share >= 5, share <= 9]).toEqual([true, true]);
    expect((await credentialsOf(routing, "bfl"))[0]).toMatchObject({ running: 0, waiting: 0 });
  });

  test("kontext-max alone has six", async () => {
    const bfl = startTasks(400);
    routing = await startRouting({ env: envOf(bfl) });
    const asked = Array.from({ length: 14 }, () => routing.router.generate({ ...narrow, prompt: "a cup" }));
    expect((await waitingFor(14))?.running).toBe(6);
    for (const answer of await Promise.all(asked)) expect(answer.status).toBe(200);
    expect(bfl.peakActive).toBe(6);
  });

  test("who waits may cancel, and takes nobody's place", async () => {
    const bfl = startTasks(1_000);
    routing = await startRouting({ env: envOf(bfl) });
    const first = Array.from({ length: 24 }, () => routing.router.generate({ ...drawn, prompt: "a cup" }));
    await waitingFor(24);
    const waits = routing.router.generate({ ...drawn, prompt: "the last cup" });
    await waitingFor(25);
    const [{ id = "" } = {}] = routing.sql<{ id: string }>(
      "select id from generations order by created_at desc, id desc",
    );
    const headers = { authorization: `Bearer ${routing.router.keys.live}` };
    await fetch(`${routing.router.url}/v1/images/generations/${id}`, { method: "DELETE", headers });
    expect((await waits).status).toBe(410);
    for (const answer of await Promise.all(first)) expect(answer.status).toBe(200);
    expect(bfl.tasks).toHaveLength(24);
  });

  test("what is spent on waiting is part of the attempt's life", async () => {
    const bfl = startTasks(1_000);
    routing = await startRouting({ env: { ...envOf(bfl), AROUTER_UPSTREAM_TIMEOUT_MS: "2000" } });
    const first = Array.from({ length: 24 }, () => routing.router.generate({ ...drawn, prompt: "a cup" }));
    await waitingFor(24);
    bfl.progress = { runMs: 60_000 };
    const begun = performance.now();
    const late = await routing.router.generate({ ...drawn, prompt: "the last cup" });
    expect([late.status, await codeOf(late)]).toEqual([504, "upstream_timeout"]);
    expect(performance.now() - begun).toBeLessThan(2_700);
    for (const answer of await Promise.all(first)) expect(answer.status).toBe(200);
  });

  test("are taken by jobs of before a restart as well", async () => {
    const bfl = startTasks(4_000);
    routing = await startRouting({ env: { ...envOf(bfl), AROUTER_DRAIN_TIMEOUT_MS: "10" } });
    const { router } = routing;
    const lost = Array.from({ length: 20 }, () => router.generate({ ...drawn, prompt: "a cup" }).catch(() => null));
    while (bfl.tasks.length < 20) await Bun.sleep(20);
    await waitingFor(20);
    await Bun.sleep(200);
    await router.stop();
    await Promise.all(lost);
    const second = await startRouter({ dataFolder: router.dataFolder, keys: router.keys, env: envOf(bfl) });
    undone.unshift(() => second.stop());
    // The dead program's leases are over.
    second.advance(60_000);
    while (routing.sql("select 1 from generations where owner <> (select max(owner) from generations)").length > 0) {
      await Bun.sleep(20);
    }
    await Bun.sleep(1_500);
    const anew = Array.from({ length: 10 }, () => second.generate({ ...drawn, prompt: "a cup" }));
    for (const answer of await Promise.all(anew)) expect(answer.status).toBe(200);
    expect(bfl.peakActive).toBe(24);
    while (routing.sql("select 1 from generations where status = 'running'").length > 0) await Bun.sleep(20);
    expect(routing.sql("select status, count(*) n from generations group by 1")).toEqual([
      { status: "succeeded", n: 30 },
    ]);
    await second.stop();
  });
});
