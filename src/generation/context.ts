/** Everything a generation needs; put together once, by `serve.ts` or the command. */
import type { Catalogue } from "../catalogue/index.ts";
import type { Config } from "../config.ts";
import type { Database } from "../database.ts";
import type { Clock, ImageStore, Logger, Random } from "../ports.ts";
import type { TransportPorts } from "../providers/transport.ts";
import type { Jobs } from "./jobs.ts";
import type { Providers } from "./providers.ts";

export interface Context {
  config: Config;
  database: Database;
  catalogue: Catalogue;
  providers: Providers;
  images: ImageStore;
  transport: TransportPorts;
  clock: Clock;
  random: Random;
  logger: Logger;
  jobs: Jobs;
  /** This running program, as the owner of jobs. */
  instance: string;
}
