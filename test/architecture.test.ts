/** The rules of DESIGN.md "Layout" and "Rules of the house", read from the source itself. */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

const source = resolve(import.meta.dir, "../src");

interface SourceFile {
  /** Below src/, e.g. `http/app.ts`. */
  path: string;
  /** `http`, or the file itself where it lies at the top. */
  area: string;
  lines: number;
  /** Without comments. */
  code: string;
  imports: string[];
  /** Without `import type`, which is gone before anything runs. */
  valueImports: string[];
}

const files: SourceFile[] = readdirSync(source, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
  .map((entry) => {
    const file = join(entry.parentPath, entry.name);
    const path = relative(source, file);
    const text = readFileSync(file, "utf8");
    const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(?<![:"'`])\/\/.*$/gm, "");
    return {
      path,
      area: areaOf(path),
      lines: text.split("\n").length - 1,
      code,
      imports: importsOf(code, file),
      valueImports: importsOf(code.replace(/^(import|export) type [^;]*;/gm, ""), file),
    };
  });

function areaOf(path: string): string {
  return path.includes("/") ? (path.split("/")[0] ?? "") : path;
}

/** Packages by name, our own files as paths below src/. */
function importsOf(code: string, file: string): string[] {
  const found = code.matchAll(
    /^\s*(?:import|export)\b[^;"]*?\bfrom\s+"([^"]+)"|\bimport\(\s*"([^"]+)"|^\s*import\s+"([^"]+)"/gm,
  );
  return [...found].map(([, from, dynamic, bare]) => {
    const target = from ?? dynamic ?? bare ?? "";
    return target.startsWith(".") ? relative(source, resolve(dirname(file), target)) : target;
  });
}

const isOwn = (target: string) => target.endsWith(".ts") && !target.startsWith("..");

/** `http → generation → {catalogue, providers, images, accounts} → {errors, ports, …}`; what stands here may be imported. */
const ground = ["csv.ts", "iso-time.ts", "errors.ts", "ports.ts", "money.ts", "ids.ts", "database.ts"];
const middle = ["catalogue", "providers", "images", "accounts"];
const mayImport: Record<string, string[]> = {
  "errors.ts": [],
  "ports.ts": [],
  "money.ts": [],
  // What its tables look like is said where they are used.
  "database.ts": ["webhooks/tables.ts"],
  "version.ts": [],
  "ids.ts": ["ports.ts"],
  "csv.ts": ["money.ts"],
  "iso-time.ts": [],
  // One file more: the client's pictures among a call's parameters.
  catalogue: [...ground, "providers/input.ts"],
  accounts: ground,
  // Nothing of money, databases or HTTP servers; not even our error table: failures have classes of their own.
  providers: ["ports.ts"],
  // Two files more: the interfaces that `images/` implements for the transport.
  images: [...ground, "providers/intake.ts", "providers/input.ts"],
  // The settings as a type, and the providers' part of them.
  generation: [...ground, ...middle, "webhooks", "config.ts"],
  // A recipient is as foreign as a result link: the same rules say which addresses may be called.
  webhooks: [...ground, "accounts/keys.ts", "providers/address.ts"],
  http: [...ground, ...middle, "generation", "webhooks", "welcome.ts"],
  storage: [...ground, "webhooks/migration.ts"],
  observe: ["ports.ts"],
  "config.ts": ["providers"],
  "welcome.ts": ["database.ts", "generation"],
};
/** Where the parts are put together: these may know everything. */
const assembly = ["serve.ts", "parts.ts", "main.ts", "commands"];

describe("imports", () => {
  test("the scanner sees them", () => {
    const app = files.find(({ path }) => path === "http/app.ts");
    expect(app?.imports).toEqual(expect.arrayContaining(["hono", "errors.ts", "http/files.ts"]));
    expect(files.length).toBeGreaterThan(60);
  });

  test("every place in src/ has its rule", () => {
    const known = [...Object.keys(mayImport), ...assembly];
    expect([...new Set(files.map(({ area }) => area))].filter((area) => !known.includes(area))).toEqual([]);
  });

  test("point one way", () => {
    const wrong = files.flatMap(({ path, area, imports }) => {
      const allowed = mayImport[area];
      if (allowed === undefined) return [];
      const other = imports.filter((target) => isOwn(target) && areaOf(target) !== area);
      return other
        .filter((target) => !allowed.includes(target) && !allowed.includes(areaOf(target)))
        .map((target) => `${path} → ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  test("only what puts the parts together knows storage/", () => {
    const wrong = files.filter(
      ({ area, imports }) =>
        area !== "storage" && !assembly.includes(area) && imports.some((target) => areaOf(target) === "storage"),
    );
    expect(wrong.map(({ path }) => path)).toEqual([]);
  });

  test("make no circle of files, types aside", () => {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (path: string, way: string[]) => {
      if (way.includes(path)) circles.push([...way.slice(way.indexOf(path)), path].join(" → "));
      if (done.has(path) || way.includes(path)) return;
      for (const target of byPath.get(path)?.valueImports ?? []) if (byPath.has(target)) visit(target, [...way, path]);
      done.add(path);
    };
    for (const { path } of files) visit(path, []);
    expect(circles).toEqual([]);
  });

  /** Packages that belong to one place; the rest (zod, node:path, node:crypto) may be used anywhere. */
  const homes: Record<string, string[]> = {
    hono: ["http"],
    kysely: ["database.ts", "storage", "accounts", "generation", "webhooks"],
    "bun:sqlite": ["storage"],
    pino: ["observe"],
    commander: ["main.ts", "commands"],
    "ipaddr.js": ["providers"],
    "prom-client": ["observe"],
    "@fastify/busboy": ["http"],
    "node:http": [],
    "node:https": [],
    "node:net": ["commands"],
    "node:tls": [],
  };
  test("of packages stay where the packages live", () => {
    const wrong = files.flatMap(({ path, area, imports }) =>
      imports
        .filter((target) => !isOwn(target))
        .map((target) => Object.keys(homes).find((name) => target === name || target.startsWith(`${name}/`)))
        .filter((name) => name !== undefined && !homes[name]?.includes(area))
        .map((name) => `${path} → ${name}`),
    );
    expect(wrong).toEqual([]);
  });
});

describe("forbidden calls", () => {
  /** What, why it is forbidden, and its homes: areas or files. The command talks to a person at a terminal. */
  const rules: Array<[call: RegExp, why: string, homes: string[]]> = [
    [
      /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/,
      "time comes in through the Clock port",
      ["ports.ts", "commands"],
    ],
    [/\bMath\.random\(/, "randomness comes in through the Random port", []],
    [
      /\bcrypto\.(getRandomValues|randomUUID)\(|\brandom(Bytes|UUID|Int)\(/,
      "randomness comes in through the Random port",
      ["ports.ts", "commands"],
    ],
    [/\bprocess\.env\b|\bBun\.env\b/, "every setting is in config.ts, read once", ["main.ts", "commands"]],
    [
      /(?<![.\w])fetch\(|\bglobalThis\.fetch\b|\bBun\.fetch\(/,
      "only the transport calls, with the fetch it is given",
      ["commands"],
    ],
    [
      /\b(setTimeout|setInterval)\(/,
      "waiting goes through the Clock port",
      // An attempt's life, and an upstream that is played slow, are real time whatever the clock says.
      ["ports.ts", "providers/transport.ts", "providers/sandbox/server.ts", "commands"],
    ],
    [/\bconsole\.\w+\(?/, "logs go through the Logger port", ["serve.ts", "main.ts", "commands"]],
    [/\bprocess\.(exit|on)\(/, "only the command ends the program", ["main.ts", "commands"]],
    [
      /\bBun\.[A-Za-z]/,
      "the rest is plain TypeScript",
      // The sandbox draws its pictures with the runtime's encoders.
      [
        "serve.ts",
        "storage",
        "images",
        "providers/transport.ts",
        "providers/sandbox",
        "providers/sandbox.ts",
        "commands",
      ],
    ],
  ];
  for (const [call, why, homes] of rules) {
    test(`${call.source}: ${why}`, () => {
      const isHome = ({ path, area }: SourceFile) =>
        homes.some((home) => home === area || home === path || path.startsWith(`${home}/`));
      const wrong = files.filter((file) => !isHome(file)).filter(({ code }) => call.test(code));
      expect(wrong.map(({ path }) => path)).toEqual([]);
    });
  }
});

describe("shape", () => {
  /** A file beyond 300 lines asks for a reason. */
  const long: Record<string, string> = {};

  test("no file is longer than 300 lines without a reason", () => {
    const over = files.filter(({ lines }) => lines > 300).map(({ path }) => path);
    expect(over.filter((path) => !(path in long))).toEqual([]);
    expect(Math.max(...files.map(({ lines }) => lines))).toBeLessThan(400);
  });

  test("no reason is left over", () => {
    const lines = (path: string) => files.find((file) => file.path === path)?.lines ?? 0;
    expect(Object.keys(long).filter((path) => lines(path) <= 300)).toEqual([]);
  });

  test("three levels at most; the sandbox's assets are data", () => {
    const deep = files.map(({ path }) => path).filter((path) => path.split("/").length > 3);
    expect(deep.filter((path) => !path.startsWith("providers/sandbox/assets"))).toEqual([]);
  });

  test("an adapter touches neither network, clock nor money: it is data and pure functions", () => {
    const others = [
      "transport",
      "exchange",
      "download",
      "inline-json",
      "intake",
      "sandbox",
      "index",
      "address",
      "provider",
    ];
    const notAdapters = new RegExp(
      `^providers/(${[...others, "request-body", "event-stream", "follow-events", "pictures", "turns"].join("|")})[\\w-]*\\.ts$`,
    );
    const adapters = files.filter(({ path }) => /^providers\/[\w-]+\.ts$/.test(path) && !notAdapters.test(path));
    expect(adapters.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["providers/openai.ts", "providers/bfl.ts", "providers/replies.ts"]),
    );
    const isData = (target: string) =>
      target === "providers/provider.ts" || adapters.some(({ path }) => path === target);
    for (const { code, imports } of adapters) {
      expect(code).not.toMatch(/\basync\b|\bawait\b|\bPromise\b|new Date\b/);
      const own = imports.filter(isOwn);
      expect(own.filter((target) => !isData(target))).toEqual([]);
    }
  });
});
