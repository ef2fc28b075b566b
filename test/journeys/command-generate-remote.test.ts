/** `arouter generate` through a running server, and its display on a terminal. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createProgress } from "../../src/commands/progress.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { emptyFolder, mainFile, run, runJson, start } from "./child.ts";

// Every command is a process of its own, and the machine may be busy.
setDefaultTimeout(60_000);

interface GenerationJson {
  id: string;
  provider: string;
  cost_usd: number;
  files: string[];
  warnings: string[];
}

let openai: OpenAiDouble;
let router: TestRouter;
beforeAll(async () => {
  openai = startOpenAi();
  router = await startRouter({ env: { OPENAI_API_KEY: openai.key, OPENAI_BASE_URL: openai.url } });
});
afterAll(async () => {
  await router.remove();
  await openai.stop();
});

describe("through a server", () => {
  test("it is one of the server's generations, and the key decides what it is", async () => {
    const cwd = emptyFolder();
    // With /v1, as OpenAI's clients have it.
    const live = { AROUTER_URL: `${router.url}/v1/`, AROUTER_API_KEY: router.keys.live };
    const paid = await runJson<GenerationJson>(["generate", "a lighthouse", "-o", "a.png"], { cwd, env: live });
    expect(paid).toMatchObject({ provider: "openai", cost_usd: 0.04, files: ["a.png"], warnings: [] });
    const kept = (await (await router.get(`/v1/images/generations/${paid.id}`)).json()) as { data: { url: string }[] };
    const bytes = await (await fetch(kept.data[0]?.url ?? "")).bytes();
    expect(readFileSync(join(cwd, "a.png")).equals(bytes)).toBe(true);

    const args = ["generate", "[[short]]", "-m", "openai/dall-e-2", "-n", "2", "--size", "256x256"];
    const flags = ["--url", router.url, "--key", router.keys.test];
    const free = await run([...args, ...flags], { cwd, env: live });
    expect(free).toMatchObject({ code: 0, stdout: "short-1.png\n" });
    expect(free.stderr).toMatch(
      /^Generating with openai\/dall-e-2 through http:\S+\nWarning: short_delivery\nDone in .*: free \(sandbox, gen-\w+\)\n$/,
    );
    expect(readdirSync(cwd).sort()).toEqual(["a.png", "short-1.png"]);
  });

  test("errors are the server's own, with their code", async () => {
    const cwd = emptyFolder();
    const ask = (args: string[], env: Record<string, string> = {}) => run(["generate", "x", ...args], { cwd, env });
    const { url, keys } = router;
    const answers = await Promise.all([
      ask(["--url", url, "--key", "lr_live_wrong"]),
      ask(["--url", url, "--key", keys.management]),
      ask(["--url", url, "--key", keys.test, "--size", "1x1"]),
      ask(["--url", url]),
      ask(["--url", url, "--key", keys.test, "--sandbox"]),
      ask(["--url", "http://127.0.0.1:9", "--key", keys.test]),
      ask(["-m", "dall-e-3", "--url", openai.origin, "--key", openai.key]),
      ask(["--url", "localhost:8787", "--key", keys.test]),
      ask(["--key", keys.test], { PORT: "9" }),
    ]);
    expect(answers.map(({ code, stdout }) => [code, stdout])).toEqual(answers.map(() => [1, ""]));
    const said = answers.map(({ stderr }) => stderr.trimEnd().split("\n").at(-1));
    expect(said).toEqual([
      expect.stringContaining("(invalid_api_key)"),
      expect.stringContaining("(wrong_key_type)"),
      expect.stringMatching(/Invalid value: '1x1'.*\(invalid_value\)/),
      expect.stringContaining("set --key or AROUTER_API_KEY"),
      expect.stringContaining("--sandbox and --live are for generating in this process"),
      expect.stringContaining("Nothing answers at http://127.0.0.1:9 (ECONNREFUSED)"),
      expect.stringContaining("answers, but not like an ARouter"),
      expect.stringContaining("'localhost:8787' is not a URL"),
      expect.stringContaining("Nothing answers at http://127.0.0.1:9 (ECONNREFUSED)"),
    ]);
    expect(readdirSync(cwd)).toEqual([]);
    expect(answers.some(({ stderr }) => stderr.includes(keys.test))).toBe(false);
  });

  test("Ctrl-C stops waiting; the server goes on", async () => {
    const cwd = emptyFolder();
    const env = { AROUTER_URL: router.url, AROUTER_API_KEY: router.keys.live };
    openai.next({ kind: "delay", ms: 700 });
    const { billed } = openai;
    const arrived = openai.arrived(openai.requestsAt("create").length + 1);
    const child = start(["generate", "x"], { cwd, env });
    await child.says("Generating with");
    await arrived;
    child.kill("SIGINT");
    const { code, stderr } = await child.finished;
    expect(code).toBe(130);
    expect(stderr).toContain("The server finishes a generation that it has begun");
    await openai.idle();
    expect([openai.billed - billed, openai.lastRequest?.outcome]).toEqual([1, "answered"]);
    expect(readdirSync(cwd)).toEqual([]);
  });
});

describe("progress", () => {
  test("on a terminal one line moves and is gone at the end", async () => {
    const cwd = emptyFolder();
    let shown = "";
    const decoder = new TextDecoder();
    const child = Bun.spawn([process.execPath, mainFile, "generate", "[[slow:1]]", "-o", "a.png"], {
      cwd,
      env: { TERM: "xterm" },
      terminal: {
        cols: 60,
        rows: 20,
        data: (_terminal, data) => {
          shown += decoder.decode(data, { stream: true });
        },
      },
    });
    expect(await child.exited).toBe(0);
    const frames = shown.split("\r\x1b[K").filter((frame) => /^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] Generating with/.test(frame));
    expect(frames.length).toBeGreaterThan(3);
    for (const frame of frames) expect(Bun.stringWidth(frame)).toBeLessThan(60);
    expect(shown.split("\r\x1b[K").at(-1)).toMatch(/^Done in \d\.\d s: free \(sandbox, gen-\w+\)\r\na\.png\r\n$/);
  });

  test("a long line leaves room for the seconds that have passed", async () => {
    let shown = "";
    const write = (text: string) => {
      shown += text;
      return true;
    };
    const progress = createProgress({ write, isTTY: true, columns: 30 } as Parameters<typeof createProgress>[0]);
    progress.show("Generating with an endlessly long name");
    progress.clear();
    expect(shown).toMatch(/ · 0\.0 s/);
    expect(Bun.stringWidth(shown.split("\x1b[K")[1]?.replace("\r", "") ?? "")).toBe(29);
  });
});
