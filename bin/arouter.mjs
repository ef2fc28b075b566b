#!/usr/bin/env node
// `npx arouter …` in a checkout: hands over to src/main.ts on the Bun of this package.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { ensureInstalled } from "../scripts/ensure-installed.mjs";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));
const child = spawn(ensureInstalled(), [main, ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
