/**
 * Canaries: provider credentials, API keys, prompts and picture bytes are planted, everything that can go wrong is made
 * to go wrong (upstreams that echo what they were sent included), and then every place is searched where they must not be.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pino from "pino";
import type { Fault } from "../doubles/double.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import { startProcess } from "./process.ts";
import { dallE2, dallE3, flux, type Json, rowsOf, seedModels, stableDiffusion, until } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

/** Without a vendor's usual prefix, by which they could be recognized. */
const credentials = ["Canary1credential", "Canary2credential", "Canary3credential"] as const;
const [openAiKey, stabilityKey, replicateKey] = credentials;
const spareKey = "Canary4credential";

/** What a person writes; each stands alone, so that a part of it is found, too. */
const words = ["Canary5prompt", "Canary6negative", "Canary7revised", "Canary8picture"];
const prompt = "Canary5prompt of a lighthouse, and the Canary5prompt goes on";
const negative = "no Canary6negative";
const imagePrompt = "https://pictures.example/Canary8picture.png";

const openai = startOpenAi({ key: openAiKey });
const stability = startStability({ key: stabilityKey, rateLimit: Number.POSITIVE_INFINITY });
const replicate = startReplicate({ key: replicateKey, fileOrigin: "same", progress: { startMs: 0, runMs: 0 } });
const doubles = [openai, stability, replicate];
const env = {
  OPENAI_API_KEY: `${openAiKey}, ${openAiKey}`,
  OPENAI_BASE_URL: openai.url,
  STABILITY_API_KEY: stabilityKey,
  STABILITY_BASE_URL: stability.url,
  REPLICATE_API_TOKEN: replicateKey,
  REPLICATE_BASE_URL: replicate.url,
};
afterAll(async () => {
  for (const double of doubles) await double.stop();
});

/** Everything that a provider may say when it should not: what it was sent, in every place of a failure. */
function echoes(credential: string, spoken: string): Fault[] {
  const text = `no luck with ${credential}: (${prompt.slice(0, 40)}… or "${spoken}")`;
  const faults: Fault[] = [];
  for (const status of [400, 401, 402, 403, 404, 409, 413, 418, 422, 429, 500, 503]) {
    const bodies = [
      { error: { message: text, type: text, param: "prompt", code: null } },
      { error: { message: text, type: "server_error", param: text, code: text } },
      { id: "1", name: text, errors: [text, `prompt: ${text}`] },
      { title: text, detail: text, status, invalid_fields: [{ field: text, description: text, type: "required" }] },
    ];
    for (const body of bodies) faults.push({ kind: "answer", status, body });
  }
  const headers = { "x-request-id": credential, "finish-reason": credential };
  faults.push({ kind: "answer", status: 500, body: `<html>${text}</html>`, headers: { "content-type": "text/html" } });
  faults.push({
    kind: "answer",
    status: 200,
    body: { error: text, status: credential, id: "p1", data: text },
    headers,
  });
  faults.push({ kind: "answer", status: 201, body: { id: "p1", status: "failed", error: text, output: null } });
  faults.push({
    kind: "answer",
    status: 201,
    body: { id: "p1", status: "succeeded", output: `http://${credential}/` },
  });
  faults.push({ kind: "answer", status: 400, body: { error: { message: text, code: "content_policy_violation" } } });
  faults.push({ kind: "answer", status: 403, body: { id: "1", name: "content_moderation", errors: [text] } });
  faults.push({ kind: "redirect", to: `http://127.0.0.1:1/${credential}?${prompt}`, status: 307 });
  faults.push(
    { kind: "cut" },
    { kind: "truncate" },
    { kind: "malformed" },
    { kind: "emptyData" },
    { kind: "text", body: text },
  );
  return faults;
}

interface Seen {
  router: HeldRouter;
  /** Log lines, unredacted: what is not given to the log cannot leak through it. */
  log: string[];
  /** Status, headers and bodies of all answers. */
  answers: string[];
  run(): Promise<void>;
}

