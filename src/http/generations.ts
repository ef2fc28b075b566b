/** Making pictures and looking at what was made. */
import type { Hono } from "hono";
import type { Key } from "../accounts/keys.ts";
import { readRateLimit } from "../accounts/limits.ts";
import type { Model } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import { perMinuteLimit } from "../generation/admit.ts";
import { cancelGeneration } from "../generation/cancel.ts";
import type { FinishedGeneration } from "../generation/finished.ts";
import { generate } from "../generation/generate.ts";
import { readGeneration } from "../generation/records.ts";
import { readRepeatHeaders } from "../generation/repeats.ts";
import { formatUsd } from "../money.ts";
import { answerWithBase64, answerWithLinks, answerWithPicture } from "./answer.ts";
import { flatGeneration, generationObject } from "./generation-object.ts";
import { methods } from "./methods.ts";
import { authenticate, originOf, readJsonObject, requireInference } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

export function addGenerations(app: Hono<Env>, server: Server): void {
  methods(app, "/v1/images/generations", { POST: (c) => createGeneration(server, c) });
  methods(app, "/v1/images/generations/:id", {
    GET: async (c) => {
      const record = await readGeneration(server.database, c.req.param("id") ?? "", await authenticate(server, c));
      return c.json(generationObject(server, record, originOf(server, c)));
    },
    DELETE: async (c) => {
      const key = await authenticate(server, c);
      const { generation } = await readGeneration(server.database, c.req.param("id") ?? "", key);
      await cancelGeneration(server, generation.id);
      const record = await readGeneration(server.database, generation.id, key);
      const ended = record.generation.finished_at !== null;
      return c.json(generationObject(server, record, originOf(server, c)), ended ? 200 : 202);
    },
  });
  methods(app, "/api/v1/generation", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      const id = c.req.query("id");
      if (id === undefined)
        throw new PublicError("missing_required_parameter", "Missing required parameter: 'id'.", { param: "id" });
      return c.json(flatGeneration(await readGeneration(server.database, id, key), server.clock.now()));
    },
  });
}

async function createGeneration(server: Server, c: HttpContext): Promise<Response> {
  c.header("x-arouter-cost-usd", "0"); // until something is charged; answers of a finished generation say it anew
  const key = await authenticate(server, c);
  requireInference(key);
  try {
    return withHeaders(await answerGeneration(server, c, key), await rateHeaders(server, key));
  } catch (error) {
    for (const [name, value] of Object.entries(await rateHeaders(server, key))) c.header(name, value);
    throw error;
  }
}

async function answerGeneration(server: Server, c: HttpContext, key: Key): Promise<Response> {
  const wantsPicture = acceptsOnlyPictures(c.req.header("accept") ?? "");
  const repeat = readRepeatHeaders((name) => c.req.header(name), server.config.joinClientRetries);
  const body = await readJsonObject(c);
  c.env.keepOpen?.(c.req.raw);
  // The last look before admission counts: from here on a stopping server waits for this request.
  if (server.isDraining()) {
    throw new PublicError("shutting_down", "This server is shutting down. Please try again.", { retryAfterMs: 2_000 });
  }
  const attribution = {
    requestId: c.get("requestId"),
    referer: c.req.header("http-referer") ?? null,
    title: c.req.header("x-title") ?? null,
  };
  const started = await generate(server, key, body, attribution, { onePicture: wantsPicture, repeat });
  c.header("x-arouter-generation-id", started.id); // also when its pictures are gone already
  const finished = await started.finished;
  const { model, provider, id: generation } = finished;
  Object.assign(c.get("log"), { generation, model, provider, cost: formatUsd(finished.cost) });
  const headers = { ...generationHeaders(finished), ...lifecycleHeaders(started.checked.model) };
  if (finished.error !== null) {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    throw finished.error;
  }
  if (wantsPicture) return answerWithPicture(server, finished, headers);
  if (started.checked.responseFormat === "b64_json") return answerWithBase64(server, finished, headers);
  return answerWithLinks(server, finished, headers, originOf(server, c));
}

/** `Accept: image/*` asks for the picture itself; a client that also takes JSON gets OpenAI's answer. */
function acceptsOnlyPictures(accept: string): boolean {
  const types = accept.split(",").map((type) => type.trim().toLowerCase());
  return types.some((type) => type.startsWith("image/")) && !types.some((type) => type.startsWith("application/json"));
}

/** `X-RateLimit-*` for keys with a limit on requests, as it stands after this request. */
async function rateHeaders(server: Server, key: Key): Promise<Record<string, string>> {
  const state = await readRateLimit(server.database, key, perMinuteLimit(key, server.config), server.clock.now());
  if (state === null) return {};
  return {
    "x-ratelimit-limit": String(state.limit),
    "x-ratelimit-remaining": String(state.remaining),
    "x-ratelimit-reset": String(Math.ceil(state.resetAt / 1000)),
  };
}

function withHeaders(response: Response, headers: Record<string, string>): Response {
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}

/** Headers of every answer to a generation that was admitted, good or bad. */
function generationHeaders(finished: FinishedGeneration): Record<string, string> {
  return {
    "x-arouter-generation-id": finished.id,
    "x-arouter-model": finished.model,
    "x-arouter-provider": finished.provider,
    "x-arouter-cost-usd": formatUsd(finished.cost),
    ...(finished.warnings.length === 0 ? {} : { "x-arouter-warnings": finished.warnings.join(", ") }),
  };
}

/** RFC 9745 and RFC 8594, for models with an end date. */
function lifecycleHeaders({ lifecycle }: Model): Record<string, string> {
  if (lifecycle.endDate === null) return {};
  const end = new Date(`${lifecycle.endDate}T00:00:00Z`);
  return { deprecation: `@${end.getTime() / 1000}`, sunset: end.toUTCString() };
}
