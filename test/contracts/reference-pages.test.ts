/** The reference pages and the code agree, in both directions. */
import { describe, expect, test } from "bun:test";
import { Glob } from "bun";
import { readConfig } from "../../src/config.ts";
import { type ErrorCode, errorTable } from "../../src/errors.ts";
import { createMetrics } from "../../src/observe/metrics.ts";
import { systemClock } from "../../src/ports.ts";
import { adapters } from "../../src/providers/index.ts";
import { codesIn, read, root, tableOf } from "../journeys/documents.ts";

describe("docs/reference/errors.md", () => {
  const rows = tableOf("docs/reference/errors.md", "Code");
  const codes = rows.map(([code = ""]) => code.replaceAll("`", ""));

  test("lists every code of the error table, and no other, in its order", () => {
    expect(codes).toEqual(Object.keys(errorTable));
  });

  test.each(rows)("%s has its status, type and retry advice", (code = "", status, type, retry, meaning, next) => {
    const row = errorTable[code.replaceAll("`", "") as ErrorCode];
    expect({ status, type, retry }).toEqual({
      status: String(row.status),
      type: row.type,
      retry: row.retry ? "yes" : "no",
    });
    expect(meaning).toMatch(/\.$/);
    expect(next).toMatch(/\.$/);
  });

  test("marks as reserved exactly the codes that nothing in the source answers", () => {
    const sources = [...new Glob("src/**/*.ts").scanSync({ cwd: root })]
      // The description names all codes, and providers' own codes may have the same names.
      .filter((file) => !/^src\/(errors\.ts|http\/openapi|providers\/)/.test(file))
      .map(read)
      .join("\n");
    const reserved = rows
      .filter(([, , , , meaning = ""]) => meaning.startsWith("*Reserved.*"))
      .map(([code = ""]) => code.replaceAll("`", ""));
    expect(reserved).toEqual(codes.filter((code) => !sources.includes(`"${code}"`)));
  });
});

describe("docs/reference/settings.md", () => {
  const rows = tableOf("docs/reference/settings.md", "Name").map(
    ([name = "", fallback = "", example = "", meaning = ""]) => ({
      name: name.replaceAll("`", ""),
      fallback: codesIn(fallback)[0],
      example: codesIn(example)[0] ?? "",
      meaning,
    }),
  );

  test("lists every setting, and no other", () => {
    const ours = [...read("src/config.ts").matchAll(/^ {2}([A-Z_]+): optional\(/gm)].map(([, name]) => name ?? "");
    const providers = adapters.flatMap(({ settings }) =>
      settings === null ? [] : [settings.keyVariable, settings.baseUrlVariable],
    );
    expect(ours.length).toBeGreaterThan(10);
    expect(rows.map(({ name }) => name)).toEqual([...ours, ...providers]);
  });

  for (const { name, fallback, example } of rows) {
    test(`${name} has its real default, and an example that changes something`, () => {
      const untouched = readConfig({});
      if (fallback !== undefined) expect(readConfig({ [name]: fallback })).toEqual(untouched);
      expect(readConfig({ [name]: example })).not.toEqual(untouched);
    });
  }

  test("names exactly the settings that are refused for now", () => {
    const refused = [
      ...(/notYet[\s\S]*?\n\};/.exec(read("src/config.ts"))?.[0] ?? "").matchAll(/^ {2}([A-Z_]+): \{/gm),
    ].map(([, name]) => name ?? "");
    expect(refused.length).toBeGreaterThan(0);
    const text = read("docs/reference/settings.md").split("## Refused for now")[1] ?? "";
    expect(codesIn(text)).toEqual(refused);
    for (const name of refused) expect(() => readConfig({ [name]: "something" })).toThrow(name);
  });
});

describe("docs/reference/metrics.md", () => {
  /** Every metric with something in it. */
  async function fedMetrics(): Promise<string> {
    const parked = { reason: "quota", untilMs: 1 };
    const routes = [{ model: "m", state: "open" }];
    const metrics = createMetrics({
      version: "1",
      clock: systemClock,
      credentials: () => [{ provider: "openai", credential: "0123abcd", running: 1, waiting: 1, parked, routes }],
      generationsRunning: () => 1,
      heldNanos: async () => 1n,
      webhooksPending: async () => 1,
    });
    const [model, provider, durationMs] = ["openai/gpt-image-2", "openai", 1];
    metrics.requestEnded({ method: "GET", route: "/", status: 200, code: null, durationMs });
    metrics.generationEnded({
      ...{ model, provider, durationMs, operation: "generate", status: "succeeded", code: null, images: 1 },
      costNanos: 1n,
    });
    metrics.attemptEnded({ provider, model, outcome: "delivered", durationMs, queuedMs: 1 });
    metrics.retried({ provider, model });
    metrics.fellBack({ fromProvider: provider, toProvider: "azure", toModel: model });
    metrics.streamOpened();
    return (await metrics.read()).text;
  }

  test("lists every metric of our own with its type and labels, and no other", async () => {
    const text = await fedMetrics();
    const real = [...text.matchAll(/^# TYPE (arouter_\w+) (\w+)$/gm)].map(([, name = "", type = ""]) => {
      const [, labels = ""] = new RegExp(`^${name}(?:_bucket)?(?:\\{(.*)\\})? `, "m").exec(text) ?? [];
      const names = [...labels.matchAll(/(\w+)="/g)].map(([, label = ""]) => label).filter((label) => label !== "le");
      return { name, type, labels: names.sort() };
    });
    expect(real.length).toBeGreaterThan(10);
    const documented = tableOf("docs/reference/metrics.md", "Name").map(([name = "", type = "", labels = ""]) => ({
      name: name.replaceAll("`", ""),
      type,
      labels: codesIn(labels).sort(),
    }));
    const byName = (one: { name: string }, other: { name: string }) => one.name.localeCompare(other.name);
    expect(documented.sort(byName)).toEqual(real.sort(byName));
  });
});
