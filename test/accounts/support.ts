/** A router in front of an upstream double that counts what it bills, and the Key API as its users call it. */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { checkLedger } from "../../src/accounts/check.ts";
import type { KeyObject } from "../../src/accounts/key-view.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { startRouter, type TestRouter, type TestRouterOptions } from "../router.ts";

/** Costs $0.016. */
export const small = { model: "openai/dall-e-2", prompt: "a cup", size: "256x256" };
export const smallUsd = 0.016;
export const smallNanos = 16_000_000;

export const minuteMs = 60_000;
export const hourMs = 3_600_000;
export const dayMs = 86_400_000;

/** Enough for requests to come as far as the lock, and well below what the router waits for it. */
const lockMs = 500;

export interface Envelope {
  error: { message: string; type: string; param: string | null; code: string };
  code: string;
}

export interface MadeKey {
  data: KeyObject;
  key: string;
}

export interface Accounts {
  router: TestRouter;
  openai: OpenAiDouble;
  /** Any call of the router's API, with the management key or another. */
  call(method: string, path: string, body?: unknown, key?: string): Promise<Response>;
  /** A new key through the Key API. */
  makeKey(settings?: Record<string, unknown>): Promise<MadeKey>;
  changeKey(hash: string, changes: Record<string, unknown>): Promise<KeyObject>;
  readKey(hash: string): Promise<KeyObject>;
  /** Rows of the router's own database file. */
  sql<T>(query: string): T[];
  run(statement: string): void;
  /**
   * Holds the database's write lock until everything in `requests` has passed its first checks and waits to be
   * admitted; `change` is committed just before they are. The hard moment for everything that admission decides.
   */
  beforeAdmission<T>(requests: () => Promise<T>, change?: string): Promise<T>;
  /** Throws when the ledger's own check finds anything wrong after what the test has done. */
  stop(): Promise<void>;
}

export async function startAccounts(options: TestRouterOptions = {}): Promise<Accounts> {
  const openai = startOpenAi();
  const env = { OPENAI_API_KEY: openai.key, OPENAI_BASE_URL: openai.url, ...options.env };
  const router = await startRouter({ ...options, env });
  const withFile = <T>(work: (file: Database) => T): T => {
    const file = new Database(join(router.dataFolder, "arouter.db"));
    try {
      file.run("PRAGMA busy_timeout = 5000");
      return work(file);
    } finally {
      file.close();
    }
  };
  const call = (method: string, path: string, body?: unknown, key = router.keys.management) =>
    fetch(router.url + path, {
      method,
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
  const data = async (answer: Response): Promise<KeyObject> => {
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    return ((await answer.json()) as { data: KeyObject }).data;
  };
  return {
    router,
    openai,
    call,
    async makeKey(settings = {}) {
      const answer = await call("POST", "/api/v1/keys", { name: "made by a test", ...settings });
      if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
      return (await answer.json()) as MadeKey;
    },
    changeKey: async (hash, changes) => data(await call("PATCH", `/api/v1/keys/${hash}`, changes)),
    readKey: async (hash) => data(await call("GET", `/api/v1/keys/${hash}`)),
    sql: (query) => withFile((file) => file.query(query).all() as never[]),
    run: (statement) => withFile((file) => void file.run(statement)),
    async beforeAdmission(requests, change) {
      const file = new Database(join(router.dataFolder, "arouter.db"));
      file.run("PRAGMA busy_timeout = 5000");
      file.run("BEGIN IMMEDIATE");
      const answered = requests();
      await Bun.sleep(lockMs);
      if (change !== undefined) file.run(change);
      file.run("COMMIT");
      file.close();
      return answered;
    },
    async stop() {
      await router.stop();
      const { database, close } = await openSqlite(join(router.dataFolder, "arouter.db"));
      const deviations = await checkLedger(database);
      await close();
      await router.remove();
      await openai.stop();
      if (deviations.length > 0) throw new Error(`the ledger deviates: ${JSON.stringify(deviations)}`);
    },
  };
}

export async function refusal(answer: Response): Promise<{ status: number; code: string; param: string | null }> {
  const { error } = (await answer.json()) as Envelope;
  return { status: answer.status, code: error.code, param: error.param };
}

export async function messageOf(answer: Response): Promise<string> {
  return ((await answer.json()) as Envelope).error.message;
}

export const count = (answers: readonly Response[], status: number): number =>
  answers.filter((answer) => answer.status === status).length;

/** This many at once. */
export const atOnce = <T>(times: number, work: (position: number) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, position) => work(position)));
