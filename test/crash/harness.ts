/** Servers in processes of their own, on data folders of their own, that can be killed and started again. */
import { Database } from "bun:sqlite";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Keys {
  test: string;
  live: string;
  management: string;
}

export interface Child {
  /** Origin. */
  url: string;
  pid: number;
  /** What the first start printed; empty strings on later ones. */
  keys: Keys;
  /** Resolves when the process is gone, however. */
  gone: Promise<void>;
  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT" | "SIGTERM"): void;
  /** Ends it without mercy and waits until it is gone. */
  kill(): Promise<void>;
}

const program = join(import.meta.dir, "server.ts");
const startMs = 30_000;
const running = new Set<Bun.Subprocess>();
// A test that fails in the middle must leave no process behind.
process.on("exit", killAll);

export function killAll(): void {
  for (const subprocess of running) subprocess.kill("SIGKILL");
}

export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), "arouter-crash-"));
}

export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}

/** Starts a server and waits until it is ready. @param env settings beside HOST, PORT and AROUTER_DATA */
export async function startChild(dataFolder: string, env: Record<string, string>): Promise<Child> {
  const subprocess = Bun.spawn([process.execPath, program], {
    env: {
      PATH: process.env.PATH ?? "",
      HOME: process.env.HOME ?? "",
      HOST: "127.0.0.1",
      PORT: "0",
      AROUTER_DATA: dataFolder,
      AROUTER_LOG_LEVEL: process.env.CRASH_LOG_LEVEL ?? "silent",
      ...env,
    },
    stdout: "pipe",
    stderr: "inherit",
  });
  running.add(subprocess);
  const gone = subprocess.exited.then(() => {
    running.delete(subprocess);
  });
  const printed = await untilListening(subprocess);
  const url = /^listening (\S+)$/m.exec(printed)?.[1] ?? "";
  const secret = (kind: string) => new RegExp(`lr_${kind}_\\w+`).exec(printed)?.[0] ?? "";
  const child: Child = {
    url,
    pid: subprocess.pid,
    keys: { test: secret("test"), live: secret("live"), management: secret("mgmt") },
    gone,
    signal: (name) => subprocess.kill(name),
    async kill() {
      subprocess.kill("SIGKILL");
      await gone;
    },
  };
  await eventually(async () => (await fetch(`${url}/readyz`)).ok, startMs, "the server is not ready");
  return child;
}

async function untilListening(subprocess: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<string> {
  let printed = "";
  const decoder = new TextDecoder();
  const late = setTimeout(() => subprocess.kill("SIGKILL"), startMs);
  const reader = subprocess.stdout.getReader();
  while (!/^listening \S+\n/m.test(printed)) {
    const { done, value } = await reader.read();
    if (done) throw new Error(`the server ended before it listened:\n${printed}`);
    printed += decoder.decode(value, { stream: true });
  }
  clearTimeout(late);
  // What it logs from now on must not fill the pipe.
  void (async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      if (process.env.CRASH_LOG_LEVEL !== undefined) process.stdout.write(value);
    }
  })().catch(() => {});
  return printed;
}

/** Looks every 50 ms. @throws after `milliseconds` */
export async function eventually(
  holds: () => Promise<boolean> | boolean,
  milliseconds: number,
  complaint: string,
): Promise<void> {
  const until = performance.now() + milliseconds;
  for (;;) {
    if (await holds()) return;
    if (performance.now() > until) throw new Error(`after ${milliseconds} ms: ${complaint}`);
    await Bun.sleep(50);
  }
}

export function query<T>(dataFolder: string, sql: string): T[] {
  const file = new Database(join(dataFolder, "arouter.db"));
  try {
    file.run("PRAGMA busy_timeout = 5000");
    return file.query(sql).all() as T[];
  } finally {
    file.close();
  }
}

/** Ids of the pictures that are stored whole, with a row or without. */
export function storedFiles(dataFolder: string): string[] {
  return readdirSync(join(dataFolder, "images")).filter((name) => name.startsWith("img-"));
}

export interface Asked {
  status: number;
  generation: string;
  code: string | null;
  shouldRetry: string | null;
  /** Bytes of the pictures, fetched from their links; null where a link did not answer 200. */
  pictures: (Uint8Array | null)[];
}

/** One request with its pictures; null when the connection was cut. */
export async function ask(
  url: string,
  key: string,
  body: object,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Asked | null> {
  try {
    const response = await fetch(`${url}/v1/images/generations`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    });
    const answer = (await response.json()) as { code?: string; data?: { url: string }[] };
    const pictures = await Promise.all((answer.data ?? []).map((item) => fetchPicture(item.url)));
    return {
      status: response.status,
      generation: response.headers.get("x-arouter-generation-id") ?? "",
      code: answer.code ?? null,
      shouldRetry: response.headers.get("x-should-retry"),
      pictures,
    };
  } catch {
    return null;
  }
}

async function fetchPicture(url: string): Promise<Uint8Array | null> {
  const response = await fetch(url);
  return response.status === 200 ? response.bytes() : null;
}
