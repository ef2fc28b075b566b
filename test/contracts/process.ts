/** The real program as a child process, as a person starts it. */
import { resolve } from "node:path";
import { until } from "./support.ts";

const repository = resolve(import.meta.dir, "../..");
const main = resolve(repository, "src/main.ts");

/** Nothing of this machine's own settings: no key, no base URL, no data folder but what a test gives. */
function environment(env: Record<string, string>): Record<string, string> {
  const { PATH = "", HOME = "/tmp", TMPDIR = "/tmp" } = process.env;
  return { PATH, HOME, TMPDIR, HOST: "127.0.0.1", PORT: "0", ...env };
}

/** Runs `arouter …` to its end and gives its output. */
export async function runArouter(args: string[], env: Record<string, string>): Promise<string> {
  const child = Bun.spawn([process.execPath, main, ...args], {
    env: environment(env),
    cwd: repository,
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`arouter ${args.join(" ")} ended with ${code}: ${errors}${output}`);
  return output;
}

export interface RunningProcess {
  url: string;
  /** Everything on standard output and standard error so far. */
  output(): string;
  /** SIGTERM, and waits for the end. */
  stop(): Promise<void>;
}

/** Starts `arouter serve` and waits until it answers. */
export async function startProcess(env: Record<string, string>): Promise<RunningProcess> {
  const child = Bun.spawn([process.execPath, main, "serve"], {
    env: environment(env),
    cwd: repository,
    stdout: "pipe",
    stderr: "pipe",
  });
  let output = "";
  const listen = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
  };
  const listening = Promise.all([listen(child.stdout), listen(child.stderr)]);
  const url = await until(() => {
    if (child.exitCode !== null) throw new Error(`arouter ended with ${child.exitCode}: ${output}`);
    return /serves on (http\S+)/.exec(output)?.[1];
  });
  await until(async () => ((await fetch(`${url}/readyz`)).ok ? true : undefined));
  return {
    url,
    output: () => output,
    async stop() {
      child.kill("SIGTERM");
      await child.exited;
      await listening;
    },
  };
}
