/** Starting, pinning, watching and stopping the processes of the benchmark. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";

const hasTaskset = Bun.which("taskset") !== null && navigator.hardwareConcurrency > 1;
export const pinning = hasTaskset ? "load and upstream on core 0, gateways on core 1" : "not pinned";

const readyTimeoutMs = 30_000;

export interface Child {
  pid: number;
  /** What it said when it was ready. */
  facts: Record<string, unknown>;
  ask<Answer>(order: object, timeoutMs: number): Promise<Answer>;
  /** Asks it to end, and sees to it. */
  stop(): Promise<void>;
}

const running = new Set<Subprocess>();
// Whatever ends this program, its processes end too (they also end by themselves when they lose their parent).
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(1));

/** @param core where it runs, when the machine lets us choose */
export async function start(
  script: string,
  core: number,
  env: Record<string, string>,
  options: { bunArguments?: string[]; logFile?: string } = {},
): Promise<Child> {
  const command = [process.execPath, ...(options.bunArguments ?? []), join(import.meta.dir, script)];
  let waiting = Promise.withResolvers<unknown>();
  const child = Bun.spawn(hasTaskset ? ["taskset", "-c", String(core), ...command] : command, {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "", ...env },
    stdin: "ignore",
    stdout: options.logFile === undefined ? "ignore" : Bun.file(options.logFile),
    stderr: "inherit",
    ipc: (message) => waiting.resolve(message),
    onExit: () => waiting.reject(new Error(`${script} ended`)),
  });
  running.add(child);
  const heard = async (timeoutMs: number): Promise<unknown> => {
    const timer = setTimeout(() => waiting.reject(new Error(`${script} did not answer in time`)), timeoutMs);
    try {
      return await waiting.promise;
    } finally {
      clearTimeout(timer);
    }
  };
  const facts = (await heard(readyTimeoutMs)) as Record<string, unknown>;
  return {
    pid: child.pid,
    facts,
    async ask<Answer>(order: object, timeoutMs: number) {
      waiting = Promise.withResolvers();
      child.send(order);
      return (await heard(timeoutMs)) as Answer;
    },
    async stop() {
      waiting.promise.catch(() => {}); // its end is what we want
      child.kill("SIGTERM");
      await Promise.race([child.exited, Bun.sleep(3_000)]);
      child.kill("SIGKILL");
      await child.exited;
      running.delete(child);
    },
  };
}

/** CPU time so far, by thread, in nanoseconds: /proc/<pid>/stat counts in steps of 10 ms, too coarse for small answers. */
export type CpuTimes = Map<string, number>;

export function cpuTimes(pid: number): CpuTimes {
  const times: CpuTimes = new Map();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      // The first number of schedstat: time on the processor, user and system.
      times.set(thread, Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]));
    } catch {} // the thread ended meanwhile
  }
  return times;
}

/** User and system time of all threads since then, in seconds. */
export function cpuSecondsSince(pid: number, before: CpuTimes): number {
  let nanoseconds = 0;
  for (const [thread, now] of cpuTimes(pid)) nanoseconds += now - (before.get(thread) ?? 0);
  return nanoseconds / 1e9;
}

/** Largest resident memory since `forgetPeak`, in megabytes. */
export const peakMegabytes = (pid: number): number => megabytes(pid, "VmHWM");

/** Resident memory now, in megabytes. */
export const residentMegabytes = (pid: number): number => megabytes(pid, "VmRSS");

function megabytes(pid: number, what: "VmHWM" | "VmRSS"): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return Number(new RegExp(`${what}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) / 1000;
}

export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Stored pictures of a finished measurement go, so that a long run does not fill the disk. */
export function removePictures(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isFile()) rmSync(join(folder, entry.name));
  }
}
