import type { Command } from "commander";
import { type Catalogue, loadCatalogue } from "../catalogue/index.ts";
import { type Config, readConfig } from "../config.ts";
import { checkRoutes, configureProviders } from "../generation/providers.ts";
import { systemClock } from "../ports.ts";
import { adapters } from "../providers/index.ts";
import { version } from "../version.ts";
import { type Check, checkOf, messageOf } from "./doctor-check.ts";
import { checkMachine } from "./doctor-machine.ts";
import { checkProvider } from "./doctor-providers.ts";

const oldestBun = "1.4.0";

const help = `
Marks: ✓ fine, ! works but look at it, ✗ broken. Each problem is followed by the next step.
Providers are asked one free question with every key; no key is ever shown, and nothing is spent.
The exit code is 1 when something is broken, 0 when something is merely not set up.

Examples:
  arouter doctor
  arouter doctor --json
  AROUTER_DATA=/var/lib/arouter arouter doctor`;

export function addDoctor(program: Command): void {
  program
    .command("doctor")
    .description("Say what is configured, what is reachable, and what to do next.")
    .option("--json", "print JSON: status, version, runtime, checks")
    .addHelpText("after", help)
    .action(async ({ json }: { json?: true }) => {
      const checks = await examine();
      const status = worstOf(checks);
      const runtime = `Bun ${process.versions.bun}`;
      if (json) console.log(JSON.stringify({ status, version, runtime, checks }));
      else print(`ARouter ${version} on ${runtime} (${process.platform} ${process.arch})`, checks);
      if (status === "broken") process.exitCode = 1;
    });
}

async function examine(): Promise<Check[]> {
  const first = [checkRuntime()];
  const settings = checkOf("settings", "Settings");
  let config: Config;
  try {
    config = readConfig(process.env);
  } catch (error) {
    // Without settings there is nothing else to look at.
    return [...first, settings.broken(messageOf(error), "Correct it in the environment or in the .env file.")];
  }
  const models = checkOf("models", "Models");
  let catalogue: Catalogue | undefined;
  let modelCheck: Check;
  try {
    catalogue = loadCatalogue({ folder: config.modelsFolder });
    checkRoutes(catalogue, configureProviders(adapters, config.providers));
    const facts = { count: catalogue.models.length, folder: config.modelsFolder ?? null };
    const own = config.modelsFolder === undefined ? "" : `, with those of ${config.modelsFolder}`;
    modelCheck = models.ok(`${facts.count} in the catalogue${own}`, facts);
  } catch (error) {
    modelCheck = models.broken(messageOf(error), "Correct the file, or unset AROUTER_MODELS.");
  }
  const today = new Date(systemClock.now()).toISOString();
  const known = catalogue ?? loadCatalogue();
  const { all } = configureProviders(adapters, config.providers);
  const [machine, ...providers] = await Promise.all([
    checkMachine(config),
    ...all.map((provider) => checkProvider(provider, known, today)),
  ]);
  const settled = settings.ok("read from the environment and, where there is one, .env");
  return [...first, settled, ...machine, modelCheck, ...providers];
}

function checkRuntime(): Check {
  const { ok, warning } = checkOf("runtime", "Runtime");
  const bun = process.versions.bun ?? "0.0.0";
  const facts = { bun, platform: process.platform, arch: process.arch };
  const old = bun.localeCompare(oldestBun, "en", { numeric: true }) < 0;
  return old
    ? warning(`Bun ${bun}`, `Use Bun ${oldestBun} or newer; \`npm start\` brings the right one.`, facts)
    : ok(`Bun ${bun}`, facts);
}

function worstOf(checks: Check[]): Check["status"] {
  const found = new Set(checks.map(({ status }) => status));
  return found.has("broken") ? "broken" : found.has("warning") ? "warning" : "ok";
}

const marks = { ok: ["✓", 32], warning: ["!", 33], broken: ["✗", 31] } as const;

function print(title: string, checks: Check[]): void {
  const colourful = process.stdout.isTTY === true && !process.env.NO_COLOR;
  const paint = (text: string, colour: number) => (colourful ? `\x1b[${colour}m${text}\x1b[0m` : text);
  const width = Math.max(...checks.map(({ name }) => name.length));
  console.log(`${title}\n`);
  for (const { name, status, message, next } of checks) {
    const [mark, colour] = marks[status];
    console.log(`${paint(mark, colour)} ${name.padEnd(width)}  ${message}`);
    if (next !== null) console.log(`${" ".repeat(width + 4)}→ ${next}`);
  }
  const broken = checks.filter(({ status }) => status === "broken").length;
  const warnings = checks.filter(({ status }) => status === "warning").length;
  const summary =
    broken > 0
      ? `${broken} broken, ${warnings} to look at.`
      : warnings > 0
        ? `Works; ${warnings} to look at.`
        : "All well.";
  console.log(`\n${summary}`);
}
