/** From samples to medians, ratios, a table for the terminal and `RESULTS.md`. */
import { cpus, loadavg, release, totalmem } from "node:os";
import { pinning } from "./processes.ts";
import { scenarios } from "./scenarios.ts";

/** One gateway, one scenario, one round. */
export interface Sample {
  gateway: string;
  scenario: string;
  concurrency: number;
  requestsPerSecond: number;
  /** CPU seconds, user and system, per 1,000 requests. */
  cpuPerThousand: number;
  p50Ms: number;
  p99Ms: number;
  peakMegabytes: number;
  failed: number;
}

/** Medians over the rounds. */
export interface Figure extends Sample {
  /** CPU of this gateway as a multiple of each floor's: the median of the rounds' own ratios. */
  ratioTo: Record<string, number>;
}

const floors = ["pass-through", "least", "least, durable"];

export function summarize(rounds: Sample[][]): Figure[] {
  const same = (a: Sample, b: Sample) => a.scenario === b.scenario && a.concurrency === b.concurrency;
  return (rounds[0] ?? []).map((first): Figure => {
    const pairs = rounds.flatMap((round) => {
      const own = round.find((sample) => same(sample, first) && sample.gateway === first.gateway);
      return own === undefined ? [] : [{ own, beside: round.filter((sample) => same(sample, first)) }];
    });
    const middle = (of: (sample: Sample) => number) => median(pairs.map(({ own }) => of(own)));
    const ratio = (floor: string) =>
      median(
        pairs.map(
          ({ own, beside }) =>
            own.cpuPerThousand / (beside.find(({ gateway }) => gateway === floor)?.cpuPerThousand ?? Number.NaN),
        ),
      );
    return {
      ...first,
      requestsPerSecond: middle((sample) => sample.requestsPerSecond),
      cpuPerThousand: middle((sample) => sample.cpuPerThousand),
      p50Ms: middle((sample) => sample.p50Ms),
      p99Ms: middle((sample) => sample.p99Ms),
      peakMegabytes: middle((sample) => sample.peakMegabytes),
      failed: pairs.reduce((sum, { own }) => sum + own.failed, 0),
      ratioTo: Object.fromEntries(floors.map((floor) => [floor, ratio(floor)])),
    };
  });
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}

const titles = [
  "path",
  "at once",
  "gateway",
  "req/s",
  "p50 ms",
  "p99 ms",
  "CPU s / 1,000",
  "peak MB",
  "× pass-through",
  "× least",
  "× least, durable",
];

/** Always in the order of the scenarios and of the gateways' first start, whatever the order of the rounds was. */
function rows(figures: Figure[]): string[][] {
  const gateways = [...floors, "arouter"];
  const place = ({ scenario, concurrency, gateway }: Figure) =>
    scenarios.findIndex(({ name }) => name === scenario) * 1000 + concurrency * 10 + gateways.indexOf(gateway);
  return figures
    .toSorted((a, b) => place(a) - place(b))
    .map((figure) => [
      figure.scenario,
      String(figure.concurrency),
      figure.gateway,
      figure.requestsPerSecond.toFixed(0),
      figure.p50Ms.toFixed(2),
      figure.p99Ms.toFixed(1),
      figure.cpuPerThousand.toFixed(figure.cpuPerThousand < 1 ? 3 : 2),
      figure.peakMegabytes.toFixed(0),
      ...floors.map((floor) => (figure.gateway === floor ? "1" : (figure.ratioTo[floor] ?? Number.NaN).toFixed(2))),
    ]);
}

const shortTitles = ["path", "at once", ...floors.map((floor) => `× ${floor}`)];

function short(figures: Figure[]): string[][] {
  return rows(figures)
    .filter((row) => row[2] === "arouter")
    .map((row) => [row[0] ?? "", row[1] ?? "", ...row.slice(-floors.length)]);
}

export function table(figures: Figure[]): string {
  const lines = [titles, ...rows(figures)];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 || column === 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return lines.map((line) => line.map(pad).join("  ")).join("\n");
}

export function markdown(figures: Figure[], rounds: number): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  const own = rows(figures).map((row) => (row[2] === "arouter" ? row.map((cell) => `**${cell}**`) : row));
  return `# Measured

Written by \`npm run bench\`; do not edit. Only ratios within one run mean something: seconds differ from machine to
machine, and on one machine from hour to hour.

- ${new Date().toISOString().slice(0, 10)}, Bun ${Bun.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 1e9)} GB
- ${rounds} interleaved rounds after one to warm up; medians. A ratio is the median of the rounds' own ratios.
- Load average at the end: ${loadavg()[0]?.toFixed(1)} (the run itself makes about 1.5; more means that the machine had other work).
- ${pinning}. Load generator, upstream and every gateway are processes of their own, over loopback, connections kept open.
- CPU is user and system time of all threads of the gateway's process (/proc/<pid>/task/*/schedstat); peak memory is VmHWM, reset before every measurement.

## Gateways
- **pass-through**: \`Bun.serve\` and \`fetch\`, streaming, no work at all (\`pass-through.ts\`).
- **least**: the least Bun code that does our work (\`least.ts\`): key looked up by hash, checks, hold and settlement in SQLite (WAL, synchronous=FULL), base64 decoded or link fetched, file written, signed link or base64 answered; whole bodies in memory.
- **least, durable**: the same, with the picture on the disk (\`fdatasync\`) before it is charged, which is what ARouter promises. The difference between the two is the price of that promise.
- **arouter**: the product with its default settings, logs to a file included (\`product.ts\`).

## Paths
${scenarios.map(({ name, note }) => `- **${name}**: ${note}.`).join("\n")}

Pictures are removed after every measurement, yet writing one to memory pages that the machine has not used before costs
a virtual machine's kernel several milliseconds by itself, whoever writes: that is a large part of the noise between rounds.

## In short: ARouter's CPU as a multiple
${line(shortTitles)}
${line(shortTitles.map((_, column) => (column === 0 ? "---" : "--:")))}
${short(figures).map(line).join("\n")}

## All figures
${line(titles)}
${line(titles.map((_, column) => (column === 0 || column === 2 ? "---" : "--:")))}
${own.map(line).join("\n")}

Measurements of their own: the sandbox's pictures (\`bun bench/sandbox-picture.ts\`), admission and settlement
(\`bun bench/ledger.ts\`), checking and routing (\`bun bench/routing.ts\`, RESULTS-routing.md) and event streams
(\`bun bench/streams.ts\`, RESULTS-streams.md).
`;
}
