/** Puts the parts of a running ARouter together. With `serve.ts` the only place that knows `storage/`. */
import { lookup } from "node:dns/promises";
import { join } from "node:path";
import { readBalance } from "./accounts/ledger.ts";
import { loadCatalogue } from "./catalogue/index.ts";
import type { Config } from "./config.ts";
import type { Context } from "./generation/context.ts";
import { createHealth } from "./generation/health.ts";
import { createJobs } from "./generation/jobs.ts";
import { checkRoutes, configureProviders } from "./generation/providers.ts";
import { newId } from "./ids.ts";
import { createInputStore } from "./images/inputs.ts";
import { createMetrics } from "./observe/metrics.ts";
import { type Clock, type Logger, type Random, systemClock, systemRandom } from "./ports.ts";
import type { Resolve } from "./providers/address.ts";
import { adapters } from "./providers/index.ts";
import { checkDiskStore, openDiskStore, removeUnfinished } from "./storage/disk.ts";
import { openSqlite } from "./storage/sqlite.ts";
import { version } from "./version.ts";
import { countPending } from "./webhooks/list.ts";

export interface Parts extends Context {
  /** Removes what is deleted from the database's own files too. */
  scrub(): Promise<void>;
  removeUnfinished(olderThanMs: number): Promise<void>;
  /** @throws with the reason when rows or pictures cannot be written */
  checkReady(): Promise<void>;
  close(): Promise<void>;
}

export interface PartsPorts {
  logger: Logger;
  clock?: Clock;
  random?: Random;
  /** How host names of result links are resolved. */
  resolve?: Resolve;
  /** Tests stop the program at step boundaries. */
  reached?: Context["reached"];
}

const resolveByDns: Resolve = async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address);

/** Opens the database and the image store and loads the catalogue. */
export async function openParts(config: Config, ports: PartsPorts): Promise<Parts> {
  const { logger, clock = systemClock, random = systemRandom, resolve = resolveByDns, reached = () => {} } = ports;
  const imageFolder = join(config.dataFolder, "images");
  const catalogue = loadCatalogue(config.modelsFolder === undefined ? {} : { folder: config.modelsFolder });
  const providers = configureProviders(adapters, config.providers);
  checkRoutes(catalogue, providers);
  const { database, scrub, close } = await openSqlite(join(config.dataFolder, "arouter.db"));
  const inputs = createInputStore(join(config.dataFolder, "inputs"), { clock, random });
  const health = createHealth({ clock, random });
  const jobs = createJobs({ clock, logger });
  const metrics = createMetrics({
    version,
    clock,
    credentials: () =>
      adapters.flatMap(({ id }) => health.credentials(id).map((credential) => ({ provider: id, ...credential }))),
    generationsRunning: () => jobs.size,
    heldNanos: () =>
      readBalance(database).then(
        ({ held }) => held,
        () => null,
      ),
    webhooksPending: () => countPending(database).catch(() => null),
  });
  return {
    config,
    database,
    catalogue,
    providers,
    health,
    images: openDiskStore(imageFolder),
    inputs,
    metrics,
    transport: { fetch, resolve, clock },
    clock,
    random,
    logger,
    jobs,
    instance: newId("run", clock, random),
    reached,
    scrub,
    removeUnfinished: (olderThanMs) => removeUnfinished(imageFolder, olderThanMs),
    async checkReady() {
      await database.selectFrom("facts").select("name").limit(1).execute();
      await checkDiskStore(imageFolder);
    },
    close,
  };
}
