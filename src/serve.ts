/** Starts the server, keeps its background work going, and stops it gracefully. */
import { bootstrapKeys } from "./accounts/first-keys.ts";
import type { Config } from "./config.ts";
import { keepLeases } from "./generation/lease.ts";
import { keepRecovering } from "./generation/recover.ts";
import { keepSweeping } from "./generation/retention.ts";
import { createApp } from "./http/app.ts";
import { describeGenerations } from "./http/webhooks.ts";
import { keepInputs } from "./images/inputs.ts";
import { createLinks, keptLinkSecret } from "./images/links.ts";
import { createLogger } from "./observe/log.ts";
import { openParts, type Parts, type PartsPorts } from "./parts.ts";
import { version } from "./version.ts";
import { keepDelivering } from "./webhooks/worker.ts";
import { welcome } from "./welcome.ts";

/** Seconds without a byte after which the runtime closes a connection; generations are exempt. */
const idleTimeoutSeconds = 60;

export interface RunningServer {
  /** Where it answers, e.g. `http://127.0.0.1:8787`. */
  url: string;
  /** Finishes what runs, answers 503 to what is new, then closes everything. */
  stop(): Promise<void>;
}

/** What tests hold in their own hands. */
export interface ServePorts extends Partial<PartsPorts> {
  /** Where the welcome goes; standard output by default. */
  print?: (text: string) => void;
  /** Called before anything runs: tests put faults between the parts. */
  opened?: (parts: Parts) => void;
}

/** @throws ConfigError, or what opening the data folder or the port throws */
export async function serve(config: Config, ports: ServePorts = {}): Promise<RunningServer> {
  const logger = ports.logger ?? createLogger(config.logLevel);
  const parts = await openParts(config, { ...ports, logger });
  ports.opened?.(parts);
  const [first = keptLinkSecret(config.dataFolder, parts.random), ...others] = config.linkSecrets;
  let draining = false;
  const parted = { ...parts, links: createLinks([first, ...others]), version, isDraining: () => draining };
  const app = createApp(parted);

  const server = Bun.serve({
    hostname: config.host,
    port: config.port,
    idleTimeout: idleTimeoutSeconds,
    // Bodies are capped while they are read; the runtime's own limit would answer without our envelope.
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    fetch: (request, runtime) =>
      app.fetch(addressed(request, url), {
        keepOpen: () => runtime.timeout(request, 0),
        address: () => runtime.requestIP(request)?.address ?? null,
      }),
  });
  const url: string = `http://${config.host.includes(":") ? `[${config.host}]` : config.host}:${server.port}`;

  if (config.upstreamCallsAtOnce <= 256) {
    const message = "further upstream calls wait for their turn; set BUN_CONFIG_MAX_HTTP_REQUESTS in the environment";
    logger.warn({ upstreamCallsAtOnce: config.upstreamCallsAtOnce }, message);
  }

  const background = new AbortController();
  const work = Promise.all([
    keepLeases(parts, background.signal),
    keepRecovering(parts, background.signal),
    keepSweeping(parts, background.signal),
    keepInputs(parts, background.signal),
    keepDelivering({ ...parts, describe: describeGenerations(parted) }, background.signal),
  ]);
  const secrets = config.bootstrapKeys ? await bootstrapKeys(parts.database, parts) : null;
  (ports.print ?? console.log)(welcome({ url: config.publicUrl ?? url, secrets, providers: parts.providers }));

  async function stop(): Promise<void> {
    draining = true;
    logger.info({ running: parts.jobs.size }, "stopping: finishing what runs");
    const left = await parts.jobs.drain(config.drainTimeoutMs);
    if (left > 0) logger.warn({ left }, "stopped before every generation had ended; the next start takes them over");
    background.abort();
    await work;
    // What is being answered gets its answer; idle connections are closed.
    await Promise.race([server.stop(), parts.clock.sleep(2_000)]);
    await server.stop(true);
    await parts.close();
  }
  let stopping: Promise<void> | undefined;
  return { url, stop: () => (stopping ??= stop()) };
}

/** A request without a Host, or with one that is none, counts as sent to where we listen (CONTRACT.md "Settings"). */
function addressed(request: Request, ownUrl: string): Request {
  if (URL.canParse(request.url)) return request;
  return new Request(ownUrl + request.url.replace(/^https?:\/\/[^/]*/, ""), request);
}
