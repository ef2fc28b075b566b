/** Sends the requests of a route through the real router, and keeps what came back, what arrived and what was held. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtInModels } from "../../models/index.ts";
import { checkLedger } from "../../src/accounts/check.ts";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { readEvents } from "../contracts/events.ts";
import { bytesOf, type ImagesAnswer, type Json, rowsOf } from "../contracts/support.ts";
import { clearPng } from "../doubles/picture.ts";
import { startRouter, type TestRouter } from "../router.ts";
import { type Case, editsOf, generationsOf, overlaysAsked } from "./cases.ts";
import { factsOf } from "./facts.ts";
import { madeUpUsd } from "./facts-flux.ts";
import { type Arrived, readFiles, type Vendor, vendors } from "./vendors.ts";

/** Enough to keep a provider busy whose jobs are looked at after half a second; Bun's fetch makes 256 at once in all. */
const atOnce = 96;

export interface Picture {
  width: number;
  height: number;
  /** `png`, as a decoder tells it. */
  type: string;
}

export interface Outcome {
  status: number;
  /** The error's, or null. */
  code: string | null;
  param: string | null;
  message: string;
  warnings: string | null;
  /** US dollars as the answer says them. */
  cost: string | null;
  pictures: Picture[];
  /** How many previews a stream had. */
  previews: number;
  /** Upstream calls, in the order of their pictures. */
  calls: Arrived[];
  /** Nano-dollars; null where nothing was admitted. */
  heldNanos: bigint | null;
  chargedNanos: bigint | null;
  priceRule: string | null;
  /** Credits that the calls took at the double. */
  credits: number;
  /** What `POST /v1/images/quote` says would be sent with the first call, and the most that it can cost. */
  quoted: { sent: Json; usd: number } | null;
}

/** Every case of a provider; the facts must know every route that the model files have. */
export function casesOf(provider: string): Case[] {
  return loadCatalogue().models.flatMap((model) => {
    const route = model.routes.find((one) => one.provider === provider);
    if (route === undefined) return [];
    const facts = factsOf(provider, model.id);
    if (facts === undefined) throw new Error(`the fact sheet has no ${model.id} at ${provider}`);
    return [...generationsOf(model, route, facts), ...editsOf(model, route, facts)];
  });
}

/** `image_generation.completed` and its like, by name. */
const isPreview = (name: string) => name.endsWith(".partial_image");

/**
 * The built-in files with a made-up price wherever none is published, so that what would be sent can be seen. That such
 * requests are refused as they are has a test of its own.
 */
function pricedModels(): string {
  const folder = mkdtempSync(join(tmpdir(), "arouter-models-"));
  for (const [file, content] of Object.entries(builtInModels)) {
    const text = JSON.stringify(content)
      .replaceAll('"rows":[]', `"rows":[{"usd":"${madeUpUsd}"}]`)
      .replaceAll(
        '"usd":"0.015","max_megapixels":4,"source"',
        `"usd":"0.015","input_usd":"${madeUpUsd}","max_megapixels":4,"source"`,
      );
    if (text !== JSON.stringify(content)) writeFileSync(join(folder, file), text);
  }
  return folder;
}

export interface Asked {
  outcomes: ReadonlyMap<Case, Outcome>;
  deviations: unknown[];
}

/** Routers side by side: jobs are looked at after half a second, and Black Forest Labs has 24 at once for one key. */
const lanes: Readonly<Record<string, number>> = { bfl: 3 };

/** Asks for all of it, with keys of this one provider alone. */
export async function askAll(provider: string, cases: readonly Case[], options: { priced: boolean }): Promise<Asked> {
  const count = lanes[provider] ?? 1;
  const folder = options.priced ? pricedModels() : undefined;
  const lane = async (number: number): Promise<Asked> => {
    const vendor = (vendors[provider] as () => Vendor)();
    const router = await startRouter({ env: { ...vendor.env, ...(folder && { AROUTER_MODELS: folder }) } });
    try {
      return await askAt(
        vendor,
        router,
        cases.filter((_, index) => index % count === number),
        Math.floor(atOnce / count),
      );
    } finally {
      await router.remove();
      await vendor.double.stop();
    }
  };
  const asked = await Promise.all(Array.from({ length: count }, (_, number) => lane(number)));
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  return {
    outcomes: new Map(asked.flatMap(({ outcomes }) => [...outcomes])),
    deviations: asked.flatMap(({ deviations }) => deviations),
  };
}

