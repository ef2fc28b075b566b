/** What the documentation names exists: files, links, settings, commands; the two READMEs say the same; tables agree with the code. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { Command } from "commander";
import manifest from "../../package.json" with { type: "json" };
import { listEndpoints, loadCatalogue } from "../../src/catalogue/index.ts";
import { addCredits } from "../../src/commands/credits.ts";
import { addDoctor } from "../../src/commands/doctor.ts";
import { addGenerate } from "../../src/commands/generate.ts";
import { addKeys } from "../../src/commands/keys.ts";
import { addLedger } from "../../src/commands/ledger.ts";
import { addModels } from "../../src/commands/models.ts";
import { addServe } from "../../src/commands/serve.ts";
import { addUsage } from "../../src/commands/usage.ts";
import { addWebhooks } from "../../src/commands/webhooks.ts";
import { adapters } from "../../src/providers/index.ts";
import { blocksOf, codesIn, documents, headingsOf, linksOf, proseOf, read, root, tableOf } from "./documents.ts";

const readmes = ["README.md", "README.zh-Hant.md"] as const;
/** The changelog speaks of what has been, decisions of what was decided: names in them may go out of use. */
const current = documents.filter((file) => !/^CHANGELOG|^docs\/decisions\//.test(file));

describe.each(documents)("%s", (file) => {
  test("links only to files and headings that exist", () => {
    for (const target of linksOf(file)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [path = "", anchor] = target.split("#");
      const found = path === "" ? file : normalize(join(dirname(file), path));
      expect({ target, exists: existsSync(join(root, found)) }).toEqual({ target, exists: true });
      if (anchor !== undefined && found.endsWith(".md")) {
        expect(headingsOf(found).map((heading) => heading.anchor)).toContain(anchor);
      }
    }
  });

  test("names only files that exist", () => {
    const named = [
      ...codesIn(proseOf(file)).filter((code) =>
        /^(src|models|docs|test|scripts|bench|examples|bin|\.ci)\/\S*$/.test(code),
      ),
      ...[...read(file).matchAll(/^ {4}((?:src|models|test|bench)\/\S*) /gm)].map(([, path]) => path ?? ""),
    ];
    for (const path of named) {
      // Patterns, and the stand-ins of instructions.
      if (/[*<A-Z]|acme/.test(path)) continue;
      expect({ path, exists: existsSync(join(root, path)) }).toEqual({ path, exists: true });
    }
  });

  test("sends nobody to a package of this name on a registry", () => {
    expect(read(file)).not.toMatch(
      /npm (install|i|add) (-\S+ )*arouter\b|(pnpm|yarn|bun) (add|dlx|x) arouter\b|bunx arouter\b/,
    );
  });
});

describe.each(current)("%s", (file) => {
  test("names only settings that exist", () => {
    const config = read("src/config.ts");
    const ofCommands = /\.env\("([A-Z_]+)"\)/g;
    const known = new Set([
      ...[...config.matchAll(/^ {2}([A-Z_]+): [o{]/gm)].map(([, name]) => name),
      ...adapters.flatMap(({ settings }) =>
        settings === null ? [] : [settings.keyVariable, settings.baseUrlVariable],
      ),
      ...[...read("src/commands/generate.ts").matchAll(ofCommands)].map(([, name]) => name),
    ]);
    expect(known).toContain("AROUTER_DATA");
    const named = read(file).match(
      /\b(AROUTER|DATABASE|[A-Z_]*OPENAI|STABILITY|REPLICATE|BFL|FAL|LOCALAI|VLLM|SGLANG|SD_SERVER)_[A-Z_]+\b/g,
    );
    expect((named ?? []).filter((name) => !known.has(name))).toEqual([]);
  });

  test("names only commands, options and scripts that exist", () => {
    for (const [, rest = ""] of read(file).matchAll(/npx arouter ([^\n`]*)/g)) checkCommand(rest);
    const scripts = Object.keys(manifest.scripts);
    for (const [, script = ""] of read(file).matchAll(
      /npm (?:run )?(start|test|run|check|bench|dev|build|format)\b(?! \w)/g,
    )) {
      expect(scripts).toContain(script);
    }
    for (const [, script = ""] of read(file).matchAll(/npm run (\w+)/g)) expect(scripts).toContain(script);
  });
});

const program = new Command("arouter");
for (const add of [addServe, addGenerate, addKeys, addCredits, addModels, addUsage, addLedger, addWebhooks, addDoctor])
  add(program);

function checkCommand(rest: string): void {
  let command = program;
  const [own = ""] = rest.split(" | ");
  const words = own.replaceAll(/"[^"]*"/g, "x").split(/\s+/);
  for (const word of words) {
    const next = command.commands.find((candidate) => candidate.name() === word);
    if (next === undefined) break;
    command = next;
  }
  // Groups of commands are not documented as commands of their own, except to ask for help.
  if (!words.includes("--help"))
    expect({ rest, commands: command.commands.map((one) => one.name()) }).toEqual({ rest, commands: [] });
  const options = ["--help", ...command.options.flatMap(({ short, long }) => [short, long])];
  for (const word of words.filter((word) => /^--?[a-z]/.test(word)))
    expect({ rest, options }).toEqual({ rest, options: expect.arrayContaining([word]) });
}

describe("the two READMEs", () => {
  const [english, chinese] = readmes;

  test("have the same sections", () => {
    expect(headingsOf(chinese).map(({ level }) => level)).toEqual(headingsOf(english).map(({ level }) => level));
  });

  test("have the same code blocks", () => {
    const plain = (file: string) => blocksOf(file).map(({ language, mark, code }) => ({ language, mark, code }));
    expect(plain(chinese)).toEqual(plain(english));
  });

  test("lead to the same places", () => {
    const others = (file: string) => linksOf(file).filter((target) => !readmes.some((readme) => readme === target));
    expect(others(chinese)).toEqual(others(english));
  });

  test("name the same things in every section", () => {
    const sections = (file: string) =>
      proseOf(file)
        .split(/^#+ /m)
        .map((section) => [...new Set(codesIn(section))].sort());
    expect(sections(chinese)).toEqual(sections(english));
  });
});

describe("tables of the READMEs", () => {
  const catalogue = loadCatalogue();

  test.each([
    ["README.md", "Model", ["yes", "no"]],
    ["README.zh-Hant.md", "模型", ["可", "不可", "有", "無"]],
  ] as const)("%s has the catalogue's models, what they can, their providers and prices", (file, heading, words) => {
    const [yes, , has = yes] = words;
    const rows = tableOf(file, heading);
    // Dated ids are the same models again.
    const wanted = catalogue.models.map(({ id }) => id).filter((id) => !/-\d{4}-\d{2}-\d{2}$/.test(id));
    expect(rows.flatMap(([ids = ""]) => codesIn(ids)).sort()).toEqual(wanted);
    for (const [ids = "", edits = "", previews = "", providers = "", prices = ""] of rows) {
      expect(words).toContain(edits as "yes");
      expect(words).toContain(previews as "yes");
      const known = new Set<string>();
      for (const id of codesIn(ids)) {
        const model = catalogue.find(id);
        if (model === undefined) throw new Error(`no model ${id}`);
        const { operations, streams, routes, lifecycle } = model;
        const able = { id, edits: edits === yes, previews: previews === has, providers: codesIn(providers) };
        expect(able).toEqual({
          id,
          edits: operations.includes("edit"),
          previews: streams,
          providers: [...new Set(routes.map(({ provider }) => provider))],
        });
        expect({ id, dates: ids.match(/\d{4}-\d{2}-\d{2}/g) ?? [] }).toEqual({
          id,
          dates: lifecycle.endDate === null ? [] : [lifecycle.endDate],
        });
        for (const { pricing } of listEndpoints(model)) {
          for (const [, usd = ""] of JSON.stringify(pricing).matchAll(/usd":"([\d.]+)"/g)) known.add(usd);
        }
      }
      const documented = [...prices.matchAll(/\$([\d.]+)/g)].map(([, usd = ""]) => usd);
      expect(documented.length).toBeGreaterThanOrEqual(
        codesIn(ids).length > 1 && /token/.test(prices) ? 1 : codesIn(ids).length,
      );
      expect(documented.filter((usd) => !known.has(usd))).toEqual([]);
    }
  });

  test.each([
    ["README.md", "Provider"],
    ["README.zh-Hant.md", "供應商"],
  ])("%s has every provider and the variables that configure it", (file, heading) => {
    const rows = tableOf(file, heading);
    const real = adapters.filter(({ settings }) => settings !== null);
    expect(rows.flatMap(([, ids = ""]) => codesIn(ids))).toEqual(real.map(({ id }) => id));
    for (const [, ids = "", variables = ""] of rows) {
      for (const { settings } of real.filter(({ id }) => codesIn(ids).includes(id))) {
        const needed = [
          ...(settings?.keyIsOptional ? [] : [settings?.keyVariable]),
          ...(settings?.defaultBaseUrl === null ? [settings.baseUrlVariable] : []),
        ];
        for (const variable of needed) expect(codesIn(variables)).toContain(variable ?? "");
      }
    }
  });

  test.each([
    ["README.md", "Name"],
    ["README.zh-Hant.md", "名稱"],
  ])("%s has the settings of the reference", (file, heading) => {
    const reference = tableOf("docs/reference/settings.md", "Name").map(([name, fallback = ""]) => [
      name,
      ...codesIn(fallback),
    ]);
    expect(tableOf(file, heading).map(([name, fallback = ""]) => [name, ...codesIn(fallback)])).toEqual(reference);
  });

  test.each(readmes)("%s has every prompt token of the sandbox", (file) => {
    const tokens = [...read("src/providers/sandbox/server.ts").matchAll(/includes\("(\[\[\w+\]\])"\)/g)].map(
      ([, token]) => token ?? "",
    );
    expect(tokens.length).toBeGreaterThan(3);
    for (const token of [...tokens, "[[slow:SECONDS]]"]) expect(read(file)).toContain(`\`${token}\``);
  });
});

test("the hero picture is what the sandbox draws, and not heavy", async () => {
  const file = Bun.file(join(root, "docs", "pictures", "hero.png"));
  expect(file.size).toBeLessThan(600_000);
  const head = new DataView(await file.slice(0, 24).arrayBuffer());
  expect([head.getUint32(16), head.getUint32(20)]).toEqual([1792, 1024]);
});
