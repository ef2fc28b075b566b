/** Runs the `arouter` command as people do: as a program of its own, in a folder of its own, with nothing of ours around it. */
import { afterAll } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const mainFile = join(import.meta.dir, "..", "..", "src", "main.ts");

const folders: string[] = [];
const running = new Set<{ kill(signal: NodeJS.Signals): void }>();
afterAll(() => {
  // What a failed test left behind.
  for (const child of running) child.kill("SIGKILL");
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

/** An empty folder that is removed at the end of the test file. */
export function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "arouter-journey-"));
  folders.push(folder);
  return folder;
}

export interface ChildOptions {
  /** Where it runs; the default data folder is `data` in there. */
  cwd: string;
  env?: Record<string, string>;
  /** The program; `bun src/main.ts` by default. */
  program?: string[];
}

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

export interface Child {
  pid: number;
  kill(signal: NodeJS.Signals): void;
  /** Resolves once standard error or output has had this text. */
  says(text: string): Promise<void>;
  /** What it has said so far. */
  output(): { stdout: string; stderr: string };
  finished: Promise<Finished>;
}

export function start(args: string[], { cwd, env = {}, program = [process.execPath, mainFile] }: ChildOptions): Child {
  const child = Bun.spawn([...program, ...args], {
    cwd,
    // No PATH, no HOME, no NODE_ENV of the tests: nothing but what is named.
    env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  running.add(child);
  void child.exited.then(() => running.delete(child));
  const said = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  const collect = async (name: keyof typeof said) => {
    const decoder = new TextDecoder();
    for await (const chunk of child[name]) {
      said[name] += decoder.decode(chunk, { stream: true });
      for (const look of [...waiting]) look();
    }
  };
  const read = Promise.all([collect("stdout"), collect("stderr")]);
  return {
    pid: child.pid,
    kill: (signal) => child.kill(signal),
    output: () => ({ ...said }),
    says: (text) =>
      new Promise((resolve, reject) => {
        const has = () => said.stdout.includes(text) || said.stderr.includes(text);
        const look = () => {
          if (!has()) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        void read.then(() => {
          if (!has()) reject(new Error(`ended without '${text}': ${said.stdout}${said.stderr}`));
        });
      }),
    finished: read.then(async () => ({ ...said, code: await child.exited })),
  };
}

export function run(args: string[], options: ChildOptions): Promise<Finished> {
  return start(args, options).finished;
}

/** Runs with `--json` and parses what is printed. @throws with what it said when it failed */
export async function runJson<T>(args: string[], options: ChildOptions): Promise<T> {
  const { code, stdout, stderr } = await run([...args, "--json"], options);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as T;
}
