/**
 * Canaries in what edits, streams, fallbacks and every kind of upstream bring: credentials in headers of all forms, words
 * under other names than ours, pictures and their names, webhooks. Upstreams repeat them wherever they can.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import example from "../../examples/sd-server-model.json" with { type: "json" };
import { startAzure } from "../doubles/azure.ts";
import { startBfl } from "../doubles/bfl.ts";
import type { Fault } from "../doubles/double.ts";
import { startFal } from "../doubles/fal.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { picture } from "../doubles/picture.ts";
import { startSdServer } from "../doubles/sd-server.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import { filesIn, found, openLog, placesOf } from "./secrets-places.ts";
import { type Json, rowsOf, until } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(120_000);

/** Each begins with a word of its own, so that a piece of one is found as well. */
const credentials = {
  openai: "Zebra1-credential-of-the-first",
  azure: "Zebra2credentialofthesecond00000",
  bfl: "Zebra3-credential-of-the-third",
  fal: "Zebra4-0000-4000:credentialofthefourth",
};
const credentialWords = ["Zebra1", "Zebra2", "Zebra3", "Zebra4"];
const prompt = "Heron1prompt with a red hat, and the Heron1prompt goes on";
const negative = "no Heron2negative anywhere at all";
const imagePrompt = "https://pictures.example/Heron3imageprompt.png";
const revised = "a Heron4revised lighthouse at dusk";
const words = ["Heron1prompt", "Heron2negative", "Heron3imageprompt", "Heron4revised"];
const besides = ["Heron5filename", "Heron6bytes", "Heron7user", "Heron8webhook"];

const openai = startOpenAi({ key: credentials.openai });
const azure = startAzure({ key: credentials.azure });
const bfl = startBfl({ key: credentials.bfl, fileOrigin: "same", progress: { runMs: 0 } });
const fal = startFal({ key: credentials.fal, fileOrigin: "same", progress: { queueMs: 0, runMs: 0 } });
const sdServer = startSdServer();
const doubles = [openai, azure, bfl, fal, sdServer];
const models = mkdtempSync(join(tmpdir(), "arouter-models-"));
const sdModel = structuredClone(example);
for (const route of sdModel.routes) route.base_url = sdServer.url;
writeFileSync(join(models, "sd.json"), JSON.stringify(sdModel));
afterAll(async () => {
  for (const double of doubles) await double.stop();
  rmSync(models, { recursive: true });
});

const env = {
  AROUTER_MODELS: models,
  OPENAI_API_KEY: credentials.openai,
  OPENAI_BASE_URL: openai.url,
  AZURE_OPENAI_API_KEY: credentials.azure,
  AZURE_OPENAI_ENDPOINT: azure.origin,
  BFL_API_KEY: credentials.bfl,
  BFL_BASE_URL: bfl.url,
  FAL_KEY: credentials.fal,
  FAL_BASE_URL: fal.url,
};

const gpt = "openai/gpt-image-2";
const ultra = "black-forest-labs/flux-1.1-pro-ultra";
const kontext = "black-forest-labs/flux-1-kontext-pro";
const local = "local/stable-diffusion";

const given = new Uint8Array(
  Buffer.concat([picture({ width: 64, height: 64 }), Buffer.from("Heron6bytes ".repeat(50))]),
);
const onePixel = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

interface Seen {
  router: HeldRouter;
  log: string[];
  /** What others than the request's own answers say: errors, figures, providers. */
  answers: string[];
  run(): Promise<void>;
}

