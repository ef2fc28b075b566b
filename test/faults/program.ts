/** The real program as a process of its own, to be killed, and what its data folder says afterwards. */
import { Database } from "bun:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanup } from "./support.ts";

const main = join(import.meta.dirname, "..", "..", "src", "main.ts");

export interface Program {
  url: string;
  keys: { test: string; live: string; management: string };
  /** Everything it has written so far, log included. */
  output(): string;
  generate(body: unknown, signal?: AbortSignal): Promise<Response>;
  get(path: string): Promise<Response>;
  kill(signal: "SIGKILL" | "SIGTERM"): void;
  /** Its exit code; null when a signal ended it. */
  exited: Promise<number | null>;
}

export function dataFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "arouter-program-"));
  cleanup.add(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/**
 * Starts `arouter serve` on a free port and waits for /readyz.
 * @param keys of an earlier start on the same folder; else those that are printed
 */
export async function startProgram(
  folder: string,
  env: Record<string, string>,
  keys?: Program["keys"],
): Promise<Program> {
  const child = Bun.spawn([process.execPath, main, "serve"], {
    // Away from the repository: a `.env` of its developer must not be read.
    cwd: folder,
    env: {
      PATH: process.env.PATH ?? "",
      HOME: folder,
      PORT: "0",
      AROUTER_DATA: join(folder, "data"),
      AROUTER_LOG_LEVEL: "warn",
      ...env,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  cleanup.add(async () => {
    child.kill("SIGKILL");
    await child.exited;
  });
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
  };
  const collected = Promise.all([collect(child.stdout), collect(child.stderr)]);
  const url = await until(() => {
    if (child.exitCode !== null) throw new Error(`the program ended at its start: ${output}`);
    return /serves on (\S+)/.exec(output)?.[1];
  });
  const printed = (kind: string) => new RegExp(`lr_${kind}_\\w+`).exec(output)?.[0] ?? "";
  const own = keys ?? { test: printed("test"), live: printed("live"), management: printed("mgmt") };
  const headers = { authorization: `Bearer ${own.live}`, "content-type": "application/json" };
  await until(async () => (await fetch(`${url}/readyz`)).ok || undefined);
  return {
    url,
    keys: own,
    output: () => output,
    generate: (body, signal) =>
      fetch(`${url}/v1/images/generations`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    get: (path) => fetch(url + path, { headers }),
    kill: (signal) => child.kill(signal),
    exited: child.exited.then(async () => {
      await collected;
      return child.signalCode === null ? child.exitCode : null;
    }),
  };
}

/** Asks again and again until there is an answer; a test's own time limit ends it. */
export async function until<Value>(ask: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  for (;;) {
    const value = await ask();
    if (value !== undefined) return value;
    await Bun.sleep(25);
  }
}

/** Rows of the folder's database, looked at from outside. */
export function rows<Row>(folder: string, sql: string): Row[] {
  const database = new Database(join(folder, "data", "arouter.db"), { readwrite: true, create: false });
  try {
    database.run("PRAGMA busy_timeout = 5000");
    return database.query<Row, []>(sql).all();
  } finally {
    database.close();
  }
}

export interface GenerationView {
  id: string;
  status: string;
  cost_usd: number;
  error: { code: string } | null;
  data: { url?: string }[];
  attempts: { status: string; upstream_id: string | null }[];
}

export async function generationAt(program: Program, id: string): Promise<GenerationView> {
  return (await (await program.get(`/v1/images/generations/${id}`)).json()) as GenerationView;
}

/** The generation once it runs no more. */
export function ended(program: Program, id: string): Promise<GenerationView> {
  return until(async () => {
    const view = await generationAt(program, id);
    return view.status === "running" || view.status === "queued" ? undefined : view;
  });
}

export const onlyGeneration = (folder: string): string =>
  rows<{ id: string }>(folder, "select id from generations")[0]?.id ?? "";
