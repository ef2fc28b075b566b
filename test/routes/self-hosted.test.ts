/**
 * Servers of one's own (upstream-apis.md §7), each by one model file made from `examples/sd-server-model.json`. These
 * servers pass over what they cannot do, so what counts is what each of them understood, and that it ignored nothing.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import example from "../../examples/sd-server-model.json" with { type: "json" };
import { loadCatalogue } from "../../src/catalogue/index.ts";
import type { Model } from "../../src/catalogue/model.ts";
import type { RecordedRequest } from "../doubles/double.ts";
import { startLocalAi } from "../doubles/localai.ts";
import { startSdServer } from "../doubles/sd-server.ts";
import type { Made, SelfHosted } from "../doubles/selfhosted.ts";
import { startSglang } from "../doubles/sglang.ts";
import { startVllmOmni } from "../doubles/vllm.ts";
import { startRouter } from "../router.ts";
import { type Asked, askAt, promptOf } from "./ask.ts";
import { type Case, editsOf, generationsOf } from "./cases.ts";
import type { RouteFacts } from "./words.ts";

setDefaultTimeout(60_000);

interface Server {
  provider: string;
  start: () => SelfHosted;
  /** The server's field for diffusion steps, and where it keeps them. */
  steps: { field: string; seen(made: Made): unknown };
  /** File types it can make; one alone is not its to choose. */
  formats: string[];
  mostPictures: number;
}

const setting = (name: string) => ({ field: name, seen: ({ settings }: Made) => settings[name] });
type Native = { sample_params?: { sample_steps?: number } };

const servers: Server[] = [
  {
    provider: "sd-server",
    start: () => startSdServer(),
    steps: { field: "steps", seen: ({ settings }) => (settings as Native).sample_params?.sample_steps },
    formats: ["png", "jpeg"],
    mostPictures: 1,
  },
  { provider: "localai", start: () => startLocalAi(), steps: setting("step"), formats: ["png"], mostPictures: 0 },
  {
    provider: "vllm",
    start: () => startVllmOmni(),
    steps: setting("num_inference_steps"),
    formats: ["png"],
    mostPictures: 0,
  },
  {
    provider: "sglang",
    start: () => startSglang(),
    steps: setting("num_inference_steps"),
    formats: ["png", "jpeg", "webp"],
    mostPictures: 3,
  },
];

/** The operator's file for a server: the example's words, its own address. */
function fileFor({ provider, steps, formats, mostPictures }: Server, server: SelfHosted): unknown {
  const file = structuredClone(example) as Record<string, unknown> & typeof example;
  const [route] = file.routes;
  if (route === undefined) throw new Error("the example has no route");
  const parameters: Record<string, unknown> = file.parameters;
  const fields: Record<string, unknown> = route.fields;
  Object.assign(file, { id: `local/${provider}`, aliases: [] });
  Object.assign(route, { provider, provider_name: provider, model: server.model, base_url: server.url });
  fields.steps = steps.field;
  if (mostPictures === 0) {
    file.operations = ["generate"];
    for (const place of [file, fields] as Record<string, unknown>[])
      for (const name of ["edit", "images"]) delete place[name];
  } else file.edit.max_images = mostPictures;
  if (formats.length > 1) file.parameters.output_format.values = formats;
  else
    for (const place of [parameters, fields])
      for (const name of ["output_format", "output_compression"]) delete place[name];
  return file;
}

const factsOf = ({ mostPictures }: Server): RouteFacts => ({
  upstream: "",
  words: {},
  perCall: 4,
  countField: "n",
  mostPictures,
  price: { per: "image", usd: 0 },
});

/** A model of the file, before any server has an address. */
function modelOf(server: Server): Model {
  const folder = mkdtempSync(join(tmpdir(), "arouter-models-"));
  const nowhere = { model: "none", url: "http://127.0.0.1:1/v1" } as SelfHosted;
  writeFileSync(join(folder, "own.json"), JSON.stringify(fileFor(server, nowhere)));
  const model = loadCatalogue({ folder }).find(`local/${server.provider}`);
  rmSync(folder, { recursive: true });
  if (model === undefined) throw new Error("the file makes no model");
  return model;
}

function casesOf(server: Server): Case[] {
  const model = modelOf(server);
  const facts = factsOf(server);
  const edits = editsOf(model, model.routes[0], facts).filter(({ pictures }) => pictures.length <= facts.mostPictures);
  return [...generationsOf(model, model.routes[0], facts), ...edits];
}

/** Without what is written behind the client's words: LocalAI's negative prompt, sd-server's native settings. */
const wordsIn = (text: unknown) => String(text).replace(/[|<].*$/s, "");

describe.each(servers.map((server) => [server.provider, server] as const))("%s", (_provider, server) => {
  const cases = casesOf(server);
  const double = server.start();
  let asked: Asked;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "arouter-models-"));
    writeFileSync(join(folder, "own.json"), JSON.stringify(fileFor(server, double)));
    const router = await startRouter({ env: { AROUTER_MODELS: folder } });
    const read = ({ body }: RecordedRequest) => {
      const { prompt } = body as { prompt: unknown };
      return { model: "", fields: { prompt: wordsIn(prompt) }, pictures: [], pictureFields: [], usage: undefined };
    };
    try {
      asked = await askAt({ double, env: {}, read }, router, cases);
    } finally {
      await router.remove();
    }
  });
  afterAll(async () => {
    await double.stop();
    rmSync(folder, { recursive: true });
  });

  test("nothing that was sent was passed over, and nothing was charged", () => {
    expect(double.ignored).toEqual([]);
    expect(asked.deviations).toEqual([]);
  });

  test.each(cases.map((one) => [one.operation, one.name, one] as const))("%s: %s", (_operation, _name, one) => {
    const outcome = asked.outcomes.get(one);
    if (outcome === undefined) throw new Error("not asked");
    const { status, message, pictures, warnings, chargedNanos, heldNanos } = outcome;
    expect({ status, message, warnings }).toEqual({ status: 200, message: "", warnings: null });
    const { n, given } = one;
    const [width, height] = String(given.size ?? "512x512")
      .split("x")
      .map(Number);
    const type = String(given.output_format ?? "png");
    expect(pictures).toEqual(Array.from({ length: n }, () => ({ width: width ?? 0, height: height ?? 0, type })));
    expect([chargedNanos, heldNanos]).toEqual([0n, 0n]);
    checkUnderstood(
      one,
      double.made.filter(({ prompt }) => prompt === promptOf(one)),
    );
  });

  /** What the server understood is what the client asked, one call or, with a seed, one for each picture. */
  function checkUnderstood(one: Case, made: Made[]): void {
    const { n, given, pictures } = one;
    const { seed } = given;
    expect(made.map((call) => call.n)).toEqual(seed === undefined ? [n] : Array.from({ length: n }, () => 1));
    if (typeof seed === "number")
      expect(made.map((call) => call.seed ?? -1).sort((a, b) => a - b)).toEqual(made.map((_, index) => seed + index));
    for (const call of made) {
      expect(call.negativePrompt ?? "").toBe(String(given.negative_prompt ?? ""));
      expect(server.steps.seen(call)).toBe(given.steps);
      expect(call.images.map(({ bytes }) => Bun.hash(bytes ?? ""))).toEqual(
        pictures.map(({ bytes }) => Bun.hash(bytes)),
      );
      if (given.output_compression !== undefined)
        expect(call.settings.output_compression).toBe(given.output_compression);
    }
  }
});