async function watch(keepPrompts: string): Promise<Seen> {
  const log: string[] = [];
  const logger = pino({ level: "trace" }, { write: (line: string) => void log.push(line) });
  const router = await startHeldRouter({ env: { ...env, AROUTER_KEEP_PROMPTS: keepPrompts }, logger });
  const answers: string[] = [];
  const send = async (path: string, init: RequestInit = {}) => {
    const response = await fetch(router.url + path, init);
    const body = await response.text();
    answers.push(`${response.status} ${JSON.stringify([...response.headers])} ${body}`);
    return { response, body };
  };
  const generate = async (body: unknown, key = router.keys.live, headers: Record<string, string> = {}) => {
    const { response } = await send(`/v1/images/generations?key=${key}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const id = response.headers.get("x-arouter-generation-id");
    if (id === null) return;
    await send(`/v1/images/generations/${id}?key=${key}`);
    await send(`/api/v1/generation?id=${id}&key=${router.keys.management}`);
  };
  const extras: Record<string, Json> = {
    [dallE2]: { size: "256x256", n: 2 },
    [stableDiffusion]: { negative_prompt: negative, n: 2 },
    [flux]: { size: "256x256", image_prompt: imagePrompt },
  };
  return {
    router,
    log,
    answers,
    async run() {
      for (const model of seedModels) {
        const ask = { model, prompt, ...extras[model] };
        await generate(ask);
        await generate({ ...ask, response_format: "b64_json" });
        await generate({ ...ask, n: 1 }, router.keys.live, { accept: "image/*" });
        for (const token of ["[[refuse]]", "[[error]]", "[[short]]"]) {
          await generate({ ...ask, prompt: `${prompt} ${token}` }, router.keys.test);
        }
        for (const token of ["[[moderate]]", "[[500]]", "[[402]]", "[[fail:NSFW]]"]) {
          await generate({ ...ask, prompt: `${prompt} ${token}` });
          for (const double of doubles) double.clear();
        }
        await generate({ ...ask, size: prompt });
        await generate({ ...ask, [prompt]: 1 });
      }
      for (const [double, model, credential, spoken] of [
        [openai, dallE2, openAiKey, prompt],
        [stability, stableDiffusion, stabilityKey, negative],
        [replicate, flux, replicateKey, imagePrompt],
      ] as const) {
        for (const fault of echoes(credential, spoken)) {
          double.next(fault, { on: "create" });
          await generate({ model, prompt, ...extras[model], n: 1 });
          double.clear();
        }
      }
      await generate(`{"prompt": "${prompt}"`);
      await generate({ model: `${prompt}/x`, prompt });
      const revised = { created: 1, data: [{ b64_json: onePixel, revised_prompt: "a Canary7revised lighthouse" }] };
      openai.next({ kind: "answer", status: 200, body: revised });
      await generate({ model: dallE3, prompt });
      for (const key of [...Object.values(router.keys), `${router.keys.live}x`, "nonsense"]) {
        await send(`/v1/models?key=${key}`);
        await send(`/v1/nothing?key=${key}`, { headers: { authorization: `Bearer ${key}`, "x-api-key": key } });
        await send(`/v1/images/files/img-x.png?key=${key}`, { method: "DELETE" });
      }
      await send("/healthz");
      await send("/readyz");
    },
  };
}

const onePixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==";

/** Everything in the data folder as it lies on the disk. */
function filesIn(folder: string): Array<{ name: string; content: string }> {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .flatMap((entry) => {
      const name = join(entry.parentPath, entry.name);
      try {
        return [{ name, content: readFileSync(name, "latin1") }];
      } catch {
        return []; // a file that has gone since
      }
    });
}

/** Which of the words stand where, with a little of what is around them. */
function found(places: ReadonlyArray<{ name: string; content: string }>, needles: readonly string[]): string[] {
  return places.flatMap(({ name, content }) =>
    needles.flatMap((needle) => {
      const position = content.indexOf(needle);
      return position < 0 ? [] : [`${name}: …${content.slice(Math.max(0, position - 120), position + 60)}…`];
    }),
  );
}

const named = (lines: string[]) => lines.map((content, index) => ({ name: `#${index}`, content }));
const secretsOf = ({ keys }: HeldRouter) => [...credentials, ...Object.values(keys).map((key) => key.slice(8))];

describe("with AROUTER_KEEP_PROMPTS=hour", () => {
  let seen: Seen;
  beforeAll(async () => {
    seen = await watch("hour");
    await seen.run();
  });
  afterAll(() => seen.router.remove());

  test("the run was a real one", () => {
    const { log, answers, router } = seen;
    expect(answers.length).toBeGreaterThan(300);
    expect(log.length).toBeGreaterThan(300);
    const statuses = new Set(answers.map((answer) => answer.slice(0, 3)));
    for (const status of ["200", "400", "401", "404", "429", "502", "503"]) expect(statuses).toContain(status);
    // What is searched for is really there to be found: the doubles got it, and the database keeps prompts for now.
    expect(JSON.stringify(openai.requests.map(({ headers, body }) => [headers, body]))).toContain(openAiKey);
    expect(found(filesIn(router.dataFolder), ["Canary5prompt"]).length).toBeGreaterThan(0);
  });

  test("credentials and keys are in no answer", () => {
    expect(found(named(seen.answers), secretsOf(seen.router))).toEqual([]);
  });

  test("credentials and keys are in no log line", () => {
    expect(found(named(seen.log), secretsOf(seen.router))).toEqual([]);
  });

  test("credentials and keys are in no file", () => {
    expect(found(filesIn(seen.router.dataFolder), secretsOf(seen.router))).toEqual([]);
  });

  test("prompts are in no log line", () => {
    expect(found(named(seen.log), words)).toEqual([]);
  });

  test("picture bytes are in no log line", () => {
    for (const line of seen.log) {
      expect(line.length).toBeLessThan(4000);
      expect(line).not.toMatch(/[A-Za-z0-9+/]{120,}/);
      expect(line).not.toMatch(/iVBORw0KGgo|PNG\\r\\n|"data":\[\d/);
    }
  });

  test("a log line says who, what, how long, what it cost, and not more", () => {
    const lines = seen.log.map((line) => JSON.parse(line) as Json).filter(({ msg }) => msg === "request");
    const paid = lines.find(
      ({ status, provider, path }) => status === 200 && provider === "openai" && path === "/v1/images/generations",
    );
    expect(paid).toMatchObject({
      request: expect.stringMatching(/^req-/),
      method: "POST",
      ms: expect.any(Number),
      key: expect.stringMatching(/^lr_live_.*…/),
      generation: expect.stringMatching(/^gen-/),
      model: dallE3,
      cost: "0.04",
    });
    expect(lines.every(({ path }) => typeof path === "string" && !path.includes("?"))).toBeTrue();
  });

  test("after the hour the prompts are in no file any more, not even in unused space", async () => {
    const { router } = seen;
    router.advance(3_601_000);
    await until(() =>
      rowsOf(router.dataFolder, "SELECT id FROM generations WHERE has_prompt = 1").length === 0 ? true : undefined,
    );
    let left = found(filesIn(router.dataFolder), words);
    // The write-ahead log is emptied right after the rows; the next look may come in between.
    for (let look = 0; left.length > 0 && look < 40; look += 1) {
      await Bun.sleep(50);
      left = found(filesIn(router.dataFolder), words);
    }
    expect(left).toEqual([]);
  });
});

describe("with AROUTER_KEEP_PROMPTS=never", () => {
  let seen: Seen;
  beforeAll(async () => {
    seen = await watch("never");
    await seen.run();
  });
  afterAll(() => seen.router.remove());

  test("a prompt is in no file of the data folder, from the beginning", () => {
    const files = filesIn(seen.router.dataFolder);
    expect(files.some(({ name }) => name.endsWith("-wal"))).toBeTrue();
    expect(found(files, words)).toEqual([]);
  });

  test("nor in a log line; nor are secrets anywhere", () => {
    expect(found(named(seen.log), [...words, ...secretsOf(seen.router)])).toEqual([]);
    expect(found(named(seen.answers), secretsOf(seen.router))).toEqual([]);
    expect(found(filesIn(seen.router.dataFolder), secretsOf(seen.router))).toEqual([]);
  });

  test("nor after the end, when the log of the database has been written back", async () => {
    await seen.router.stop();
    const files = filesIn(seen.router.dataFolder);
    expect(files.length).toBeGreaterThan(1);
    expect(found(files, [...words, ...secretsOf(seen.router)])).toEqual([]);
  });
});

test("the real program prints keys once and nothing else secret, at any log level", async () => {
  const folder = `${process.env.TMPDIR ?? "/tmp"}/arouter-secrets-${process.pid}-${Date.now()}`;
  const settings = { ...env, AROUTER_DATA: folder, AROUTER_LOG_LEVEL: "trace", STABILITY_API_KEY: spareKey };
  const server = await startProcess({ ...settings, AROUTER_LINK_SECRET: "Canary9link" });
  const key = await until(() => /lr_live_\w{32}/.exec(server.output())?.[0]);
  const post = (body: Json) =>
    fetch(`${server.url}/v1/images/generations?key=${key}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  for (const model of seedModels) await (await post({ model, prompt })).text();
  openai.next(echoes(openAiKey, prompt)[40] ?? { kind: "cut" });
  await (await post({ model: dallE2, prompt })).text();
  await server.stop();
  const printed = server.output();
  expect(printed.split(key)).toHaveLength(2);
  expect(found([{ name: "output", content: printed }], [...credentials, spareKey, ...words, "Canary9link"])).toEqual(
    [],
  );
  expect(found(filesIn(folder), ["Canary9link", spareKey, key.slice(8)])).toEqual([]);
  await Bun.$`rm -rf ${folder}`.quiet();
});
