/** `npm run build`: one executable file, with the models, the fonts and (later) the console inside. */
import { mkdirSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { parseArgs } from "node:util";

const root = dirname(import.meta.dirname);
const usage = `Usage: npm run build -- [--target bun-linux-x64|bun-linux-arm64|bun-darwin-arm64|bun-windows-x64|…] [--outfile FILE]
Without a target it is built for this machine; for another one Bun downloads that machine's runtime once.`;

function readOptions() {
  try {
    return parseArgs({
      options: {
        target: { type: "string" },
        outfile: { type: "string", default: join(root, "dist", "arouter") },
        help: { type: "boolean", short: "h", default: false },
      },
    }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
}

const { target, outfile, help } = readOptions();
if (help) {
  console.log(usage);
  process.exit(0);
}
const windows = target === undefined ? process.platform === "win32" : target.includes("windows");
const wanted = windows && !outfile.endsWith(".exe") ? `${outfile}.exe` : outfile;
mkdirSync(dirname(wanted), { recursive: true });

// Built beside its place, then renamed into it: whoever runs or copies the old file meanwhile has a whole one.
const unfinished = join(dirname(wanted), `unfinished-${process.pid}${windows ? ".exe" : ""}`);
const began = performance.now();
const build = Bun.spawnSync(
  [
    process.execPath,
    "build",
    join(root, "src", "main.ts"),
    "--compile",
    `--outfile=${unfinished}`,
    ...(target === undefined ? [] : [`--target=${target}`]),
    // Settings come from a .env file in the working folder, nothing else of that folder is taken in.
    "--compile-autoload-dotenv",
    "--no-compile-autoload-bunfig",
    "--no-compile-autoload-tsconfig",
    "--no-compile-autoload-package-json",
  ],
  { cwd: root, stdio: ["ignore", "pipe", "pipe"] },
);
if (build.exitCode !== 0) {
  console.error(build.stderr.toString(), build.stdout.toString());
  rmSync(unfinished, { force: true });
  process.exit(1);
}
renameSync(unfinished, wanted);
const megabytes = (statSync(wanted).size / 1e6).toFixed(1);
const seconds = ((performance.now() - began) / 1000).toFixed(1);
console.log(
  `${relative(process.cwd(), wanted) || wanted}: ${megabytes} MB${target === undefined ? "" : ` for ${target}`}, built in ${seconds} s`,
);
