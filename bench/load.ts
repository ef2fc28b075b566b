/** The load generator: on the parent's word, so many requests, so many at once, over connections that stay open. */
import { ready } from "./child.ts";

export interface LoadOrder {
  url: string;
  key: string;
  body: string;
  expectStatus: number;
  count: number;
  concurrency: number;
}

export interface LoadResult {
  wallMs: number;
  p50Ms: number;
  p99Ms: number;
  /** Answers with another status, or none at all. */
  failed: number;
  /** Length of the last answer. */
  bytes: number;
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const latencies: number[] = [];
  let started = 0;
  let failed = 0;
  let bytes = 0;
  async function oneAfterAnother(): Promise<void> {
    while (started < order.count) {
      started += 1;
      const begun = performance.now();
      try {
        const answer = await fetch(order.url, {
          method: "POST",
          headers: { authorization: `Bearer ${order.key}`, "content-type": "application/json" },
          body: order.body,
        });
        bytes = (await answer.arrayBuffer()).byteLength;
        if (answer.status !== order.expectStatus) failed += 1;
      } catch {
        failed += 1;
      }
      latencies.push(performance.now() - begun);
    }
  }
  const begun = performance.now();
  await Promise.all(Array.from({ length: order.concurrency }, oneAfterAnother));
  const wallMs = performance.now() - begun;
  latencies.sort((a, b) => a - b);
  const at = (share: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? 0;
  return { wallMs, p50Ms: at(0.5), p99Ms: at(0.99), failed, bytes };
}

process.on("message", async (order: LoadOrder) => {
  process.send?.(await run(order));
});
ready({});