/** Stops the router at the end. */
export async function askAt(
  vendor: Vendor,
  router: TestRouter,
  cases: readonly Case[],
  workers = atOnce,
): Promise<Asked> {
  const answers = new Map<Case, Answer>();
  const waiting = [...cases];
  const work = async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) answers.set(one, await ask(router, one));
  };
  await Promise.all(Array.from({ length: workers }, work));
  const calls = vendor.double.requestsAt("create");
  await Promise.all(calls.map(readFiles));
  const byPrompt = Map.groupBy(calls, (request) => String(vendor.read(request).fields.prompt));
  const rows = rowsOf<Row>(router.dataFolder, "select id, quote_nanos, cost_nanos, price_rule from generations");
  const byId = new Map(rows.map((row) => [row.id, row]));
  const outcomes = new Map<Case, Outcome>();
  for (const [one, { id, ...answer }] of answers) {
    const requests = byPrompt.get(promptOf(one)) ?? [];
    const row = byId.get(id ?? "");
    outcomes.set(one, {
      ...answer,
      calls: requests.map((request) => vendor.read(request)),
      credits: requests.reduce((sum, request) => sum + (vendor.credits?.(request) ?? 0), 0),
      heldNanos: row === undefined ? null : BigInt(row.quote_nanos),
      chargedNanos: row === undefined ? null : BigInt(row.cost_nanos),
      priceRule: row?.price_rule ?? null,
    });
  }
  await router.stop();
  return { outcomes, deviations: await deviationsOf(router.dataFolder) };
}

interface Row {
  id: string;
  quote_nanos: number;
  cost_nanos: number;
  price_rule: string;
}

/** What the ledger's own check finds, once nothing runs any more. */
async function deviationsOf(dataFolder: string): Promise<unknown[]> {
  const { database, close } = await openSqlite(join(dataFolder, "arouter.db"));
  const deviations = await checkLedger(database);
  await close();
  return deviations;
}

type Answer = Omit<Outcome, "calls" | "credits" | "heldNanos" | "chargedNanos" | "priceRule"> & { id: string | null };

/** Tells a case's calls at the double from all others. */
export const promptOf = ({ model, operation, name }: Case): string => `${model.id} ${operation} ${name}`;

function bodyOf(one: Case): Json {
  const { model, route, given, n, partialImages, responseFormat } = one;
  return {
    model: model.id,
    prompt: promptOf(one),
    provider: { only: [route.provider] },
    ...given,
    ...(n === 1 ? {} : { n }),
    response_format: responseFormat,
    ...(partialImages === undefined ? {} : { stream: true }),
    ...(partialImages ? { partial_images: partialImages } : {}),
  };
}

async function ask(router: TestRouter, one: Case): Promise<Answer> {
  const authorization = `Bearer ${router.keys.live}`;
  const json = { authorization, "content-type": "application/json" };
  if (one.operation === "edit") {
    const path = `${router.url}/v1/images/edits`;
    return read(one, await fetch(path, { method: "POST", headers: { authorization }, body: formOf(one) }), null);
  }
  const text = JSON.stringify(bodyOf(one));
  const quote = await fetch(`${router.url}/v1/images/quote`, { method: "POST", headers: json, body: text });
  const quoted = quote.ok ? ((await quote.json()) as { quote_usd: number; routes: { sent: Json }[] }) : null;
  const answer = await fetch(`${router.url}/v1/images/generations`, { method: "POST", headers: json, body: text });
  return read(one, answer, quoted && { usd: quoted.quote_usd, sent: quoted.routes[0]?.sent ?? {} });
}

/** As the official clients write it: texts, and the pictures as `image[]`. */
function formOf(one: Case): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(bodyOf(one)))
    form.append(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  for (const [index, { bytes, type }] of one.pictures.entries())
    form.append("image[]", new File([bytes], `${index}.${type}`, { type: `image/${type}` }));
  for (const name of overlaysAsked(one))
    form.append(name, new File([overlayOf(one)], "mask.png", { type: "image/png" }));
  return form;
}

/** With an alpha channel, and of the first picture's size. */
export const overlayOf = (_one: Case): Uint8Array<ArrayBuffer> => new Uint8Array(clearPng(96, 64));

async function read(one: Case, response: Response, quoted: Outcome["quoted"]): Promise<Answer> {
  const { headers, status } = response;
  const known = { id: headers.get("x-arouter-generation-id"), status, quoted, previews: 0 };
  const told = { warnings: headers.get("x-arouter-warnings"), cost: headers.get("x-arouter-cost-usd") };
  const none = { code: null, param: null, message: "", pictures: [] };
  if (status !== 200) {
    const { error } = (await response.json()) as { error: { code: string; param: string | null; message: string } };
    return { ...known, ...told, ...none, code: error.code, param: error.param, message: error.message };
  }
  if (one.partialImages === undefined) {
    const { data } = (await response.json()) as ImagesAnswer;
    const pictures = await Promise.all(data.map(async (image) => pictureOf(await bytesOf(image))));
    return { ...known, ...told, ...none, pictures };
  }
  const { events } = await readEvents(response);
  const last = events.at(-1);
  if (last === undefined || !last.name.endsWith(".completed")) throw new Error(`${promptOf(one)}: ${last?.name}`);
  const { b64_json: base64, arouter } = last.data as { b64_json: string; arouter: Json };
  const warnings = (arouter.warnings as string[]).join(", ") || null;
  const previews = events.filter(({ name }) => isPreview(name)).length;
  const pictures = [await pictureOf(Uint8Array.fromBase64(base64))];
  return { ...known, ...none, warnings, cost: String(arouter.cost_usd), pictures, previews };
}

async function pictureOf(bytes: Uint8Array): Promise<Picture> {
  const { width, height, format } = await new Bun.Image(bytes).metadata();
  return { width, height, type: format };
}
