/** From samples of the stream benchmark to tables. */
import { cpus, loadavg, release } from "node:os";
import { pinning } from "./processes.ts";

/** One gateway, one round. */
export interface StreamsSample {
  gateway: string;
  /** Resident memory with no stream open. */
  restMegabytes: number;
  /** More with all streams open and silent, per stream. */
  openKilobytes: number;
  /** Largest resident memory while events flow steadily. */
  steadyPeak: number;
  /** CPU milliseconds per stream, all its events included. */
  cpuPerStream: number;
  begunP50: number;
  begunP99: number;
  wholeP50: number;
  wholeP99: number;
  /** Largest resident memory when every stream's event comes at the same moment, and what is left afterwards. */
  burstPeaks: number[];
  burstRests: number[];
  /** Seconds until all streams have ended, when everything comes at once. */
  burstSeconds: number;
  /** Per client that does not read. */
  stalledKilobytes: number;
}

const rows: Array<[title: string, of: (sample: StreamsSample) => number, digits: number]> = [
  ["first event begun, p50 ms", (sample) => sample.begunP50, 1],
  ["first event begun, p99 ms", (sample) => sample.begunP99, 1],
  ["first event whole, p50 ms", (sample) => sample.wholeP50, 1],
  ["first event whole, p99 ms", (sample) => sample.wholeP99, 1],
  ["CPU per stream, ms", (sample) => sample.cpuPerStream, 1],
  ["memory at rest, MB", (sample) => sample.restMegabytes, 0],
  ["per open stream before its first event, kB", (sample) => sample.openKilobytes, 0],
  ["peak while events flow, MB", (sample) => sample.steadyPeak, 0],
  ["all at once: peak, MB", (sample) => Math.max(...sample.burstPeaks), 0],
  ["all at once: at rest after the first, MB", (sample) => sample.burstRests[0] ?? Number.NaN, 0],
  ["all at once: at rest after the last, MB", (sample) => sample.burstRests.at(-1) ?? Number.NaN, 0],
  ["all at once: until all have ended, s", (sample) => sample.burstSeconds, 1],
  ["per client that does not read, kB", (sample) => sample.stalledKilobytes, 0],
];

const titles = ["", "pass-through", "arouter", "×"];

function lines(samples: readonly StreamsSample[]): string[][] {
  const of = (gateway: string) => samples.filter((sample) => sample.gateway === gateway);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return rows.map(([title, read, digits]) => {
    const floor = of("pass-through").map(read);
    const own = of("arouter").map(read);
    // Rounds are pairs: their ratios are taken one by one.
    const ratio = mean(own.map((value, round) => value / (floor[round] ?? Number.NaN)));
    return [title, mean(floor).toFixed(digits), mean(own).toFixed(digits), ratio.toFixed(2)];
  });
}

export function table(samples: readonly StreamsSample[]): string {
  const all = [titles, ...lines(samples)];
  const widths = titles.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)));
  const pad = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return all.map((line) => line.map(pad).join("  ")).join("\n");
}

export function markdown(
  samples: readonly StreamsSample[],
  facts: { streams: number; stalled: number; reached: number; spreadMs: number },
): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return `# Event streams, measured

Written by \`bun bench/streams.ts\`; do not edit. Only ratios within one run mean something.

- ${new Date().toISOString().slice(0, 10)}, Bun ${Bun.version}, Linux ${release()}, ${cpus().length} × ${cpus()[0]?.model.trim()}; load average at the end ${loadavg()[0]?.toFixed(1)}.
- ${facts.streams} streams at once, each with two previews of 1.5 MB and a final picture of 2 MB (6.7 MB of base64 in all). ${samples.length === 2 ? "One round" : `Mean of ${samples.length / 2} rounds`}, with fresh processes.
- ${pinning}. Clients read everything and are bare sockets; the upstream sends the head of its answer at once and an event when it is told to.
- **first event begun, whole**: from the moment the upstream sends a stream's first event until its first byte, or its last one, is with the
  client, while the events of all streams come spread over ${facts.spreadMs / 1000} s. A pass-through forwards the first byte at once; ARouter
  hands a preview on when it is whole and has been looked at.
- **all at once**: every stream's event is sent in the same moment, twice in a row: more than any machine of this size can pass on at once.
- **per client that does not read**: ${facts.stalled} clients send their request and read nothing, while their streams get all their events. Sockets' own buffers are the kernel's and not counted.
- Memory is resident memory (\`VmRSS\`, \`VmHWM\`).
- Bun's \`fetch\` makes 256 requests at once unless \`BUN_CONFIG_MAX_HTTP_REQUESTS\` says otherwise when the process starts: both gateways
  ran with 65535. Without it, ${facts.reached} of ${facts.streams} streams reached the upstream; the others waited for their turn.

${line(titles)}
${line(["---", "--:", "--:", "--:"])}
${lines(samples).map(line).join("\n")}
`;
}
