/** What the contract tests share: readers of answers, the founding page's models, upstream doubles wired to a router. */
import { Database } from "bun:sqlite";
import { expect } from "bun:test";
import { join } from "node:path";
import { createKey } from "../../src/accounts/keys.ts";
import { systemRandom } from "../../src/ports.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import type { DoubleOptions } from "../doubles/double.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { type ReplicateDouble, startReplicate } from "../doubles/replicate.ts";
import { type StabilityDouble, startStability } from "../doubles/stability.ts";
import { promisedErrors } from "./error-table.ts";

export const dallE3 = "openai/dall-e-3";
export const dallE2 = "openai/dall-e-2";
export const stableDiffusion = "stability/stable-diffusion-3-large";
export const flux = "black-forest-labs/flux-1-pro";
export const seedModels = [dallE3, dallE2, stableDiffusion, flux];

export type Json = Record<string, unknown>;

export interface AnsweredImage {
  url?: string;
  b64_json?: string;
  revised_prompt?: string;
}

export interface ImagesAnswer {
  created: number;
  data: AnsweredImage[];
  size?: string;
  usage?: Json;
}

export interface ErrorBody {
  error: { message: string; type: string; param: string | null; code: string | null };
  code: string | null;
}

/** The generation object of CONTRACT.md. */
export interface GenerationObject {
  id: string;
  object: string;
  status: string;
  created: number;
  finished: number | null;
  model: string;
  provider: string;
  requested: Json;
  sent: Json | null;
  data: Array<{
    url?: string;
    revised_prompt?: string;
    size: string;
    bytes: number;
    content_type: string;
    expires_at: number;
  }>;
  error: { code: string; message: string; param: string | null } | null;
  warnings: string[];
  usage: Json | null;
  cost_usd: number;
  attempts: Array<{
    provider: string;
    model: string;
    status: string;
    started: number;
    finished: number | null;
    upstream_id: string | null;
    error: unknown;
  }>;
}

export const jsonOf = async <Body = Json>(response: Response): Promise<Body> => (await response.json()) as Body;

/** The images of an answer that has to be good; a refusal shows its words instead of a missing property. */
export async function imagesOf(response: Response): Promise<ImagesAnswer> {
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  return jsonOf<ImagesAnswer>(response);
}

/** One of a list that has to have it. */
export function at<Item>(list: readonly Item[], index = 0): Item {
  const item = list.at(index);
  if (item === undefined) throw new Error(`nothing at ${index} of ${list.length}`);
  return item;
}

export function urlOf(image: AnsweredImage): string {
  if (image.url === undefined) throw new Error("no url");
  return image.url;
}

/** Bytes of an image of an answer, whichever way it was presented. */
export async function bytesOf(image: AnsweredImage): Promise<Uint8Array> {
  if (image.b64_json !== undefined) return Uint8Array.fromBase64(image.b64_json);
  const response = await fetch(urlOf(image));
  expect(response.status).toBe(200);
  return response.bytes();
}

/** `1024x1024 png`: what a decoder makes of the bytes, whatever anybody says about them. */
export async function pictureOf(bytes: Uint8Array): Promise<string> {
  const { width, height, format } = await new Bun.Image(bytes).metadata();
  return `${width}x${height} ${format}`;
}

/**
 * Holds an error to the contract: status, type and retry advice of its code, four keys, the code repeated at the top,
 * a request id, and waiting times where they must be.
 */
export async function expectError(
  response: Response,
  code: string,
  options: { param?: string | null; message?: RegExp } = {},
): Promise<ErrorBody> {
  const text = await response.text();
  const seen = `${response.status} ${text.slice(0, 400)}`;
  const promise = promisedErrors[code];
  if (promise === undefined) throw new Error(`no such code in the contract: ${code}`);
  const body = JSON.parse(text) as ErrorBody;
  expect(body, seen).toEqual({
    error: { message: expect.any(String), type: promise.type, param: body.error?.param, code },
    code,
  });
  expect(Object.keys(body.error).sort()).toEqual(["code", "message", "param", "type"]);
  expect(body.error.message).not.toBe("");
  if (body.error.param !== null) expect(body.error.param).toBeString();
  expect(response.status, seen).toBe(promise.status);
  expectErrorHeaders(response, promise.retry);
  if (options.param !== undefined) expect(body.error.param).toBe(options.param);
  if (options.message !== undefined) expect(body.error.message).toMatch(options.message);
  return body;
}

/** Also for answers without a body, as to HEAD. */
export function expectErrorHeaders(response: Response, retry: boolean): void {
  const { headers } = response;
  expect(headers.get("x-should-retry")).toBe(String(retry));
  expect(headers.get("x-request-id")).toMatch(/^\S{8,}$/);
  expect(headers.get("content-type")).toStartWith("application/json");
  if (response.status !== 429) return;
  const milliseconds = Number(headers.get("retry-after-ms"));
  expect(milliseconds).toBeGreaterThan(0);
  // Whole seconds, never less than the milliseconds say: a client that knows only one of them waits long enough.
  expect(headers.get("retry-after")).toBe(String(Math.ceil(milliseconds / 1000)));
}

/** Doubles of the three providers, and the settings that lead a router to them. */
export interface Upstreams {
  openai: OpenAiDouble;
  stability: StabilityDouble;
  replicate: ReplicateDouble;
  all: ReadonlyArray<OpenAiDouble | StabilityDouble | ReplicateDouble>;
  env: Record<string, string>;
  /** Ends all faults. */
  clear(): void;
  stop(): Promise<void>;
}

export function startUpstreams(options: DoubleOptions = {}): Upstreams {
  const openai = startOpenAi(options);
  const stability = startStability({ ...options, rateLimit: Number.POSITIVE_INFINITY, credits: 1e9 });
  // Results on the API's own origin: on loopback, any other is refused.
  const replicate = startReplicate({ ...options, fileOrigin: "same", progress: { startMs: 0, runMs: 0 } });
  const all = [openai, stability, replicate];
  return {
    openai,
    stability,
    replicate,
    all,
    env: {
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      STABILITY_API_KEY: stability.key,
      STABILITY_BASE_URL: stability.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
    },
    clear: () => all.forEach((double) => void double.clear()),
    stop: async () => {
      await Promise.all(all.map((double) => double.stop()));
    },
  };
}

/** Another key on a router's database, made beside the running server as the command does it. */
export async function makeKey(
  dataFolder: string,
  kind: "live" | "test" | "management",
  options: { name?: string; expiresAt?: number } = {},
): Promise<string> {
  const { database, close } = await openSqlite(join(dataFolder, "arouter.db"));
  const clock = { now: () => Date.now(), sleep: () => Promise.resolve() };
  const wanted = { name: options.name ?? `another ${kind}`, kind, expiresAt: options.expiresAt ?? null };
  const { secret } = await createKey(database, wanted, "test", { clock, random: systemRandom });
  await close();
  return secret;
}

/** Rows straight from the database file, past the router. */
export function rowsOf<Row>(dataFolder: string, sql: string): Row[] {
  const database = new Database(join(dataFolder, "arouter.db"), { readonly: true });
  try {
    return database.query(sql).all() as Row[];
  } finally {
    database.close();
  }
}

/** Waits until something holds; a machine may be slow, so the patience is long and the steps are short. */
export async function until<Value>(look: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  const deadline = performance.now() + 30_000;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error("waited 30 s in vain");
    await Bun.sleep(20);
  }
}
