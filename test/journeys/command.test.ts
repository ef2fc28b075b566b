/** The command line beside the server: help and usage errors, settings from `.env`, `models`, `keys`. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command, type CommanderError } from "commander";
import { addDoctor } from "../../src/commands/doctor.ts";
import { addGenerate } from "../../src/commands/generate.ts";
import { addKeys } from "../../src/commands/keys.ts";
import { addModels } from "../../src/commands/models.ts";
import { addServe } from "../../src/commands/serve.ts";
import { startRouter } from "../router.ts";
import { emptyFolder, run, runJson, start } from "./child.ts";

// Every command is a process of its own, and the machine may be busy.
setDefaultTimeout(60_000);

interface KeyJson {
  key?: string;
  hash: string;
  name: string;
  type: string;
  disabled: boolean;
  expires_at: string | null;
}

/** What commander itself answers, without a process each. */
async function parse(args: string[]): Promise<{ code: string; out: string; err: string }> {
  const said = { out: "", err: "" };
  const program = new Command("arouter").exitOverride().configureOutput({
    writeOut: (text) => {
      said.out += text;
    },
    writeErr: (text) => {
      said.err += text;
    },
  });
  for (const add of [addServe, addGenerate, addKeys, addModels, addDoctor]) add(program);
  const error = await program.parseAsync(args, { from: "user" }).then(
    () => null,
    (thrown: unknown) => thrown as CommanderError,
  );
  return { code: error?.code ?? "ran", ...said };
}

describe("usage", () => {
  test.each([
    "serve",
    "generate",
    "models",
    "doctor",
    "keys",
    "keys create",
    "keys list",
    "keys disable",
    "keys delete",
  ])("%s explains itself with examples", async (command) => {
    const { code, out } = await parse([...command.split(" "), "--help"]);
    expect(code).toBe("commander.helpDisplayed");
    expect(out).toContain(`Usage: arouter ${command} [`);
    expect(out).toContain("Examples:\n  ");
    for (const [, named] of out.matchAll(/^ {2}(?:\S+=\S+ )*arouter (.*)$/gm)) expect(named).toStartWith(command);
  });

  test.each([
    [["models", "--bogus"], "unknown option '--bogus'"],
    [["generate"], "missing required argument 'prompt'"],
    [["generate", "x", "-n", "0"], "whole number"],
    [["generate", "x", "--param", "seed"], "name=value"],
    [["generate", "x", "--live", "--sandbox"], "cannot be used with"],
    [["keys", "create"], "--name"],
    [["keys", "create", "--name", " "], "must not be empty"],
    [["keys", "create", "--name", "x", "--type", "root"], "Allowed choices are live, test, management"],
    [["keys", "create", "--name", "x", "--expires-at", "2027-01-31T00:00:00"], "with an offset"],
    [["keys", "create", "--name", "x", "--expires-at", "2027-02-31"], "ISO 8601"],
  ])("%j is refused", async (args, message) => {
    const { code, out, err } = await parse(args);
    expect(code).toStartWith("commander.");
    expect(err).toContain(message);
    expect(out).toBe("");
  });

  test("the program itself has help, and says usage errors on standard error with exit code 1", async () => {
    const cwd = emptyFolder();
    const help = await run(["--help"], { cwd });
    expect(help).toMatchObject({ code: 0, stderr: "" });
    expect(help.stdout).toContain("Examples:\n  arouter serve\n");
    const bogus = await run(["bogus"], { cwd });
    expect(bogus).toMatchObject({ code: 1, stdout: "" });
    expect(bogus.stderr).toContain("unknown command 'bogus'");
    expect(await run(["keys", "disable"], { cwd })).toMatchObject({ code: 1, stdout: "" });
  });

  test("a wrong setting and a port in use are said in one line", async () => {
    const cwd = emptyFolder();
    const wrong = await run(["serve"], { cwd, env: { AROUTER_KEEP_PROMPTS: "sometimes" } });
    expect(wrong).toMatchObject({ code: 1, stdout: "" });
    expect(wrong.stderr).toMatch(/^arouter: Setting AROUTER_KEEP_PROMPTS: .*\n$/);
    const router = await startRouter();
    try {
      const taken = await run(["serve"], { cwd, env: { PORT: new URL(router.url).port } });
      expect(taken).toMatchObject({ code: 1, stdout: "" });
      expect(taken.stderr).toMatch(/^arouter: .*EADDRINUSE.*\n$/);
    } finally {
      await router.remove();
    }
  });

  test("a .env file in the working folder is read; the environment wins", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, ".env"), "AROUTER_DATA=from-file\nOPENAI_API_KEY=sk-from-file\nPORT=0\n");
    await runJson(["keys", "create", "--name", "x"], { cwd });
    expect(existsSync(join(cwd, "from-file", "arouter.db"))).toBe(true);
    const { stdout } = await run(["models"], { cwd });
    expect(stdout).toMatch(/openai\/dall-e-3 +openai +yes/);
    expect(await runJson<unknown>(["keys", "list"], { cwd, env: { AROUTER_DATA: "elsewhere" } })).toEqual([]);
  });

  test("a signal that comes with the first printed line still ends the server with 0", async () => {
    const server = start(["serve"], { cwd: emptyFolder(), env: { PORT: "0" } });
    await server.says("serves on http://127.0.0.1:");
    server.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);
  });

  test("the launcher passes arguments, exit codes and signals on", async () => {
    const cwd = emptyFolder();
    const node = Bun.which("node") ?? "node";
    const program = [node, join(import.meta.dir, "..", "..", "bin", "arouter.mjs")];
    const env = { PATH: process.env.PATH ?? "", PORT: "0" };
    expect(await run(["models", "--bogus"], { cwd, program, env })).toMatchObject({ code: 1, stdout: "" });
    const server = start(["serve"], { cwd, program, env });
    await server.says("serves on http://127.0.0.1:");
    const url = /http:\S+/.exec(server.output().stdout)?.[0];
    server.kill("SIGTERM");
    expect((await server.finished).code).toBe(0);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});

