/**
 * What checking and routing cost per request with 100 models and 300 routes: everything between the parsed body and
 * admission, in one process, without network or database. Ratios to parsing the same body's JSON; beside it the built-in
 * catalogue alone (what grows with the catalogue?) and a schema written by hand for one model (what would anybody pay?).
 *
 *     bun bench/routing.ts             about twenty seconds; writes bench/RESULTS-routing.md
 *     bun bench/routing.ts --quick     prints only
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commandLineKey } from "../src/accounts/keys.ts";
import { readConfig } from "../src/config.ts";
import type { Context } from "../src/generation/context.ts";
import { checkModels, planPorts } from "../src/generation/generate.ts";
import { planGeneration } from "../src/generation/plan.ts";
import { fingerprintOf } from "../src/generation/repeats.ts";
import { createLogger } from "../src/observe/log.ts";
import { openParts, type Parts } from "../src/parts.ts";
import { adapters } from "../src/providers/index.ts";
import { writeModels } from "./catalogue-files.ts";
import { type Measured, markdown, table } from "./routing-report.ts";
import { byHand, type RoutingScenario, routingScenarios } from "./routing-scenarios.ts";

const quick = process.argv.includes("--quick");
const rounds = quick ? 5 : 21;
/** So long is one step of one round measured. */
const sliceMs = quick ? 4 : 10;
const wanted = { models: 100, routes: 300 };

const folder = mkdtempSync(join(tmpdir(), "arouter-routing-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));

/** Every provider is there; nothing is ever sent. */
const credentials = Object.fromEntries(
  adapters.flatMap(({ settings }) =>
    settings === null
      ? []
      : [
          [settings.keyVariable, "bench-one,bench-two"],
          [settings.baseUrlVariable, "http://127.0.0.1:9/v1"],
        ],
  ),
);

function openBeside(name: string, models: Record<string, string>): Promise<Parts> {
  const config = readConfig({ AROUTER_DATA: join(folder, name), ...credentials, ...models });
  return openParts(config, { logger: createLogger("silent") });
}

const copies = writeModels(join(folder, "models"), wanted);
const large = await openBeside("large", { AROUTER_MODELS: join(folder, "models") });
const small = await openBeside("small", {});
const key = await commandLineKey(large.database, "live", large.clock);

function sizeOf({ catalogue }: Context): { models: number; routes: number } {
  return {
    models: catalogue.models.length,
    routes: catalogue.models.reduce((sum, { routes }) => sum + routes.length, 0),
  };
}
const size = sizeOf(large);
if (size.models !== wanted.models || size.routes !== wanted.routes)
  throw new Error(`not as wanted: ${Bun.inspect(size)}`);

/** Everything that `generate` does with a parsed body before its transaction. */
function work(context: Context, { given }: RoutingScenario, body: Record<string, unknown>): number {
  const { models, preferences } = checkModels(context, given === undefined ? { body } : { body, given });
  const plan = planGeneration(key, models, preferences, planPorts(context, context.clock.now()));
  return plan.candidates.length;
}

function check(context: Context, { given }: RoutingScenario, body: Record<string, unknown>): void {
  checkModels(context, given === undefined ? { body } : { body, given });
}

/** What a refusal costs is what it costs to throw it. */
function orRefused<T>(run: () => T): T | null {
  try {
    return run();
  } catch {
    return null;
  }
}

/** Microseconds of one call, over a slice of time. */
function time(run: () => unknown): number {
  let calls = 0;
  const begun = performance.now();
  let end = begun;
  do {
    for (let index = 0; index < 32; index += 1) run();
    calls += 32;
    end = performance.now();
  } while (end - begun < sliceMs);
  return ((end - begun) * 1000) / calls;
}

function stepsOf(scenario: RoutingScenario): Record<string, () => unknown> {
  const text = JSON.stringify(scenario.body);
  const parsed = JSON.parse(text) as Record<string, unknown>;
  const refused = scenario.refusedWith !== undefined;
  const checked = refused
    ? null
    : checkModels(large, { body: parsed, ...(scenario.given && { given: scenario.given }) });
  return {
    parse: () => JSON.parse(text),
    check: () => orRefused(() => check(large, scenario, parsed)),
    whole: () => orRefused(() => work(large, scenario, parsed)),
    ...(scenario.builtIn ? { small: () => orRefused(() => work(small, scenario, parsed)) } : {}),
    ...(checked === null ? {} : { fingerprint: () => fingerprintOf(checked.models[0].checked) }),
    ...(scenario.byHand ? { byHand: () => byHand.parse(parsed) } : {}),
  };
}

/** A scenario that does not do what it says would measure something else. @returns how many candidates are planned */
function prove(scenario: RoutingScenario): number {
  let candidates = 0;
  let code: string | undefined;
  try {
    candidates = work(large, scenario, JSON.parse(JSON.stringify(scenario.body)));
  } catch (error) {
    code = (error as { code?: string }).code ?? String(error);
  }
  if (code !== scenario.refusedWith || candidates !== scenario.candidates)
    throw new Error(`${scenario.name}: ${code ?? `${candidates} candidates`}, not as meant`);
  return candidates;
}

try {
  const measured: Measured[] = routingScenarios(copies).map((scenario) => ({
    scenario,
    candidates: prove(scenario),
    bodyBytes: Buffer.byteLength(JSON.stringify(scenario.body)),
    rounds: [],
  }));
  const steps = measured.map(({ scenario }) => stepsOf(scenario));
  for (let round = -2; round < rounds; round += 1) {
    for (const [index, { rounds: samples }] of measured.entries()) {
      const sample = Object.fromEntries(
        Object.entries(steps[index] ?? {}).map(([name, run]): [string, number] => [name, time(run)]),
      );
      if (round >= 0) samples.push(sample); // two rounds to warm up
    }
  }
  console.log(table(measured));
  if (!quick) {
    const facts = { large: size, small: sizeOf(small), rounds };
    await Bun.write(join(import.meta.dir, "RESULTS-routing.md"), markdown(measured, facts));
  }
} finally {
  await large.close();
  await small.close();
}
process.exit(0);
