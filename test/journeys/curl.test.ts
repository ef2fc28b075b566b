/** What a newcomer does first: start the program, paste the line it printed, look at the picture. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningProcess, startProcess } from "../contracts/process.ts";
import { at, type ImagesAnswer, pictureOf, until, urlOf } from "../contracts/support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const curl = Bun.which("curl");
const shell = Bun.which("sh");
const missing = curl === null || shell === null;
if (missing) console.warn("no `curl` or no `sh` on PATH: the printed line cannot be run here");

describe.skipIf(missing)("the line printed at the first start", () => {
  const dataFolder = mkdtempSync(join(tmpdir(), "arouter-first-"));
  let server: RunningProcess;
  let line: string;
  beforeAll(async () => {
    server = await startProcess({ AROUTER_DATA: dataFolder });
    line = await until(() => /^curl .*$/m.exec(server.output())?.[0]);
  });
  afterAll(async () => {
    await server.stop();
    rmSync(dataFolder, { recursive: true });
  });

  const run = async (command: string) => {
    const child = Bun.spawn([shell ?? "sh", "-c", command], { stdout: "pipe", stderr: "ignore" });
    const output = await new Response(child.stdout).bytes();
    expect(await child.exited).toBe(0);
    return output;
  };

  test("works as printed, and the url in its answer is a PNG of 1024x1024", async () => {
    const answer = JSON.parse(new TextDecoder().decode(await run(line))) as ImagesAnswer;
    const url = urlOf(at(answer.data));
    expect(url).toStartWith(`${server.url}/v1/images/files/`);
    expect(await pictureOf(await run(`curl -sf '${url}'`))).toBe("1024x1024 png");
  });

  test("uses the free key, and shows one of each kind once", () => {
    expect(line).toContain("lr_test_");
    for (const kind of ["test", "live", "mgmt"]) {
      const shown = new Set(server.output().match(new RegExp(`lr_${kind}_\\w{32}`, "g")));
      expect(shown.size).toBe(1);
    }
  });

  test("is the founding page's request", async () => {
    const body = JSON.parse(/-d '(.*)'$/.exec(line)?.[1] ?? "");
    expect(body).toEqual({
      model: "openai/dall-e-3",
      prompt: "A futuristic city skyline at sunset, photorealistic",
      n: 1,
      size: "1024x1024",
    });
  });

  test("with Accept: image/* curl saves the picture itself", async () => {
    expect(await pictureOf(await run(`${line} -sf -H 'Accept: image/*'`))).toBe("1024x1024 png");
  });
});
