import type { Command } from "commander";
import { findDeviations } from "../accounts/check.ts";
import type { Deviation } from "../accounts/deviation.ts";
import { compareInvoice, InvoiceError, type InvoiceReport, type ReportRow, readInvoice } from "../accounts/invoice.ts";
import type { Catalogue } from "../catalogue/index.ts";
import { formatUsd, toUsdNumber } from "../money.ts";
import { createCounter } from "./counter.ts";
import { printTable, withParts } from "./store.ts";

export function addLedger(program: Command): void {
  const ledger = program.command("ledger").description("Prove the ledger, and compare it with a provider's invoice.");

  ledger
    .command("check")
    .description("Recompute every balance and invariant from the movements. Exit code 1 when anything deviates.")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: true }) => {
      const deviations: Deviation[] = [];
      const progress = createCounter();
      await withParts(({ database, clock }) =>
        findDeviations(database, { now: clock.now(), progress: progress.tell }, (deviation) => {
          if (json) deviations.push(deviation);
          else progress.print(describe(deviation));
          process.exitCode = 1;
        }),
      );
      progress.end();
      if (json) console.log(JSON.stringify({ ok: deviations.length === 0, deviations }));
      else if (process.exitCode !== 1) console.log("The ledger is right: every balance and every invariant holds.");
    });

  ledger
    .command("report")
    .description("Compare a provider's invoice with what was recorded, by model and day.")
    .requiredOption("--invoice <file>", "CSV with the columns date, model, amount_usd and, if there, images")
    .option("--provider <provider>", "compare with this provider's charges only, e.g. openai")
    .option("--json", "print JSON")
    .action(async ({ invoice, provider, json }: { invoice: string; provider?: string; json?: true }, self: Command) => {
      const file = Bun.file(invoice);
      if (!(await file.exists())) self.error(`arouter: there is no file '${invoice}'`);
      const report = await withParts(({ database, catalogue }) => {
        const nameOf = (name: string) => recordedName(catalogue, name, provider);
        return compareInvoice(database, readInvoice(textOf(file)), nameOf, provider);
      }).catch((error: unknown) => {
        if (error instanceof InvoiceError) self.error(`arouter: ${invoice}: ${error.message}`);
        throw error;
      });
      if (json) console.log(JSON.stringify(reportJson(report, provider)));
      else printReport(report);
    });
}

/** The provider's own name of a model, or an id, an alias or a bare name of ours; else the name as it is. */
function recordedName(catalogue: Catalogue, name: string, provider: string | undefined): string {
  const [served, another] = catalogue.models.filter(({ routes }) =>
    routes.some((route) => route.model === name && (provider === undefined || route.provider === provider)),
  );
  if (served !== undefined && another === undefined) return served.id;
  return catalogue.find(name)?.id ?? name;
}

function describe({ id, what, expected, found }: Deviation): string {
  return `${id}: ${what}: expected ${expected}, found ${found}`;
}

async function* textOf(file: Blob): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  for await (const bytes of file.stream()) yield decoder.decode(bytes, { stream: true });
  yield decoder.decode();
}

const isoDay = (day: number): string => new Date(day).toISOString().slice(0, 10);
const sourceWords = { provider_cost: "provider's figure", list_price: "list price", mixed: "both" };

function printReport({ rows, totals, from, to }: InvoiceReport): void {
  if (from === null || to === null) {
    console.log("The invoice has no lines.");
    return;
  }
  const figures = (row: Omit<ReportRow, "day" | "model">) => [
    formatUsd(row.invoice),
    formatUsd(row.recorded),
    `${row.difference > 0n ? "+" : ""}${formatUsd(row.difference)}`,
    row.invoiceImages === null ? "" : String(row.invoiceImages),
    String(row.recordedImages),
    row.recordedFrom === null ? "nothing recorded" : sourceWords[row.recordedFrom],
  ];
  printTable(
    ["DAY", "MODEL", "INVOICE", "RECORDED", "DIFFERENCE", "INVOICED IMAGES", "RECORDED IMAGES", "RECORDED FROM"],
    [...rows.map((row) => [isoDay(row.day), row.model, ...figures(row)]), ["TOTAL", "", ...figures(totals)]],
    { right: [2, 3, 4, 5, 6] },
  );
  console.log(
    `\nUS dollars, ${isoDay(from)} to ${isoDay(to)}, UTC. DIFFERENCE is invoice − recorded. RECORDED is what the provider` +
      " itself stated where it did, else the list price of what was delivered.",
  );
}

function reportJson({ rows, totals, from, to }: InvoiceReport, provider: string | undefined) {
  const figures = (row: Omit<ReportRow, "day" | "model">) => ({
    invoice_usd: toUsdNumber(row.invoice),
    recorded_usd: toUsdNumber(row.recorded),
    difference_usd: toUsdNumber(row.difference),
    invoice_images: row.invoiceImages,
    recorded_images: row.recordedImages,
    recorded_from: row.recordedFrom,
  });
  return {
    currency: "USD",
    provider: provider ?? null,
    from: from === null ? null : isoDay(from),
    to: to === null ? null : isoDay(to),
    rows: rows.map((row) => ({ date: isoDay(row.day), model: row.model, ...figures(row) })),
    totals: figures(totals),
  };
}