test("models lists the catalogue as /v1/models does", async () => {
  const cwd = emptyFolder();
  const router = await startRouter();
  try {
    const listed = (await (await router.get("/v1/models")).json()) as { data: unknown[] };
    expect(await runJson<unknown>(["models"], { cwd })).toEqual(listed.data);
  } finally {
    await router.remove();
  }
  const { stdout } = await run(["models"], { cwd, env: { REPLICATE_API_TOKEN: "r8_x" } });
  expect(stdout).toMatch(/^MODEL +PROVIDER +CONFIGURED +ENDS +OPERATIONS +PRICE\n/);
  expect(stdout).toMatch(/black-forest-labs\/flux-1-pro +replicate +yes +generate +0\.05 \/ image\n/);
  expect(stdout).toMatch(/openai\/dall-e-3 +openai +no +2026-05-12/);
});

describe("keys", () => {
  test("what the command changes acts at once on a running server", async () => {
    const router = await startRouter();
    const cwd = emptyFolder();
    const env = { AROUTER_DATA: router.dataFolder };
    try {
      const made = await runJson<KeyJson>(["keys", "create", "--name", "shop", "--type", "test"], { cwd, env });
      expect(made).toMatchObject({ name: "shop", type: "test", disabled: false, expires_at: null });
      expect(made.key).toMatch(/^lr_test_\w{32}$/);
      const status = async (key: string | undefined) => (await router.get("/v1/models", key)).status;
      expect(await status(made.key)).toBe(200);

      const listed = await runJson<KeyJson[]>(["keys", "list"], { cwd, env });
      expect(listed.map(({ name }) => name)).toContain("shop");
      expect(listed).toHaveLength(4);
      expect(JSON.stringify(listed)).not.toContain(made.key);

      expect(await runJson<unknown>(["keys", "disable", "shop"], { cwd, env })).toEqual({
        hash: made.hash,
        name: "shop",
        disabled: true,
      });
      const disabled = await router.get("/v1/models", made.key);
      expect([disabled.status, ((await disabled.json()) as { code: string }).code]).toEqual([401, "key_disabled"]);

      expect(await runJson<unknown>(["keys", "delete", made.hash], { cwd, env })).toMatchObject({ deleted: true });
      const deleted = await router.get("/v1/models", made.key);
      expect([deleted.status, ((await deleted.json()) as { code: string }).code]).toEqual([401, "invalid_api_key"]);
      expect(await runJson<KeyJson[]>(["keys", "list"], { cwd, env })).toHaveLength(3);
    } finally {
      await router.remove();
    }
  });

  test("a name that no key or several keys have changes nothing", async () => {
    const cwd = emptyFolder();
    const nobody = await run(["keys", "disable", "nobody"], { cwd });
    expect(nobody).toMatchObject({ code: 1, stdout: "" });
    expect(nobody.stderr).toBe("arouter: No key has the hash or name 'nobody'. (not_found)\n");
    for (const type of ["live", "test"]) await runJson(["keys", "create", "--name", "twin", "--type", type], { cwd });
    const { code, stdout, stderr } = await run(["keys", "disable", "twin"], { cwd });
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain("2 keys are named 'twin'; use the hash (see `keys list`).");
    const listed = await runJson<KeyJson[]>(["keys", "list"], { cwd });
    expect(listed.map(({ disabled }) => disabled)).toEqual([false, false]);
    await runJson(["keys", "disable", listed[0]?.hash ?? ""], { cwd });
    const { stdout: table } = await run(["keys", "list"], { cwd });
    expect(table).toMatch(/^NAME +TYPE +KEY +STATE +USED +LIMIT +LEFT +CREATED +HASH\n/);
    expect(table.match(/ (active|disabled) /g)?.sort()).toEqual([" active ", " disabled "]);
  });

  test("an expiry is kept as given, in UTC", async () => {
    const cwd = emptyFolder();
    const until = "2030-01-31T12:00:00+08:00";
    const made = await runJson<KeyJson>(["keys", "create", "--name", "x", "--expires-at", until], { cwd });
    expect(made.expires_at).toBe("2030-01-31T04:00:00.000Z");
  });
});
