/** Everything a generation needs; put together once, by `serve.ts` or the command. */
import type { Catalogue } from "../catalogue/index.ts";
import type { Config } from "../config.ts";
import type { Database } from "../database.ts";
import type { InputStore } from "../images/inputs.ts";
import type { Clock, ImageStore, Logger, Metrics, Random } from "../ports.ts";
import type { TransportPorts } from "../providers/transport.ts";
import type { Health } from "./health.ts";
import type { Jobs } from "./jobs.ts";
import type { Providers } from "./providers.ts";

/** Step boundaries of a job, in order: where a crash must leave a truthful state. */
export type StepBoundary = "admitted" | "pending" | "delivered" | "settling" | "settled";

export interface Context {
  config: Config;
  database: Database;
  catalogue: Catalogue;
  providers: Providers;
  health: Health;
  images: ImageStore;
  /** The client's pictures, for as long as their generation runs. */
  inputs: InputStore;
  transport: TransportPorts;
  clock: Clock;
  random: Random;
  logger: Logger;
  metrics: Metrics;
  jobs: Jobs;
  /** This running program, as the owner of jobs. */
  instance: string;
  /** Called at step boundaries; only tests do anything there. */
  reached(boundary: StepBoundary): void;
}