async function watch(keepPrompts: string): Promise<Seen> {
  const { lines, logger } = openLog();
  const resolve = async () => ["127.0.0.1"];
  const router = await startHeldRouter({ env: { ...env, AROUTER_KEEP_PROMPTS: keepPrompts }, logger, resolve });
  const answers: string[] = [];
  const send = async (
    path: string,
    init: RequestInit,
    key = router.keys.live,
  ): Promise<Pick<Response, "status" | "headers">> => {
    const response = await fetch(router.url + path, {
      ...init,
      headers: { authorization: `Bearer ${key}`, ...(init.headers as Record<string, string>) },
    });
    const body = await response.text();
    const headers = JSON.stringify([...response.headers]);
    answers.push(`${response.status} ${headers} ${body.replaceAll(/"b64_json":"[^"]*"/g, "")}`);
    return response;
  };
  const post = async (path: string, body: Json, headers: Record<string, string> = {}) => {
    const json = { "content-type": "application/json", ...headers };
    const answer = await send(path, { method: "POST", headers: json, body: JSON.stringify(body) });
    const id = answer.headers.get("x-arouter-generation-id");
    if (id === null) return;
    if (answer.status === 202) {
      await until(async () =>
        (await router.get(`/v1/images/generations/${id}`)).headers.has("retry-after") ? undefined : true,
      );
    }
    await send(`/v1/images/generations/${id}`, {});
    await send(`/api/v1/generation?id=${id}`, {}, router.keys.management);
  };
  const generate = (body: Json, headers?: Record<string, string>) => post("/v1/images/generations", body, headers);
  const dataUrl = (bytes: Uint8Array) => ({ image_url: `data:image/png;base64,${bytes.toBase64()}` });
  const ask = { prompt, user: "Heron7user", webhook_url: "https://hooks.example/Heron8webhook?token=Heron8webhook" };
  const low = { ...ask, model: gpt, size: "1024x1024", quality: "low" };
  const form = async (fields: Json) => {
    const data = new FormData();
    for (const [name, value] of Object.entries(fields)) data.append(name, String(value));
    for (const name of ["Heron5filename.png", "../../Heron5filename"])
      data.append("image[]", new File([given], name, { type: "image/png" }));
    await send("/v1/images/edits", { method: "POST", body: data });
  };
  return {
    router,
    log: lines,
    answers,
    async run() {
      await form(low);
      await form({ ...low, stream: true, partial_images: 2 });
      await form({ ...low, size: "Heron1prompt" });
      await form({ ...low, [prompt]: "x" });
      const masked = { images: [dataUrl(onePixel)], mask: dataUrl(onePixel) };
      for (const extra of [masked, { ...masked, mask: dataUrl(given) }, { images: [{ image_url: imagePrompt }] }]) {
        await post("/v1/images/edits", { ...low, ...extra });
        await post("/v1/images/quote", { ...low, ...extra });
      }
      await generate({ ...low, stream: true, partial_images: 1 });
      await generate(low, { prefer: "respond-async" });
      await generate({ ...low, provider: { only: ["azure"] } });
      await generate({ ...ask, model: ultra, provider: { only: ["bfl"] } });
      await generate({ ...ask, model: ultra, image_prompt: imagePrompt, provider: { only: ["fal"] } });
      await generate({ prompt, model: local, negative_prompt: negative, steps: 3 });
      for (const token of ["[[moderate]]", "[[500]]", "[[402]]", "[[429]]"]) {
        for (const only of ["openai", "azure"])
          await generate({ ...low, prompt: `${prompt} ${token}`, provider: { only: [only] } });
        for (const only of ["bfl", "fal"])
          await generate({ ...ask, model: ultra, prompt: `${prompt} ${token}`, provider: { only: [only] } });
      }
      const targets = [
        [openai, credentials.openai, { ...low, provider: { only: ["openai"] } }],
        [openai, credentials.openai, { ...low, stream: true, partial_images: 1, provider: { only: ["openai"] } }],
        [azure, credentials.azure, { ...low, provider: { only: ["azure"] } }],
        [bfl, credentials.bfl, { ...ask, model: ultra, provider: { only: ["bfl"] } }],
        [fal, credentials.fal, { ...ask, model: ultra, image_prompt: imagePrompt, provider: { only: ["fal"] } }],
        [sdServer, "nothing", { prompt, model: local, negative_prompt: negative }],
      ] as const;
      for (const [double, credential, body] of targets) {
        for (const fault of echoes(credential, body)) {
          const before = double.requestsAt("create").length;
          double.next(fault, { on: "create" });
          await generate(body);
          double.clear();
          if (double.requestsAt("create").length === before) throw new Error("the echo was not asked for");
        }
      }
      // The first route fails, the next one answers: both have been sent the words.
      openai.always({ kind: "answer", status: 500, body: { error: { message: prompt, type: "server_error" } } });
      await generate({
        ...low,
        models: [kontext],
        provider: { order: ["openai"], ignore: ["azure"] },
        size: undefined,
      });
      await post("/v1/images/edits", {
        ...ask,
        models: [gpt, kontext],
        images: [dataUrl(given)],
        provider: { ignore: ["azure"] },
      });
      openai.clear();
      for (const key of Object.values(router.keys)) await send("/api/v1/providers", {}, key);
      await send("/metrics", {}, router.keys.management);
      for (const path of ["/api/v1/webhooks/deliveries", "/api/v1/keys", "/v1/models", "/readyz"])
        await send(path, {}, router.keys.management);
    },
  };
}

