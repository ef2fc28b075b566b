/** `npm run build`: the one file, alone in an empty folder, without Node, Bun or anything else on the PATH. */
import { beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "../../src/images/inspect.ts";
import { type Child, emptyFolder, run, runJson, start } from "./child.ts";

// The build and the program are processes of their own, and the machine may be busy.
setDefaultTimeout(120_000);

const root = join(import.meta.dir, "..", "..");
const folder = emptyFolder();
const alone = { cwd: folder, program: [join(folder, "arouter")] };

beforeAll(async () => {
  const build = await run([join(root, "scripts", "build.ts")], { cwd: root, program: [process.execPath] });
  expect(build).toMatchObject({ code: 0, stderr: "" });
  expect(build.stdout).toMatch(/^dist\/arouter: \d+\.\d MB, built in \d+\.\d s\n$/);
  cpSync(join(root, "dist", "arouter"), join(folder, "arouter"));
});

async function serve(env: Record<string, string>): Promise<{ server: Child; url: string; printed: string }> {
  const server = start(["serve"], { ...alone, env });
  await server.says("ARouter serves on ");
  const printed = server.output().stdout;
  return { server, printed, url: /http:\/\/127\.0\.0\.1:(?!0\b)\d+/.exec(printed)?.[0] ?? "" };
}

async function stop(server: Child): Promise<void> {
  server.kill("SIGTERM");
  expect((await server.finished).code).toBe(0);
}

test("it serves, draws any script, keeps its data beside it, and stops with 0", async () => {
  const { server, url, printed } = await serve({ PORT: "0" });
  const [test, live, management] = ["test", "live", "mgmt"].map(
    (kind) => new RegExp(`lr_${kind}_\\w{32}`).exec(printed)?.[0],
  );
  expect([test, live, management].every((key) => key !== undefined)).toBe(true);
  expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: "ready" });

  const draw = async (prompt: string) => {
    const answer = await fetch(`${url}/v1/images/generations`, {
      method: "POST",
      headers: { authorization: `Bearer ${test}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "openai/dall-e-2", prompt, size: "256x256" }),
    });
    expect(answer.status).toBe(200);
    const { data } = (await answer.json()) as { data: { url: string }[] };
    const link = data[0]?.url ?? "";
    expect(link).toStartWith(`${url}/v1/images/files/img-`);
    const picture = await fetch(link);
    expect([picture.status, picture.headers.get("content-type")]).toEqual([200, "image/png"]);
    const bytes = await picture.bytes();
    expect(inspect(bytes)).toEqual({ contentType: "image/png", width: 256, height: 256 });
    return bytes;
  };
  const [both, latin] = [await draw("A lighthouse 燈塔"), await draw("A lighthouse")];
  expect(Buffer.compare(both, latin)).not.toBe(0);

  const listed = await runJson<{ name: string }[]>(["keys", "list"], alone);
  expect(listed.map(({ name }) => name).sort()).toEqual(["first live", "first management", "first test"]);
  await stop(server);
  expect(readdirSync(folder).sort()).toEqual(["arouter", "data"]);
});

test("its other commands work too, and its pictures are those of the source", async () => {
  const prompt = "Καλημέρα, lighthouse 燈塔 маяк";
  const args = ["generate", prompt, "-m", "openai/dall-e-2", "--size", "512x512", "--sandbox"];
  const built = await run([...args, "-o", "built.png"], alone);
  expect(built).toMatchObject({ code: 0, stdout: "built.png\n" });
  const source = await run([...args, "-o", "source.png"], { cwd: folder });
  expect(source).toMatchObject({ code: 0, stdout: "source.png\n" });
  // With every font inside, the two programs draw the same bytes.
  expect(readFileSync(join(folder, "built.png")).equals(readFileSync(join(folder, "source.png")))).toBe(true);
  expect((await run(["--version"], alone)).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await runJson<unknown[]>(["models"], alone)).length).toBeGreaterThanOrEqual(4);
  expect((await run(["bogus"], alone)).code).toBe(1);
});

test("a .env file beside it is read; a bunfig.toml there is not", async () => {
  writeFileSync(join(folder, ".env"), "AROUTER_DATA=elsewhere\nPORT=0\n");
  writeFileSync(join(folder, "bunfig.toml"), 'preload = ["./stranger.ts"]\n');
  writeFileSync(join(folder, "stranger.ts"), 'console.log("somebody else\'s code runs");\n');
  const { server, printed } = await serve({});
  expect(printed).toContain("These keys are shown once");
  expect(printed).not.toContain("somebody else");
  await stop(server);
  expect(readdirSync(join(folder, "elsewhere"))).toContain("arouter.db");
});
