/** CSV: what is written can be read back, also by a spreadsheet that would like to run it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { formatCsvRow, readCsv } from "../../src/csv.ts";
import { formatUsd } from "../../src/money.ts";
import { type Bench, requests, startBench } from "./support.ts";

async function rowsOf(...pieces: string[]): Promise<string[][]> {
  const rows: string[][] = [];
  for await (const { cells } of readCsv(pieces)) rows.push(cells);
  return rows;
}

describe("reading", () => {
  const cases: Array<[string, string[][]]> = [
    [
      "a,b\n1,2\n",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    [
      "a,b\r\n1,2",
      [
        ["a", "b"],
        ["1", "2"],
      ],
    ],
    ["a\rb\r", [["a"], ["b"]]],
    ["\ufeffa,b\n", [["a", "b"]]],
    ['"a,1","say ""hi""","two\r\nlines"\n', [["a,1", 'say "hi"', "two\r\nlines"]]],
    [
      "a,,\n\n\n,b,\n",
      [
        ["a", "", ""],
        ["", "b", ""],
      ],
    ],
    ['""\n"x"', [["x"]]],
    ['a"b,c\n', [['a"b', "c"]]],
    ["", []],
  ];
  test.each(cases)("%j", async (text, rows) => {
    expect(await rowsOf(text)).toEqual(rows);
    // However it is cut.
    expect(await rowsOf(...text)).toEqual(rows);
  });

  test("what cannot be told apart is refused, with its line", async () => {
    await expect(rowsOf('a\n"b')).rejects.toThrow("line 2: a quote is opened and never closed");
    await expect(rowsOf('a\n"b"c\n')).rejects.toThrow("line 2: text after a closing quote");
  });

  test("lines are counted through quoted line ends", async () => {
    const lines: number[] = [];
    for await (const { line } of readCsv(['a\r\n"b\r\nb"\r\nc\n'])) lines.push(line);
    expect(lines).toEqual([1, 2, 4]);
  });
});

test("what is written is read back, and nothing begins like a formula", async () => {
  const cell = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("=1+1", "-x", "+x", "@x", "\tx", "\rx", 'q"', "a,b", "＝1"),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { maxLength: 4 }), async (rows) => {
      const read = await rowsOf(rows.map(formatCsvRow).join(""));
      expect(read).toHaveLength(rows.length);
      for (const [index, row] of read.entries()) {
        for (const [column, text] of row.entries()) {
          expect(text).not.toMatch(/^[=+\-@\t\r\n＝＋－＠]/);
          const original = rows[index]?.[column] ?? "";
          expect([original, `'${original}`]).toContain(text);
        }
      }
    }),
  );
  expect(formatCsvRow([-5n, -1, null, "-5"])).toBe("-0.000000005,-1,,'-5\r\n");
});

describe("exports", () => {
  let bench: Bench;
  beforeAll(async () => {
    bench = await startBench({ AROUTER_KEEP_PROMPTS: "always" });
    await bench.router.generate({ ...requests.two, prompt: '=HYPERLINK("http://evil", "x"), y' });
    await bench.router.generate(requests.refused, { key: bench.other, headers: { "x-title": "@title, of two parts" } });
    await bench.router.generate(requests.small, { key: bench.router.keys.test });
    await bench.router.generate(requests.small);
  });
  afterAll(() => bench.stop());

  async function csv(
    path: string,
    { key = bench.router.keys.management, accept = "text/csv" } = {},
  ): Promise<string[][]> {
    const answer = await fetch(bench.router.url + path, { headers: { "x-api-key": key, accept } });
    expect(answer.headers.get("content-type")).toBe("text/csv; charset=utf-8");
    expect(answer.headers.get("content-disposition")).toMatch(/^attachment; filename="\w+\.csv"$/);
    return rowsOf(await answer.text());
  }

  test("transactions, exact to the nano-dollar", async () => {
    const [headings, ...rows] = await csv("/api/v1/transactions");
    expect(headings).toEqual(["id", "type", "amount_usd", "description", "created_at", "generation_id"]);
    const charges = bench.sql<{ id: string; amount_nanos: number }>(
      "select id, amount_nanos from movements where kind = 'charge' order by created_at desc, id desc",
    );
    expect(rows.map(([id, type, amount]) => [id, type, amount])).toEqual(
      charges.map(({ id, amount_nanos }) => [id, "usage", `-${formatUsd(BigInt(amount_nanos))}`]),
    );
    expect(await csv("/api/v1/transactions?type=credit")).toHaveLength(1);
  });

  test("generations, with prompts that cannot run", async () => {
    const [headings = [], ...rows] = await csv("/api/v1/generations?format=csv", { accept: "*/*" });
    const column = (name: string) => rows.map((row) => row[headings.indexOf(name)]);
    expect(column("prompt")).toEqual(["a cup", "a cup", "[[moderate]]", `'=HYPERLINK("http://evil", "x"), y`]);
    expect(column("cost_usd")).toEqual(["0.016", "0", "0", "0.036"]);
    expect(column("error_code")).toEqual(["", "", "content_policy_violation", ""]);
    expect(column("title")[2]).toBe("'@title, of two parts");
    expect(await csv("/api/v1/generations", { key: bench.other })).toHaveLength(2);
    expect(await csv("/api/v1/generations?status=failed")).toHaveLength(2);
  });

  test("usage by hour, day and month", async () => {
    for (const granularity of ["hourly", "daily", "monthly"]) {
      const [headings, ...rows] = await csv(`/api/usage/timeseries?granularity=${granularity}`);
      expect(headings).toEqual(["timestamp", "requests", "images", "estimated_cost_usd"]);
      expect(rows.map(([, ...figures]) => figures)).toEqual([["4", "4", "0.052"]]);
    }
  });

  test("JSON where it is asked for as well, or by name", async () => {
    for (const [path, accept] of [
      ["/api/v1/transactions", "application/json, text/csv"],
      ["/api/v1/transactions", "*/*"],
      ["/api/v1/transactions?format=json", "text/csv"],
    ] as const) {
      const answer = await fetch(bench.router.url + path, { headers: { "x-api-key": bench.other, accept } });
      expect(await answer.json()).toEqual({ transactions: [], next_page_token: null });
    }
  });

  test("a long export comes whole, page after page, while rows arrive", async () => {
    bench.run(`
      with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < 5000)
      insert into movements (id, created_at, kind, amount_nanos, note)
      select 'mov-bulk' || printf('%05d', n), 1000 + n / 3, 'credit', n, 'bulk' from numbers`);
    const [answer] = await Promise.all([csv("/api/v1/transactions"), bench.router.generate(requests.small)]);
    const bulk = answer.filter(([id]) => id?.startsWith("mov-bulk"));
    expect(bulk).toHaveLength(5_000);
    expect(new Set(bulk.map(([id]) => id)).size).toBe(5_000);
    // A client that leaves early takes nothing down.
    const left = await fetch(`${bench.router.url}/api/v1/transactions?format=csv&key=${bench.router.keys.management}`);
    await left.body?.cancel();
    expect((await bench.router.get("/api/v1/balance")).status).toBe(200);
  });
});
