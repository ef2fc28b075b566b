// Runs before `npm start`, `npm test` and friends, on whatever Node the machine has (Bun is one of the things to install).
// Installs when node_modules is missing or older than the lock file, so that a fresh clone needs one command only.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const installed = join(root, "node_modules", ".package-lock.json");
const wanted = join(root, "package-lock.json");
const bun = join(root, "node_modules", "bun", "bin", "bun.exe"); // the package uses this name on every platform

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell: process.platform === "win32" });
  return result.status === 0;
}

export function ensureInstalled() {
  const stale = !existsSync(installed) || statSync(installed).mtimeMs < statSync(wanted).mtimeMs;
  if (stale) {
    console.error("arouter: installing dependencies (once) ...");
    if (!run("npm", ["ci", "--loglevel=error", "--no-audit", "--no-fund"])) {
      console.error("arouter: `npm ci` failed; run it by hand to see why.");
      process.exit(1);
    }
  }
  // Some npm settings skip install scripts; Bun's own only puts the right binary in place, so it can be run here.
  if (spawnSync(bun, ["--version"], { stdio: "ignore" }).status !== 0) {
    if (!run(process.execPath, [join(root, "node_modules", "bun", "install.js")])) {
      console.error("arouter: could not set up Bun; run `npm rebuild bun` and try again.");
      process.exit(1);
    }
  }
  return bun;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) ensureInstalled();