/** What was sent, in every place of a failure and of a success. */
function echoes(credential: string, body: Json): Fault[] {
  const { negative_prompt: avoided = "", image_prompt: link = "" } = body;
  const sentences = [
    `no luck with ${credential}: "${prompt}" (${prompt.slice(0, 40)}…), not "${avoided}", nor ${link}`,
    // Long texts are cut: somewhere within the credential.
    ...[455, 470, 480, 490, 494].map((length) => `${"so long ".repeat(80).slice(0, length)}${credential} and on`),
  ];
  const image = { b64_json: onePixel.toString("base64"), revised_prompt: `${revised} ${credential}` };
  const answers: [status: number, body: unknown][] = sentences.flatMap((text) =>
    [400, 401, 403, 404, 422, 429, 500].flatMap((status): [number, unknown][] => [
      [
        status,
        { error: { message: text, type: text, param: text, code: null, moderation_details: { categories: [text] } } },
      ],
      [status, { detail: text, error: text, message: text }],
      [status, { detail: [{ loc: ["body", text], msg: text, type: text, input: { prompt } }] }],
      [status, { error: { code: "content_policy_violation", message: text } }],
    ]),
  );
  const facts = { usage: { total_tokens: 1, note: credential }, quality: credential, background: credential };
  answers.push(
    [200, { created: 1, data: [image], ...facts, output_format: credential, size: credential }],
    [200, { id: "task-1", status: "Error", details: { error: sentences[0] }, error: sentences[0] }],
    [200, { id: "task-1", status: "Request Moderated", details: { "Moderation Reasons": [sentences[0]] } }],
    [200, { id: "task-1", polling_url: `http://127.0.0.1:1/${credential}`, status: credential }],
    [200, { request_id: "r-1", status: credential, status_url: `http://127.0.0.1:1/${credential}` }],
    [200, { images: [{ url: `http://${credential}/` }], prompt: revised }],
  );
  const headers = { "x-request-id": credential, "x-fal-request-id": credential };
  const faults: Fault[] = answers.map(([status, body]) => ({ kind: "answer", status, body, headers }));
  if (body.stream === true)
    faults.push({ kind: "errorEvent", data: { type: "error", error: { message: sentences[0], code: credential } } });
  faults.push({ kind: "text", body: sentences[0] ?? "" }, { kind: "malformed" }, { kind: "cut" });
  faults.push({ kind: "redirect", to: `http://127.0.0.1:1/${credential}?${prompt}` });
  return faults;
}

const keysOf = ({ keys }: HeldRouter) => Object.values(keys).map((key) => key.slice(8));
const webhookSecrets = ({ dataFolder }: HeldRouter) =>
  rowsOf<{ secret: string }>(dataFolder, "SELECT secret FROM webhook_secrets").map(({ secret }) => secret);

describe.each(["hour", "never"])("with AROUTER_KEEP_PROMPTS=%s", (keepPrompts) => {
  let seen: Seen;
  beforeAll(async () => {
    seen = await watch(keepPrompts);
    await seen.run();
  });
  afterAll(() => seen.router.remove());

  test("the run was a real one", () => {
    const { answers, log } = seen;
    const statuses = new Set(answers.map((answer) => answer.slice(0, 3)));
    for (const status of ["200", "202", "400", "403", "429", "502", "503"]) expect(statuses).toContain(status);
    for (const double of doubles) expect(double.requestsAt("create").length).toBeGreaterThan(50);
    expect(JSON.stringify(sdServer.made)).toContain("Heron2negative");
    expect(JSON.stringify(fal.requests.map(({ body }) => body))).toContain("Heron3imageprompt");
    expect(log.length).toBeGreaterThan(500);
    const { dataFolder } = seen.router;
    const fallbacks = rowsOf(dataFolder, "SELECT 1 FROM attempts WHERE round = 1 AND provider = 'bfl'");
    expect(fallbacks.length).toBeGreaterThan(0);
    expect(found(filesIn(dataFolder), words).length > 0).toBe(keepPrompts === "hour");
  });

  test("no part of a credential is in an answer, a log line or a file", () => {
    const secrets = [...credentialWords, ...keysOf(seen.router)];
    expect(found(placesOf(seen.answers), secrets)).toEqual([]);
    expect(found(placesOf(seen.log), [...secrets, ...webhookSecrets(seen.router), "whsec_"])).toEqual([]);
    expect(found(filesIn(seen.router.dataFolder), secrets)).toEqual([]);
  });

  test("nothing that a person wrote or gave is in a log line", () => {
    expect(found(placesOf(seen.log), [...words, ...besides])).toEqual([]);
    for (const line of seen.log) expect(line).not.toMatch(/[A-Za-z0-9+/]{120,}|iVBORw0KGgo/);
  });

  test("figures and the list of providers hold none of it", () => {
    const lists = seen.answers.filter((answer) => /# HELP|"credentials":/.test(answer));
    expect(lists).toHaveLength(2);
    expect(found(placesOf(lists), [...words, ...besides, ...credentialWords])).toEqual([]);
  });

  test("the client's pictures and their names are in no file once their generations have ended", () => {
    const files = filesIn(seen.router.dataFolder);
    expect(found(files, ["Heron5filename", "Heron6bytes"])).toEqual([]);
    expect(files.filter(({ name }) => name.includes("/inputs/"))).toEqual([]);
  });

  test("the words are in no file: from the beginning, or after the hour, not even in unused space", async () => {
    const { router } = seen;
    if (keepPrompts === "hour") {
      router.advance(3_601_000);
      await until(() =>
        rowsOf(router.dataFolder, "SELECT id FROM generations WHERE has_prompt = 1").length === 0 ? true : undefined,
      );
    }
    let left = found(filesIn(router.dataFolder), words);
    // The write-ahead log is emptied right after the rows; the next look may come in between.
    for (let look = 0; left.length > 0 && look < 40; look += 1) {
      await Bun.sleep(50);
      left = found(filesIn(router.dataFolder), words);
    }
    expect(left).toEqual([]);
  });
});
