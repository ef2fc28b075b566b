/** What the documentation tells people to run is run: the marked blocks of READMEs and guides, and every example. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { type Block, blocksOf, documents, read, root } from "./documents.ts";

/** As the documents have it. */
const documentedOrigin = "http://127.0.0.1:8787";
const python = await pythonState();
const timeoutMs = 30_000;

let router: TestRouter;
let folder: string;
beforeAll(async () => {
  router = await startRouter();
  folder = mkdtempSync(join(tmpdir(), "arouter-docs-"));
  // Somebody who has installed the clients in a folder of their own.
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});
afterAll(async () => {
  await router.remove();
  rmSync(folder, { recursive: true });
});

interface Ran {
  exitCode: number;
  output: string;
  errors: string;
}

async function execute(command: string[], cwd = folder): Promise<Ran> {
  const child = Bun.spawn(command, {
    cwd,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      AROUTER_URL: router.url,
      AROUTER_API_KEY: router.keys.test,
      AROUTER_DATA: router.dataFolder,
    },
    stdout: "pipe",
    stderr: "pipe",
  });
  const [output, errors, exitCode] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { exitCode, output, errors };
}

/** Every document's blocks run one after another in a folder of their own, as a reader's would. */
function runBlock(block: Block): Promise<Ran> {
  const own = join(folder, block.file.replaceAll("/", "-"));
  mkdirSync(own, { recursive: true });
  const code = block.code.replaceAll(documentedOrigin, router.url);
  switch (block.language) {
    case "bash": {
      // `npx arouter` starts bin/arouter.mjs, which starts this. Only npx itself is left out: it could reach for a registry.
      const arouter = `'${process.execPath}' '${join(root, "src", "main.ts")}'`;
      return execute(["bash", "-euo", "pipefail", "-c", code.replaceAll(/\bnpx arouter\b/g, () => arouter)], own);
    }
    case "ts": {
      writeFileSync(join(own, "block.ts"), code);
      return execute([process.execPath, "block.ts"], own);
    }
    case "python": {
      writeFileSync(join(own, "block.py"), code);
      return execute(["python3", ...(python === "with openai" ? [] : ["-m", "py_compile"]), "block.py"], own);
    }
    default:
      throw new Error(`${block.file}:${block.line}: no way to run ${block.language}`);
  }
}

/** Whether some line of the output is the documented one, `…` standing for anything. */
function prints(output: string, line: string): boolean {
  const literal = line
    .trim()
    .split("…")
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(literal.join(".*")).test(output);
}

async function pythonState(): Promise<"absent" | "bare" | "with openai"> {
  const runs = (args: string[]) => {
    try {
      return Bun.spawnSync(["python3", ...args]).success;
    } catch {
      return false;
    }
  };
  if (!runs(["--version"])) return "absent";
  return runs(["-c", "import openai"]) ? "with openai" : "bare";
}

const runnable = documents.filter((file) => /^README|^docs\/guides\//.test(file));

describe.each(runnable)("%s", (file) => {
  const blocks = blocksOf(file);
  for (const [position, block] of blocks.entries()) {
    if (block.mark !== "test") continue;
    const next = blocks[position + 1];
    const documented = next?.mark === "output" ? next.code.replaceAll("\t", "").split("\n") : [];
    const unable = block.language === "python" && python === "absent";
    test.skipIf(unable)(
      `line ${block.line}: the ${block.language} block does what it says`,
      async () => {
        const { exitCode, output, errors } = await runBlock(block);
        expect({ exitCode, errors: exitCode === 0 ? "" : errors + output }).toEqual({ exitCode: 0, errors: "" });
        for (const line of documented) {
          const wanted = line.replaceAll(documentedOrigin, router.url);
          expect({ wanted, found: prints(output, wanted) || output }).toEqual({ wanted, found: true });
        }
        if (documented.length === 0) expect(output).not.toContain('"error":{');
      },
      timeoutMs,
    );
  }

  test("gives no output without the block that prints it", () => {
    for (const [position, block] of blocks.entries()) {
      if (block.mark === "output") expect(blocks[position - 1]?.mark).toBe("test");
      expect(["", "test", "output", "model"]).toContain(block.mark);
    }
  });
});

test("both READMEs run the quick start, both clients and the command", () => {
  for (const file of ["README.md", "README.zh-Hant.md"]) {
    const run = blocksOf(file).filter(({ mark }) => mark === "test");
    expect(new Set(run.map(({ language }) => language))).toEqual(new Set(["bash", "ts", "python"]));
    expect(run.length).toBeGreaterThanOrEqual(6);
  }
});

test(
  "model files in the guides load, and answer in the sandbox",
  async () => {
    const models = documents.flatMap((file) => blocksOf(file).filter(({ mark }) => mark === "model"));
    expect(models.length).toBeGreaterThan(0);
    const own = join(folder, "my-models");
    mkdirSync(own);
    models.forEach(({ code }, index) => {
      writeFileSync(join(own, `${index}.json`), code);
    });
    expect(loadCatalogue({ folder: own }).models.length).toBe(loadCatalogue().models.length + models.length);
    const other = await startRouter({ env: { AROUTER_MODELS: own } });
    for (const { code } of models) {
      const model = JSON.parse(code).id;
      const response = await other.generate({ model, prompt: "A lighthouse" }, { key: other.keys.test });
      expect({ model, status: response.status }).toEqual({ model, status: 200 });
    }
    await other.remove();
  },
  timeoutMs,
);

test("the model files among the examples are the ones that the guides show", async () => {
  const shown = documents
    .flatMap((file) => blocksOf(file).filter(({ mark }) => mark === "model"))
    .map(({ code }) => JSON.parse(code));
  const files = (await readdir(join(root, "examples"))).filter((name) => name.endsWith(".json"));
  expect(files.length).toBeGreaterThan(0);
  for (const name of files) expect(shown).toContainEqual(JSON.parse(read(join("examples", name))));
});

describe("examples", async () => {
  const commands: Record<string, (path: string) => string[]> = {
    sh: (path) => ["bash", path],
    ts: (path) => [process.execPath, path],
    py: (path) => (python === "with openai" ? ["python3", path] : ["python3", "-m", "py_compile", path]),
  };
  for (const name of (await readdir(join(root, "examples"))).sort()) {
    // Model files are loaded, and answer, where a guide shows them.
    if (name === "__pycache__" || name.endsWith(".json")) continue;
    const command = commands[name.split(".").at(-1) ?? ""];
    test.skipIf(name.endsWith(".py") && python === "absent")(
      `${name} runs against a router`,
      async () => {
        expect(command).toBeDefined();
        const { exitCode, output, errors } = await execute(command?.(join(root, "examples", name)) ?? []);
        expect({ exitCode, errors: exitCode === 0 ? "" : errors }).toEqual({ exitCode: 0, errors: "" });
        if (name.endsWith(".py") && python !== "with openai") return;
        expect(output).toMatch(
          /\/v1\/images\/files\/img-\w+\.png\?expires=\d+&signature=|^image\/(?:png|webp), \d{4,} bytes\n/,
        );
      },
      timeoutMs,
    );
  }
});
