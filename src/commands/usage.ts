import { type Command, InvalidArgumentError, Option } from "commander";
import { noUsage, plus, type Usage, type UsageDimension, usageBy, usageSeries } from "../accounts/reports.ts";
import { type CsvCell, formatCsvRow } from "../csv.ts";
import type { Database } from "../database.ts";
import { formatUsd, toUsdNumber } from "../money.ts";
import { drawBar } from "./bars.ts";
import { printTable, withParts } from "./store.ts";

const dayMs = 86_400_000;
const barWidth = 30;

type By = "day" | "model" | "key" | "provider";
const dimensions: Record<Exclude<By, "day">, UsageDimension> = {
  model: "model",
  key: "key_hash",
  provider: "provider",
};

interface Line extends Usage {
  /** The day, or the name. */
  name: string;
  /** Key hash, where the name is a key's. */
  hash?: string;
}

export function addUsage(program: Command): void {
  program
    .command("usage")
    .description("What was used and what it cost, by UTC day or by model, key or provider.")
    .option("--days <n>", "this many days up to now", days, 30)
    .addOption(new Option("--by <what>", "one line each").choices(["day", "model", "key", "provider"]).default("day"))
    .option("--json", "print JSON")
    .option("--csv", "print CSV")
    .action(async ({ days, by, json, csv }: { days: number; by: By; json?: true; csv?: true }) => {
      const { lines, from, to } = await withParts(async ({ database, clock }) => {
        const to = clock.now() + 1;
        const from = clock.now() - (clock.now() % dayMs) - (days - 1) * dayMs;
        return { lines: await readLines(database, by, from, to), from, to };
      });
      const totals = lines.reduce((sum, line) => plus(sum, line), noUsage);
      if (csv) return printCsv(by, lines);
      if (json) {
        const period = { start_time: new Date(from).toISOString(), end_time: new Date(to).toISOString() };
        return console.log(
          JSON.stringify({ ...period, by, data: lines.map((line) => lineJson(by, line)), totals: figures(totals) }),
        );
      }
      print(by, lines, totals);
    });
}

async function readLines(database: Database, by: By, from: number, to: number): Promise<Line[]> {
  if (by !== "day") {
    const lines = await usageBy(database, { from, to }, dimensions[by]);
    return by === "key" ? withKeyNames(database, lines) : lines;
  }
  const used = new Map<number, Usage>();
  for await (const point of usageSeries(database, { from, to }, "daily")) used.set(point.at, point);
  const lines: Line[] = [];
  for (let day = from; day < to; day += dayMs) {
    lines.push({ ...noUsage, ...used.get(day), name: new Date(day).toISOString().slice(0, 10) });
  }
  return lines;
}

async function withKeyNames(database: Database, lines: Line[]): Promise<Line[]> {
  const keys = await database.selectFrom("keys").select(["hash", "name"]).execute();
  const names = new Map(keys.map(({ hash, name }) => [hash, name]));
  return lines.map((line) => ({ ...line, name: names.get(line.name) ?? line.name, hash: line.name }));
}

function print(by: By, lines: Line[], totals: Usage): void {
  if (totals.requests === 0) {
    console.log("Nothing was used in this time.");
    return;
  }
  // What costs nothing (the sandbox) is shown by its pictures, then.
  const size = ({ cost, images }: Usage) => (totals.cost === 0n ? BigInt(images) : cost);
  const [largest = 0n] = lines.map(size).sort((one, other) => (one < other ? 1 : -1));
  const row = (line: Line) => [line.name, String(line.requests), String(line.images), `$${formatUsd(line.cost)}`];
  printTable(
    [by.toUpperCase(), "REQUESTS", "IMAGES", "COST", ""],
    [...lines.map((line) => [...row(line), drawBar(size(line), largest, barWidth)]), row({ ...totals, name: "TOTAL" })],
    { right: [1, 2, 3] },
  );
}

function figures({ requests, images, cost }: Usage) {
  return { requests, images, estimated_cost_usd: toUsdNumber(cost) };
}

function lineJson(by: By, { name, hash, ...usage }: Line) {
  const what = by === "key" ? { key_id: hash, name } : { [by === "day" ? "date" : by]: name };
  return { ...what, ...figures(usage) };
}

function printCsv(by: By, lines: Line[]): void {
  const first = by === "day" ? ["date"] : by === "key" ? ["key_id", "name"] : [by];
  const rows: CsvCell[][] = lines.map((line) => [
    ...(line.hash === undefined ? [line.name] : [line.hash, line.name]),
    line.requests,
    line.images,
    line.cost,
  ]);
  const all = [[...first, "requests", "images", "estimated_cost_usd"], ...rows];
  process.stdout.write(all.map(formatCsvRow).join(""));
}

function days(value: string): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < 1 || number > 3_660) throw new InvalidArgumentError("Use 1 to 3660.");
  return number;
}
