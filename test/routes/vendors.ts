/** The doubles, as the tests of routes see them: what came to them, and what it cost there. */
import { type AzureDouble, startAzure } from "../doubles/azure.ts";
import { type BflDouble, startBfl } from "../doubles/bfl.ts";
import type { Double, RecordedRequest } from "../doubles/double.ts";
import { startFal } from "../doubles/fal.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { creditsFor, type Endpoint } from "../doubles/stability-rules.ts";
import type { Sent } from "./words.ts";

export interface Arrived {
  /** What names the vendor's model in the call: a field of the body, or the path. */
  model: unknown;
  /** The parameters, without pictures and without the model. */
  fields: Sent;
  /** Images in their order, then mask and markup. */
  pictures: Uint8Array[];
  /** In which fields they came. */
  pictureFields: string[];
  usage: Record<string, unknown> | undefined;
}

export interface Vendor {
  double: Double;
  env: Record<string, string>;
  /** A call as it came; `prompt` is among its fields. */
  read(request: RecordedRequest): Arrived;
  /** Credits of a cent that the call took, where the vendor counts so. */
  credits?(request: RecordedRequest): number;
}

// Jobs are over when they are first looked at, and results lie at the API's own origin: on loopback, any other is refused.
const jobs = { fileOrigin: "same" } as const;

export const vendors: Readonly<Record<string, () => Vendor>> = {
  openai() {
    const double = startOpenAi();
    const env = { OPENAI_API_KEY: double.key, OPENAI_BASE_URL: double.url };
    return { double, env, read: (request) => readGpt(double, request) };
  },
  azure() {
    const double = startAzure();
    const env = { AZURE_OPENAI_API_KEY: double.key, AZURE_OPENAI_ENDPOINT: double.url };
    return { double, env, read: (request) => readGpt(double, request) };
  },
  stability() {
    const double = startStability({ rateLimit: Number.POSITIVE_INFINITY, credits: 1e9 });
    const env = { STABILITY_API_KEY: double.key, STABILITY_BASE_URL: double.url };
    const endpointOf = ({ path }: RecordedRequest) => path.split("/").at(-1) as Endpoint;
    return {
      double,
      env,
      read(request) {
        const { model, ...rest } = request.body as Sent;
        const named = endpointOf(request) === "sd3" ? { model } : {};
        return { ...split({ ...rest, ...named }, ["image"], bytesOfFile), model: model ?? endpointOf(request) };
      },
      credits: (request) => creditsFor(endpointOf(request), request.body as Sent),
    };
  },
  replicate() {
    const double = startReplicate({ ...jobs, progress: { polls: 0 } });
    const env = { REPLICATE_API_TOKEN: double.key, REPLICATE_BASE_URL: double.url };
    return {
      double,
      env,
      read({ path, body }) {
        const { input, ...others } = body as { input: Sent };
        if (Object.keys(others).length > 0) throw new Error(`beside input: ${Object.keys(others)}`);
        const model = /^\/v1\/models\/(.+)\/predictions$/.exec(path)?.[1];
        return { ...split(input, ["image", "input_image", "input_images"], bytesOfDataUrl), model };
      },
    };
  },
  bfl() {
    const double = startBfl({ ...jobs, progress: { pendingPolls: 0 }, credits: 1e9 });
    const env = { BFL_API_KEY: double.key, BFL_BASE_URL: double.url };
    const numbered = Array.from({ length: 10 }, (_, index) => `input_image${index === 0 ? "" : `_${index + 1}`}`);
    return {
      double,
      env,
      read: ({ path, body }) => ({
        ...split(body as Sent, numbered, (text) =>
          Uint8Array.fromBase64(String(text), { lastChunkHandling: "strict" }),
        ),
        model: path.slice("/v1/".length),
      }),
      credits: ({ body }) => costOfTask(double, body as Sent),
    };
  },
  fal() {
    const double = startFal({ ...jobs, progress: { pendingPolls: 0 } });
    const env = { FAL_KEY: double.key, FAL_BASE_URL: double.url };
    return {
      double,
      env,
      // `image_url` is a link of the client's at ultra, and no picture of an edit.
      read: ({ path, body }) => ({
        ...split(body as Sent, ["image_urls"], bytesOfDataUrl),
        model: path.slice(1),
      }),
    };
  },
};

function split(
  body: Sent,
  pictureFields: readonly string[],
  bytesOf: (value: unknown) => Uint8Array,
): Omit<Arrived, "model"> {
  const fields = { ...body };
  const pictures: Uint8Array[] = [];
  const found: string[] = [];
  for (const name of pictureFields) {
    if (fields[name] === undefined) continue;
    for (const value of [fields[name]].flat()) {
      pictures.push(bytesOf(value));
      found.push(name);
    }
    delete fields[name];
  }
  return { fields, pictures, pictureFields: found, usage: undefined };
}

/** Files are read before: see `readFiles`. */
function bytesOfFile(value: unknown): Uint8Array {
  const bytes = files.get(value as File);
  if (bytes === undefined) throw new Error("a file that has not been read");
  return bytes;
}

const files = new WeakMap<File, Uint8Array>();

/** Reads the files of a form once, so that the rest can do without waiting. */
export async function readFiles({ body }: RecordedRequest): Promise<void> {
  if (typeof body !== "object" || body === null) return;
  for (const value of Object.values(body).flat()) if (value instanceof File) files.set(value, await value.bytes());
}

export function bytesOfDataUrl(value: unknown): Uint8Array {
  const base64 = /^data:image\/(?:png|jpeg|webp);base64,(.+)$/.exec(String(value))?.[1];
  if (base64 === undefined) throw new Error(`no data URL: ${String(value).slice(0, 60)}`);
  return Uint8Array.fromBase64(base64, { lastChunkHandling: "strict" });
}

function readGpt(double: OpenAiDouble | AzureDouble, request: RecordedRequest): Arrived {
  const { model, ...fields } = request.body as Sent;
  for (const name of ["image", "image[]", "mask", "markup"]) delete fields[name];
  const inputs = double.inputsOf(request);
  return {
    model,
    fields,
    pictures: inputs.map(({ bytes }) => bytes ?? new Uint8Array()),
    pictureFields: inputs.map(({ field }) => field),
    usage: request.usage,
  };
}

/** A task is known by its prompt and seed. */
function costOfTask(double: BflDouble, { prompt, seed }: Sent): number {
  const task = double.tasks.find(({ input }) => input.prompt === prompt && input.seed === seed);
  if (task === undefined) throw new Error("no task was made of this call");
  return task.cost;
}
