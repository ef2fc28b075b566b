/**
 * The real router under a clock that stands still until a test moves it, so that "exactly an hour" can be tested to the
 * millisecond, and whose waiting is cut short, so that nobody waits five seconds for the sweeper. Do not use it where a
 * job runs while the server stops: draining is cut short, too.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../../src/config.ts";
import { createLogger } from "../../src/observe/log.ts";
import { type Clock, systemClock } from "../../src/ports.ts";
import { serve } from "../../src/serve.ts";
import type { TestRouter, TestRouterOptions } from "../router.ts";

export interface HeldRouter extends TestRouter {
  /** The router's clock, Unix milliseconds. */
  now(): number;
}

const longestSleepMs = 50;

export async function startHeldRouter(
  options: TestRouterOptions & { startAtMs?: number; random?: { bytes(count: number): Uint8Array } } = {},
): Promise<HeldRouter> {
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), "arouter-held-"));
  let nowMs = options.startAtMs ?? Date.now();
  const clock: Clock = {
    now: () => nowMs,
    sleep: (milliseconds, signal) => systemClock.sleep(Math.min(milliseconds, longestSleepMs), signal),
  };
  let printed = "";
  // As in test/router.ts: most tests look at one call.
  const quick = { AROUTER_UPSTREAM_RETRIES: "0" };
  const config = readConfig({ HOST: "127.0.0.1", PORT: "0", AROUTER_DATA: dataFolder, ...quick, ...options.env });
  const server = await serve(config, {
    clock,
    logger: options.logger ?? createLogger("silent"),
    print: (text) => {
      printed += `${text}\n`;
    },
    ...(options.random === undefined ? {} : { random: options.random }),
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
  });
  const secret = (kind: string) => new RegExp(`lr_${kind}_\\w+`).exec(printed)?.[0] ?? "";
  const keys = options.keys ?? { test: secret("test"), live: secret("live"), management: secret("mgmt") };
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  return {
    url: server.url,
    dataFolder,
    keys,
    printed,
    now: () => nowMs,
    advance: (milliseconds) => {
      nowMs += milliseconds;
    },
    generate: (body, { key = keys.live, headers = {} } = {}) =>
      fetch(`${server.url}/v1/images/generations`, {
        method: "POST",
        headers: { ...bearer(key), "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    get: (path, key = keys.live) => fetch(server.url + path, { headers: bearer(key) }),
    stop: () => server.stop(),
    async remove() {
      await server.stop();
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}
