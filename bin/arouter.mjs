#!/usr/bin/env node
// `npx arouter …` in a checkout: hands over to src/main.ts on the Bun of this package.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ensureInstalled } from "../scripts/ensure-installed.mjs";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
// As runtime.env does for `npm start`: the runtime reads it before the program begins.
const env = { BUN_CONFIG_MAX_HTTP_REQUESTS: "65535", ...process.env };
const child = spawn(ensureInstalled(), [main, ...process.argv.slice(2)], { stdio: "inherit", env });
for (const signal of signals) process.on(signal, () => child.kill(signal));
child.on("error", (error) => {
  console.error(`arouter: Bun cannot be started: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  // Ends by the same signal, so that a shell sees what happened.
  for (const name of signals) process.removeAllListeners(name);
  process.kill(process.pid, signal);
});
