/** Jobs whose polls lead elsewhere, or answer for the job whatever their status; and where a credential may go then. */
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { systemClock } from "../../src/ports.ts";
import { bfl } from "../../src/providers/bfl.ts";
import { fal } from "../../src/providers/fal.ts";
import { isOwnOrigin } from "../../src/providers/own-origins.ts";
import type { Adapter, HttpCall, ProviderJob } from "../../src/providers/provider.ts";
import { type PendingJob, runAttempt } from "../../src/providers/transport.ts";
import { type BflDouble, startBfl } from "../doubles/bfl.ts";
import { type FalDouble, startFal } from "../doubles/fal.ts";
import { cleanup, memoryImage, rawUpstream } from "./support.ts";

// For machines that are busy with everything else.
setDefaultTimeout(40_000);

afterEach(cleanup.run);

interface Asked {
  prompt?: string;
  resume?: PendingJob;
  timeoutMs?: number;
  onPending?: (pending: PendingJob) => Promise<void>;
}

/** One attempt, and everything that was to be kept of its job, in order. */
async function attempt(
  adapter: Adapter,
  double: { url: string; origin: string; key: string },
  job: ProviderJob,
  asked: Asked,
) {
  const kept: PendingJob[] = [];
  const outcome = await runAttempt(
    { adapter, baseUrl: double.url, trustedOrigin: double.origin, credential: double.key },
    job,
    {
      newImage: memoryImage,
      async onPending(pending) {
        kept.push(structuredClone(pending));
        await asked.onPending?.(pending);
      },
    },
    { fetch, resolve: async () => [], clock: systemClock },
    { timeoutMs: asked.timeoutMs ?? 20_000, ...(asked.resume && { resume: asked.resume }) },
  );
  return { outcome, kept };
}

const bflJob = (prompt = "x"): ProviderJob => ({
  operation: "generate",
  model: "flux-pro-1.1",
  parameters: { prompt, width: 256, height: 256, output_format: "png" },
  count: 1,
});
const falJob = (prompt = "x"): ProviderJob => ({
  operation: "generate",
  model: "fal-ai/flux/schnell",
  parameters: { prompt, image_size: { width: 256, height: 256 }, output_format: "png" },
  count: 1,
});
const atBfl = (double: BflDouble, asked: Asked = {}) => attempt(bfl, double, bflJob(asked.prompt), asked);
const atFal = (double: FalDouble, asked: Asked = {}) => attempt(fal, double, falJob(asked.prompt), asked);

function startedBfl(pollOrigin: "same" | "other"): BflDouble {
  const double = startBfl({ pollOrigin, fileOrigin: "same" });
  cleanup.add(() => double.stop());
  return double;
}
function startedFal(): FalDouble {
  const double = startFal({ fileOrigin: "same" });
  cleanup.add(() => double.stop());
  return double;
}

