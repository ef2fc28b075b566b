/** `arouter generate` in its own process: sandbox, real providers, files, interruptions, a server beside it. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "../../src/images/inspect.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { emptyFolder, run, runJson, start } from "./child.ts";

// Every command is a process of its own, and the machine may be busy.
setDefaultTimeout(60_000);

interface GenerationJson {
  id: string;
  model: string;
  provider: string;
  cost_usd: number;
  files: string[];
  warnings: string[];
}

const picture = (...path: string[]) => inspect(readFileSync(join(...path)));

/** Opens the command's own data folder with a server, as the next `npm start` would. */
async function withServer<T>(cwd: string, look: (router: TestRouter) => Promise<T>): Promise<T> {
  const router = await startRouter({ dataFolder: join(cwd, "data") });
  try {
    return await look(router);
  } finally {
    await router.stop();
  }
}

async function generationOf(router: TestRouter, id: string): Promise<Record<string, unknown>> {
  const response = await router.get(`/v1/images/generations/${id}`, router.keys.management);
  return (await response.json()) as Record<string, unknown>;
}

test("without a provider it draws in the sandbox, says so, and leaves the first start its keys", async () => {
  const cwd = emptyFolder();
  const { code, stdout, stderr } = await run(["generate", "A lighthouse, 燈塔!"], { cwd });
  expect({ code, stdout }).toEqual({ code: 0, stdout: "a-lighthouse-燈塔.png\n" });
  const [notice, begin, end, ...more] = stderr.trimEnd().split("\n");
  expect(notice).toBe("Sandbox picture: no provider of openai/dall-e-3 is configured; set OPENAI_API_KEY.");
  expect(begin).toMatch(/^Generating with openai\/dall-e-3 at sandbox, free, gen-\w{26}$/);
  expect(end).toMatch(/^Done in \d+\.\d s: free \(sandbox, gen-\w{26}\)$/);
  expect(more).toEqual([]);
  expect(picture(cwd, "a-lighthouse-燈塔.png")).toEqual({ contentType: "image/png", width: 1024, height: 1024 });

  expect(await runJson<unknown>(["keys", "list"], { cwd })).toEqual([]);
  const touched = await run(["keys", "delete", "command-line-test"], { cwd });
  expect([touched.code, touched.stderr]).toEqual([1, expect.stringContaining("not_found")]);
  await withServer(cwd, async ({ printed, ...router }) => {
    expect(printed).toContain("These keys are shown once, now:");
    const id = /gen-\w{26}/.exec(begin ?? "")?.[0] ?? "";
    expect(await generationOf({ printed, ...router }, id)).toMatchObject({ status: "succeeded", cost_usd: 0 });
    // The row behind it belongs to nobody: its hash is no secret's hash, so it does not let anybody in.
    expect((await router.get("/v1/models", "command-line-test")).status).toBe(401);
  });
});

test("--json prints the generation alone; parameters are JSON or text; several pictures are numbered", async () => {
  const cwd = emptyFolder();
  mkdirSync(join(cwd, "pictures"));
  const parameters = ["--param", "aspect_ratio=16:9", "--param", "seed=7", "--param", "output_format=jpg"];
  const made = await runJson<GenerationJson>(
    ["generate", "燈塔", "-m", "black-forest-labs/flux-1-pro", "-n", "2", "-o", "pictures/", ...parameters],
    { cwd },
  );
  expect(made).toEqual({
    id: expect.stringMatching(/^gen-\w{26}$/),
    model: "black-forest-labs/flux-1-pro",
    provider: "sandbox",
    cost_usd: 0,
    files: ["pictures/燈塔-1.jpg", "pictures/燈塔-2.jpg"],
    warnings: [],
  });
  for (const file of made.files) expect(picture(cwd, file)).toMatchObject({ contentType: "image/jpeg" });
  const { requested } = await withServer(cwd, (router) => generationOf(router, made.id));
  expect(requested).toMatchObject({ aspect_ratio: "16:9", seed: 7, n: 2, prompt: "燈塔" });

  const short = await runJson<GenerationJson>(
    ["generate", "[[short]]", "-m", "openai/dall-e-2", "-n", "2", "--size", "256x256", "-o", "one.png"],
    { cwd },
  );
  expect(short).toMatchObject({ files: ["one-1.png"], warnings: ["short_delivery"] });
});

