/** Starts the real router for tests: its own data folder, a free port, keys of every kind, a clock that can be moved. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readConfig } from "../src/config.ts";
import { createLogger } from "../src/observe/log.ts";
import { type Clock, type Logger, systemClock } from "../src/ports.ts";
import { type ServePorts, serve } from "../src/serve.ts";

export interface TestRouter {
  /** Origin, e.g. `http://127.0.0.1:40123`. */
  url: string;
  dataFolder: string;
  keys: { test: string; live: string; management: string };
  /** What was printed at the start. */
  printed: string;
  /** Moves the router's clock forward. */
  advance(milliseconds: number): void;
  /** `POST /v1/images/generations` with the live key, or another. */
  generate(body: unknown, options?: { key?: string; headers?: Record<string, string> }): Promise<Response>;
  get(path: string, key?: string): Promise<Response>;
  /** Stops the server; the data folder stays until `remove`. */
  stop(): Promise<void>;
  remove(): Promise<void>;
}

export interface TestRouterOptions {
  /** Settings beside HOST, PORT and AROUTER_DATA. */
  env?: Record<string, string>;
  /** Another router's folder, to start again on. Then `keys` must be given too. */
  dataFolder?: string;
  keys?: TestRouter["keys"];
  logger?: Logger;
  /** Unix milliseconds at which the router's clock stands still: it moves by `advance` only. Default: the real time. */
  frozenAt?: number;
  resolve?: (hostname: string) => Promise<string[]>;
  /** Called before anything runs: the place to put faults between the parts. */
  opened?: ServePorts["opened"];
}

export async function startRouter(options: TestRouterOptions = {}): Promise<TestRouter> {
  const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), "arouter-test-"));
  let offset = 0;
  const clock: Clock = { now: () => (options.frozenAt ?? systemClock.now()) + offset, sleep: systemClock.sleep };
  let printed = "";
  // Calls that fail in passing are not made again unless a test asks for it: most tests look at one call.
  const quick = { AROUTER_UPSTREAM_RETRIES: "0" };
  const config = readConfig({ HOST: "127.0.0.1", PORT: "0", AROUTER_DATA: dataFolder, ...quick, ...options.env });
  const server = await serve(config, {
    clock,
    logger: options.logger ?? createLogger("silent"),
    print: (text) => {
      printed += `${text}\n`;
    },
    ...(options.resolve === undefined ? {} : { resolve: options.resolve }),
    ...(options.opened === undefined ? {} : { opened: options.opened }),
  });
  const secret = (kind: string) => new RegExp(`lr_${kind}_\\w+`).exec(printed)?.[0] ?? "";
  const keys = options.keys ?? { test: secret("test"), live: secret("live"), management: secret("mgmt") };
  const get = (path: string, key = keys.live) =>
    fetch(server.url + path, { headers: { authorization: `Bearer ${key}` } });
  return {
    url: server.url,
    dataFolder,
    keys,
    printed,
    advance: (milliseconds) => {
      offset += milliseconds;
    },
    generate: (body, { key = keys.live, headers = {} } = {}) =>
      fetch(`${server.url}/v1/images/generations`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
      }),
    get,
    stop: () => server.stop(),
    async remove() {
      await server.stop();
      rmSync(dataFolder, { recursive: true, force: true });
    },
  };
}
