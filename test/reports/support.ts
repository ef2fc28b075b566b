/** A router with upstream doubles, a second live key, and the database beside it. */
import { Database as File } from "bun:sqlite";
import { join } from "node:path";
import { createKey, type Key } from "../../src/accounts/keys.ts";
import type { Database } from "../../src/database.ts";
import type { Nanos } from "../../src/money.ts";
import { systemClock, systemRandom } from "../../src/ports.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startRouter, type TestRouter } from "../router.ts";

export interface Bench {
  router: TestRouter;
  /** A handle of its own, as the command line has. */
  database: Database;
  /** Hashes of the first live key, the other live key and the test key. */
  hashes: { live: string; other: string; test: string };
  other: string;
  sql<Row>(query: string): Row[];
  /** Changes the database behind everybody's back. */
  run(statement: string): void;
  /** Parsed answer; management key unless another is given. */
  json<Body = Record<string, unknown>>(path: string, key?: string): Promise<Body>;
  stop(): Promise<void>;
}

export async function startBench(env: Record<string, string> = {}): Promise<Bench> {
  const openai = startOpenAi();
  const replicate = startReplicate({ fileOrigin: "same" });
  const router = await startRouter({
    env: {
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
      ...env,
    },
  });
  const path = join(router.dataFolder, "arouter.db");
  const { database, close } = await openSqlite(path);
  const ports = { clock: systemClock, random: systemRandom };
  const { key, secret } = await createKey(database, { name: "other live", kind: "live" }, "command-line", ports);
  const keys: Key[] = await database.selectFrom("keys").selectAll().execute();
  const hashOf = (name: string) => keys.find((candidate) => candidate.name === name)?.hash ?? "";
  const withFile = <T>(work: (file: File) => T): T => {
    const file = new File(path);
    try {
      file.run("PRAGMA busy_timeout = 5000");
      return work(file);
    } finally {
      file.close();
    }
  };
  return {
    router,
    database,
    hashes: { live: hashOf("first live"), other: key.hash, test: hashOf("first test") },
    other: secret,
    sql: <Row>(query: string) => withFile((file) => file.query(query).all() as Row[]),
    run: (statement) => withFile((file) => void file.run(statement)),
    json: async <Body>(path: string, secret = router.keys.management) =>
      (await (await router.get(path, secret)).json()) as Body,
    async stop() {
      await close();
      await router.remove();
      await openai.stop();
      await replicate.stop();
    },
  };
}

export const requests = {
  /** $0.016 */
  small: { model: "openai/dall-e-2", prompt: "a cup", size: "256x256" },
  /** $0.036 */
  two: { model: "openai/dall-e-2", prompt: "two bowls", size: "512x512", n: 2 },
  /** $0.04 */
  large: { model: "openai/dall-e-3", prompt: "a teapot", size: "1024x1024" },
  /** About $0.05 */
  flux: { model: "black-forest-labs/flux-1-pro", prompt: "a jug", size: "256x256" },
  refused: { model: "openai/dall-e-2", prompt: "[[moderate]]", size: "256x256" },
  broken: { model: "openai/dall-e-2", prompt: "[[500]]", size: "256x256" },
  /** Refused before anything is spent: leaves no generation. */
  invalid: { model: "openai/dall-e-2", prompt: "", size: "256x256" },
} as const;

export type RequestName = keyof typeof requests;

/** US dollars as the wire has them → nano-dollars; exact up to nine million dollars. */
export const nanos = (usd: number): Nanos => BigInt(Math.round(usd * 1e9));