describe("with a provider", () => {
  let openai: OpenAiDouble;
  let env: Record<string, string>;
  beforeAll(() => {
    openai = startOpenAi();
    env = { OPENAI_API_KEY: openai.key, OPENAI_BASE_URL: openai.url };
  });
  afterAll(() => openai.stop());

  test("it is live, and the cost is shown", async () => {
    const cwd = emptyFolder();
    const live = await run(["generate", "a lighthouse", "-o", "a.png"], { cwd, env });
    expect(live.stderr).toContain("at openai, at most $0.04, gen-");
    expect(live.stderr).toMatch(/Done in .*: \$0\.04 \(openai, gen-/);
    expect(picture(cwd, "a.png")).toMatchObject({ width: 1024, height: 1024 });
    expect(openai.billed).toBe(1);
    const paid = await runJson<GenerationJson>(["generate", "x", "--live", "--quality", "hd", "-o", "b.png"], {
      cwd,
      env,
    });
    expect(paid).toMatchObject({ provider: "openai", cost_usd: 0.08, files: ["b.png"] });
    expect(openai.lastRequest?.body).toMatchObject({ quality: "hd", prompt: "x" });
    expect(readdirSync(cwd).sort()).toEqual(["a.png", "b.png", "data"]);
  });

  test("--sandbox asks nobody, --live never falls back", async () => {
    const cwd = emptyFolder();
    const before = openai.requests.length;
    const free = await runJson<GenerationJson>(["generate", "x", "--sandbox"], { cwd, env });
    expect([free.provider, openai.requests.length - before]).toEqual(["sandbox", 0]);
    const none = await run(["generate", "x", "--live", "-o", "none.png"], { cwd });
    expect(none).toMatchObject({ code: 1, stdout: "" });
    expect(none.stderr).toMatch(
      /^arouter: No provider of 'openai\/dall-e-3' .*OPENAI_API_KEY.*\(provider_not_configured\)\n$/,
    );
    expect(existsSync(join(cwd, "none.png"))).toBe(false);
  });

  test("files that are in the way or cannot be written stop it before anything is sent", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "old.png"), "precious");
    writeFileSync(join(cwd, "old-2.png"), "precious");
    symlinkSync(join(cwd, "nowhere"), join(cwd, "link.png"));
    const before = openai.requests.length;
    const refused: Array<[args: string[], message: string]> = [
      [["-o", "old.png"], "'old.png' exists already. Use --force"],
      [["-o", "old.png", "-n", "2", "-m", "openai/dall-e-2"], "'old-2.png' exists already."],
      [["-o", "link.png"], "'link.png' exists already."],
      [["-o", "missing/x.png"], "The folder 'missing' does not exist."],
      [["-o", "old.png/x.png"], "Cannot write 'old.png/x.png' (ENOTDIR)."],
      [["-o", "/proc/x.png"], "The folder '/proc' does not exist."],
      [["--param", "size=1x1", "--size", "1x1"], "'size' is given twice."],
    ];
    const answers = await Promise.all(refused.map(([args]) => run(["generate", "x", ...args], { cwd, env })));
    for (const [index, answer] of answers.entries()) {
      expect(answer).toMatchObject({ code: 1, stdout: "" });
      expect(answer.stderr).toContain(refused[index]?.[1] ?? "");
    }
    expect(openai.requests.length - before).toBe(0);
    expect(readFileSync(join(cwd, "old.png"), "utf8")).toBe("precious");

    await runJson(["generate", "x", "-o", "old.png", "--force"], { cwd, env });
    expect(picture(cwd, "old.png")).toMatchObject({ width: 1024 });
    expect(readdirSync(cwd).sort()).toEqual(["data", "link.png", "old-2.png", "old.png"]);
  });

  test("a name that is taken while the picture is made is left alone", async () => {
    const cwd = emptyFolder();
    openai.next({ kind: "delay", ms: 1_500 });
    const child = start(["generate", "x", "-o", "a.png", "--json"], { cwd, env });
    await child.says("Generating with");
    writeFileSync(join(cwd, "a.png"), "precious");
    const { stdout, code } = await child.finished;
    const [file = ""] = (JSON.parse(stdout) as GenerationJson).files;
    expect([code, file]).toEqual([0, expect.stringMatching(/^a\.\w{8}\.png$/)]);
    expect(picture(cwd, file)).toMatchObject({ width: 1024 });
    expect(readFileSync(join(cwd, "a.png"), "utf8")).toBe("precious");
  });
});

