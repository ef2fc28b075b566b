/** From samples to medians, ratios and tables. */
import { cpus, loadavg, release } from "node:os";
import type { RoutingScenario } from "./routing-scenarios.ts";

export interface Measured {
  scenario: RoutingScenario;
  candidates: number;
  bodyBytes: number;
  /** Microseconds of each step, round by round. */
  rounds: Array<Record<string, number>>;
}

const titles = [
  "request",
  "candidates",
  "body, bytes",
  "JSON.parse µs",
  "check µs",
  "check and route µs",
  "× JSON.parse",
  "× built-in catalogue",
  "× schema by hand",
  "fingerprint µs",
];

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? Number.NaN;
}

function rows(measured: readonly Measured[]): string[][] {
  return measured.map(({ scenario, candidates, bodyBytes, rounds }) => {
    const has = (name: string) => rounds.every((sample) => name in sample);
    const middle = (name: string) => (has(name) ? median(rounds.map((sample) => sample[name] ?? 0)).toFixed(1) : "");
    // The median of the rounds' own ratios: what slows a round down slows both.
    const ratio = (name: string) =>
      has(name) ? median(rounds.map((sample) => (sample.whole ?? 0) / (sample[name] ?? 0))).toFixed(2) : "";
    return [
      scenario.name,
      scenario.refusedWith === undefined ? String(candidates) : "",
      String(bodyBytes),
      middle("parse"),
      middle("check"),
      middle("whole"),
      ratio("parse"),
      ratio("small"),
      ratio("byHand"),
      middle("fingerprint"),
    ];
  });
}

export function table(measured: readonly Measured[]): string {
  const lines = [titles, ...rows(measured)];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(pad).join("  ")).join("\n");
}

interface Size {
  models: number;
  routes: number;
}

export function markdown(measured: readonly Measured[], facts: { large: Size; small: Size; rounds: number }): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const shown = ({ models, routes }: Size) => `${models} models and ${routes} routes`;
  return `# Checking and routing, measured

Written by \`bun bench/routing.ts\`; do not edit. Only ratios within one run mean something.

- ${new Date().toISOString().slice(0, 10)}, Bun ${Bun.version}, Linux ${release()}, ${cpus()[0]?.model.trim()}; load average at the end ${loadavg()[0]?.toFixed(1)}.
- ${facts.rounds} interleaved rounds after two to warm up; medians. A ratio is the median of the rounds' own ratios.
- The catalogue: ${shown(facts.large)}. Beside it the built-in one: ${shown(facts.small)}.
- **check**: the body against every model that it names. **check and route**: the same, then the routes that honour it, their
  prices, what would be sent to each, and their order: everything between the parsed body and the transaction of admission.
- **× JSON.parse**: as a multiple of parsing the same body. **× built-in catalogue**: of the same work with the built-in
  models only; 1 means that a larger catalogue costs a request nothing. **× schema by hand**: of checking the same
  parameters with a zod schema written for one model, without words for the client, routes or prices.
- **fingerprint**: what tells repeats apart, taken twice per request, for comparison.

${line(titles)}
${line(titles.map((_, column) => (column === 0 ? "---" : "--:")))}
${rows(measured).map(line).join("\n")}
`;
}