describe("a polling URL", () => {
  test.each(["same", "other"] as const)(
    "of the %s origin is asked, and the key goes to no other origin; the told cost is kept",
    async (pollOrigin) => {
      const double = startedBfl(pollOrigin);
      const { outcome, kept } = await atBfl(double);
      expect(outcome).toMatchObject({
        kind: "done",
        images: [{ width: 256 }],
        costUsd: kept[0]?.costUsd ?? "none told",
      });
      expect(kept).toHaveLength(1);
      expect(kept[0]).toMatchObject({ upstreamId: expect.any(String), finalStatuses: true });
      const polls = double.requestsAt("poll");
      expect(polls.length).toBeGreaterThan(0);
      for (const { headers } of polls) {
        const isElsewhere = `http://${headers.host}` !== double.origin;
        expect(headers["x-key"]).toBe(isElsewhere ? (undefined as never) : double.key);
      }
      const ports = new Set([...polls, ...double.requestsAt("create")].map(({ headers }) => headers.host));
      expect(ports.size).toBe(pollOrigin === "same" ? 1 : 2);
    },
  );

  test("that leads anywhere else is not asked, and the key stays here", async () => {
    const double = startedBfl("same");
    const sink = rawUpstream((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
    const { port } = new URL(sink.origin);
    for (const url of [
      `http://localhost:${port}/x`,
      `https://127.0.0.1:${port}/x`,
      "https://api.us1.bfl.ai/v1/get_result",
      "x:y",
    ]) {
      const resume = { upstreamId: "task", poll: { method: "GET", url } as HttpCall, afterMs: 0 };
      const { outcome } = await atBfl(double, { resume });
      expect(outcome).toMatchObject({ kind: "failed", failure: { class: "contract_changed" }, upstreamId: "task" });
    }
    expect(sink.connections).toBe(0);
    expect(double.requests).toEqual([]);
  });

  const origins: [of: Adapter, base: string, url: string, own: boolean][] = [
    [bfl, "https://api.bfl.ai/v1", "https://api.bfl.ai/v1/get_result?id=1", true],
    [bfl, "https://api.bfl.ai/v1", "https://api.us1.bfl.ai/v1/get_result?id=1", true],
    [bfl, "https://api.eu.bfl.ai/v1", "https://api.eu2.bfl.ai/v1/x", true],
    [bfl, "https://api.bfl.ai/v1", "http://api.us1.bfl.ai/v1/x", false],
    [bfl, "https://api.bfl.ai/v1", "https://api.us1.bfl.ai:8443/v1/x", false],
    [bfl, "https://api.bfl.ai/v1", "https://api.bfl.ai:444/v1/x", false],
    [bfl, "https://api.bfl.ai/v1", "https://evilbfl.ai/x", false],
    [bfl, "https://api.bfl.ai/v1", "https://api.bfl.ai.evil.example/x", false],
    [bfl, "https://api.bfl.ai/v1", "https://user:pw@api.bfl.ai/x", false],
    // An operator's own place: its key goes neither to the vendor nor to another host.
    [bfl, "https://gateway.example/bfl/v1", "https://api.us1.bfl.ai/v1/x", false],
    [bfl, "https://gateway.example/bfl/v1", "https://gateway.example:8443/x", true],
    [bfl, "https://gateway.example/bfl/v1", "http://gateway.example/x", false],
    [bfl, "http://127.0.0.1:4000/v1", "http://127.0.0.1:4001/v1/x", true],
    [bfl, "http://127.0.0.1:4000/v1", "http://127.0.0.2:4000/v1/x", false],
    [fal, "https://queue.fal.run", "https://queue.fal.run/x", true],
    [fal, "https://queue.fal.run", "https://rest.fal.run/x", false],
    [fal, "http://127.0.0.1:4000", "http://127.0.0.1:4001/x", false],
  ];
  test.each(origins.map(([of, base, url, own]) => [of.id, base, url, own, of] as const))(
    "%s: from %s to %s is its own: %p",
    (_name, base, url, own, of) => {
      expect(isOwnOrigin(of, new URL(url), new URL(base))).toBe(own);
    },
  );
});

describe("a job that moves to another call", () => {
  test("is kept anew before that call is made, and the result is asked for at once", async () => {
    const double = startedFal();
    const { outcome, kept } = await atFal(double);
    expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    expect(kept.map(({ poll }) => new URL(poll.url, double.url).pathname.endsWith("/status"))).toEqual([true, false]);
    expect(kept[0]?.cancel).toBeDefined();
    expect(kept[1]).not.toHaveProperty("cancel");
    expect(new Set(kept.map(({ upstreamId }) => upstreamId)).size).toBe(1);
    expect(double.jobs).toHaveLength(1);
  });

  test("is picked up again at either call", async () => {
    const double = startedFal();
    const { kept } = await atFal(double);
    for (const resume of kept) {
      const again = await atFal(double, { resume: { ...resume, afterMs: 0 } });
      expect(again.outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
      expect(again.outcome.timings).toEqual({});
    }
    expect(double.jobs).toHaveLength(1);
  });

  test("when the second call cannot be kept, the attempt ends with that", async () => {
    const double = startedFal();
    let calls = 0;
    const onPending = async () => {
      calls += 1;
      if (calls === 2) throw new Error("not ours any more");
    };
    await expect(atFal(double, { onPending })).rejects.toThrow("not ours any more");
  });

  test("is asked with pauses when it is sent to and fro", async () => {
    const upstream = rawUpstream((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"));
    let looks = 0;
    const restless: Adapter = {
      ...fal,
      read: () => ({ kind: "pending", upstreamId: "p1", poll: { method: "GET", url: `/look/${++looks}` }, afterMs: 0 }),
    };
    const double = { url: upstream.origin, origin: upstream.origin, key: "key" };
    const { outcome } = await attempt(restless, double, falJob(), { timeoutMs: 1_500 });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "timeout" }, upstreamId: "p1" });
    expect(upstream.requests.length).toBeWithin(5, 12);
  });
});

describe("a poll whose status is the job's own answer", () => {
  test.each([
    ["[[moderate]]", "refused"],
    ["[[500]]", "upstream_error"],
  ])("%s", async (prompt, failureClass) => {
    const double = startedFal();
    const { outcome } = await atFal(double, { prompt });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: failureClass } });
    expect(double.jobs).toHaveLength(1);
  });

  test("trouble of the poll alone is not: the adapter says so, and the poll is made again", async () => {
    const [atCluster, atQueue] = [startedBfl("same"), startedFal()];
    for (const double of [atCluster, atQueue]) {
      double.next({ kind: "htmlBadGateway" }, { on: "poll", times: 2 });
      double.next({ kind: "cut" }, { on: "poll" });
    }
    for (const { outcome } of [await atBfl(atCluster), await atFal(atQueue)])
      expect(outcome).toMatchObject({ kind: "done", images: [{ width: 256 }] });
    for (const double of [atCluster, atQueue]) {
      expect(double.requestsAt("create")).toHaveLength(1);
      expect(double.requestsAt("poll").length).toBeGreaterThan(3);
    }
  });

  test("without that word any status but 2xx is trouble of the poll alone", async () => {
    const double = startedFal();
    const { kept } = await atFal(double, { prompt: "[[moderate]]" });
    const { finalStatuses: _, ...result } = kept[1] as PendingJob;
    const { outcome } = await atFal(double, { resume: { ...result, afterMs: 0 }, timeoutMs: 900 });
    expect(outcome).toMatchObject({ kind: "failed", failure: { class: "timeout" } });
  });
});