test("a failure is told with its code, and leaves no file", async () => {
  const cwd = emptyFolder();
  const refused = await run(["generate", "[[refuse]]", "-o", "a.png", "--json"], { cwd });
  expect(refused).toMatchObject({ code: 1, stdout: "" });
  expect(refused.stderr).toMatch(
    /Failed after .* nothing was charged: gen-\w+\narouter: .*\(content_policy_violation\)\n$/,
  );
  const unknown = await run(["generate", "x", "-m", "openai/nothing"], { cwd });
  expect(unknown).toMatchObject({ code: 1, stdout: "" });
  expect(unknown.stderr).toContain("(model_not_found)");
  expect(readdirSync(cwd)).toEqual(["data"]);
});

// These mostly wait, so they wait side by side.
describe.concurrent("while it runs", () => {
  test("the first Ctrl-C waits for the picture", async () => {
    const cwd = emptyFolder();
    const child = start(["generate", "[[slow:2]]", "-o", "a.png"], { cwd });
    await child.says("Generating with");
    child.kill("SIGINT");
    await child.says("Waiting for the picture");
    const { code, stdout } = await child.finished;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "a.png\n" });
    expect(picture(cwd, "a.png")).toMatchObject({ width: 1024 });
  });

  test("a second one leaves the generation to the next server, which ends it", async () => {
    const cwd = emptyFolder();
    const child = start(["generate", "[[slow:60]]"], { cwd });
    await child.says("Generating with");
    child.kill("SIGINT");
    // One Ctrl-C reaches the program up to three times: that is no second one.
    await child.says("Waiting for the picture");
    child.kill("SIGINT");
    await Bun.sleep(1_200);
    expect(child.output().stderr).not.toContain("Left");
    child.kill("SIGINT");
    const { code, stdout, stderr } = await child.finished;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    const id = /Left (gen-\w+) unfinished/.exec(stderr)?.[1] ?? "";
    const ended = await withServer(cwd, async (router) => {
      router.advance(10_000);
      for (;;) {
        const generation = await generationOf(router, id);
        if (generation.status !== "running") return generation;
        await Bun.sleep(100);
      }
    });
    expect(ended).toMatchObject({ status: "failed", cost_usd: 0, error: { code: "upstream_outcome_unknown" } });
  });

  test("SIGTERM waits no longer than a server would", async () => {
    const env = { AROUTER_DRAIN_TIMEOUT_MS: "300" };
    const child = start(["generate", "[[slow:60]]"], { cwd: emptyFolder(), env });
    await child.says("Generating with");
    child.kill("SIGTERM");
    const { code, stderr } = await child.finished;
    expect(code).toBe(143);
    expect(stderr).toContain("SIGTERM: waiting at most 0.3 s for the picture.\nLeft gen-");
  });

  test("a server beside it does not take the running generation over", async () => {
    const router = await startRouter();
    const cwd = emptyFolder();
    // In this server's eyes an unrenewed lease is over three seconds from now, a renewed one never.
    router.advance(4_000);
    try {
      const env = { AROUTER_DATA: router.dataFolder };
      const made = await runJson<GenerationJson>(["generate", "[[slow:4]]"], { cwd, env });
      expect(await generationOf(router, made.id)).toMatchObject({ status: "succeeded" });
    } finally {
      await router.remove();
    }
  });
});
