/** A provider's invoice against what was recorded, by model and day. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compareInvoice, type InvoiceLine, readInvoice } from "../../src/accounts/invoice.ts";
import type { Database } from "../../src/database.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";

async function linesOf(text: string): Promise<InvoiceLine[]> {
  const lines: InvoiceLine[] = [];
  for await (const line of readInvoice([text])) lines.push(line);
  return lines;
}
const day = (date: string) => Date.parse(`${date}T00:00:00Z`);

describe("reading an invoice", () => {
  test("columns in any order, other columns, quotes, times, dollar signs, credits", async () => {
    const text = [
      "Project,Amount_USD , model,date,images",
      '"a, b","$1,234.5","dall-e-3",2026-09-01,12',
      "x,0.0400000004,dall-e-2,2026-09-01T23:30:00-01:00,",
      "x,-0.0000000005,dall-e-2,2026-09-02T10:00:00Z,0",
    ].join("\r\n");
    expect(await linesOf(text)).toEqual([
      { day: day("2026-09-01"), model: "dall-e-3", amount: 1_234_500_000_000n, images: 12 },
      { day: day("2026-09-02"), model: "dall-e-2", amount: 40_000_000n, images: null },
      { day: day("2026-09-02"), model: "dall-e-2", amount: -1n, images: 0 },
    ]);
  });

  const wrong: Array<[string, string]> = [
    ["", "the file is empty; its first line must name date, model, amount_usd"],
    ["date,model\n", "the first line must name the column 'amount_usd'"],
    [
      "date,model,amount_usd\n2026-02-30,m,1\n",
      "line 2: date is '2026-02-30', expected an ISO 8601 date, e.g. 2026-09-01",
    ],
    ["date,model,amount_usd\n01/09/2026,m,1\n", "line 2: date is '01/09/2026'"],
    ["date,model,amount_usd\n2026-09-01,m,1e3\n", "line 2: amount_usd is '1e3', expected US dollars"],
    ["date,model,amount_usd\n2026-09-01,m,12,34\n2026-09-01,m,\n", "line 3: amount_usd is ''"],
    ["date,model,amount_usd\n2026-09-01,,1\n", "line 2: model is '', expected a model's name"],
    ["date,model,amount_usd,images\n2026-09-01,m,1,1.5\n", "line 2: images is '1.5', expected a whole number"],
    ['date,model,amount_usd\n2026-09-01,"m,1\n', "line 2: a quote is opened and never closed"],
  ];
  test.each(wrong)("%j", async (text, message) => {
    await expect(linesOf(text)).rejects.toThrow(message);
  });
});

describe("comparing", () => {
  const folder = mkdtempSync(join(tmpdir(), "arouter-invoice-"));
  let database: Database;
  let close: () => Promise<void>;

  beforeAll(async () => {
    ({ database, close } = await openSqlite(join(folder, "arouter.db")));
    const charge = (
      id: string,
      time: string,
      model: string,
      provider: string,
      amount: bigint,
      stated: bigint | null,
    ) => ({
      id: `mov-${id}`,
      created_at: Date.parse(time),
      kind: "charge" as const,
      amount_nanos: amount,
      key_hash: "k",
      generation_id: `gen-${id}`,
      model,
      provider,
      images: 1,
      provider_cost_nanos: stated,
    });
    await database
      .insertInto("movements")
      .values([
        charge("1", "2026-09-01T00:00:00Z", "openai/dall-e-2", "openai", 16_000_000n, null),
        charge("2", "2026-09-01T23:59:59.999Z", "openai/dall-e-2", "openai", 16_000_000n, 15_000_000n),
        charge("3", "2026-09-01T12:00:00Z", "openai/dall-e-3", "openai", 40_000_000n, null),
        charge(
          "4",
          "2026-09-02T12:00:00Z",
          "stability/stable-diffusion-3-large",
          "stability",
          65_000_000n,
          60_000_000n,
        ),
        charge("5", "2026-09-03T00:00:00Z", "openai/dall-e-2", "openai", 16_000_000n, null),
        charge("6", "2026-08-31T23:59:59.999Z", "openai/dall-e-2", "openai", 16_000_000n, null),
        { ...charge("7", "2026-09-01T12:00:00Z", "openai/dall-e-2", "openai", 99n, null), kind: "hold" as const },
      ])
      .execute();
  });
  afterAll(async () => {
    await close();
    rmSync(folder, { recursive: true });
  });

  const nameOf = (name: string) => (name.startsWith("dall-e") ? `openai/${name}` : name);
  const compare = (text: string, provider?: string) => compareInvoice(database, readInvoice([text]), nameOf, provider);

  test("each day and model with its difference, what only one side knows, and totals", async () => {
    const text =
      "date,model,amount_usd,images\n2026-09-02,dall-e-2,5,\n2026-09-01,dall-e-2,0.02,2\n2026-09-01,dall-e-2,0.011,1\n";
    const { rows, totals, from, to } = await compare(text);
    expect([from, to]).toEqual([day("2026-09-01"), day("2026-09-02")]);
    expect(rows).toEqual([
      {
        day: day("2026-09-01"),
        model: "openai/dall-e-2",
        invoice: 31_000_000n,
        recorded: 31_000_000n,
        difference: 0n,
        invoiceImages: 3,
        recordedImages: 2,
        recordedFrom: "mixed",
      },
      {
        day: day("2026-09-01"),
        model: "openai/dall-e-3",
        invoice: 0n,
        recorded: 40_000_000n,
        difference: -40_000_000n,
        invoiceImages: null,
        recordedImages: 1,
        recordedFrom: "list_price",
      },
      {
        day: day("2026-09-02"),
        model: "openai/dall-e-2",
        invoice: 5_000_000_000n,
        recorded: 0n,
        difference: 5_000_000_000n,
        invoiceImages: null,
        recordedImages: 0,
        recordedFrom: null,
      },
      {
        day: day("2026-09-02"),
        model: "stability/stable-diffusion-3-large",
        invoice: 0n,
        recorded: 60_000_000n,
        difference: -60_000_000n,
        invoiceImages: null,
        recordedImages: 1,
        recordedFrom: "provider_cost",
      },
    ]);
    expect(totals).toEqual({
      invoice: 5_031_000_000n,
      recorded: 131_000_000n,
      difference: 4_900_000_000n,
      invoiceImages: 3,
      recordedImages: 4,
      recordedFrom: "mixed",
    });
  });

  test("one provider only", async () => {
    const { rows } = await compare("date,model,amount_usd\n2026-09-02,sd,0.06\n", "stability");
    expect(rows.map(({ model, invoice, recorded }) => [model, invoice, recorded])).toEqual([
      ["sd", 60_000_000n, 0n],
      ["stability/stable-diffusion-3-large", 0n, 60_000_000n],
    ]);
  });

  test("an invoice without lines", async () => {
    expect((await compare("date,model,amount_usd\n")).from).toBeNull();
  });
});
