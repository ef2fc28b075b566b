/** From a request to an answer: read → generate → present, alike for generations and edits. */
import type { Key } from "../accounts/keys.ts";
import { readRateLimit } from "../accounts/limits.ts";
import type { Model } from "../catalogue/index.ts";
import { invalidValue } from "../catalogue/wording.ts";
import { PublicError } from "../errors.ts";
import { perMinuteLimit } from "../generation/admit.ts";
import type { FinishedGeneration } from "../generation/finished.ts";
import { type GenerationRequest, generate, type StartedGeneration } from "../generation/generate.ts";
import { readGeneration, readNowTried } from "../generation/records.ts";
import { readRepeatHeaders } from "../generation/repeats.ts";
import { formatUsd } from "../money.ts";
import { answerWithBase64, answerWithLinks, answerWithPicture } from "./answer.ts";
import { picturesOf } from "./edit-pictures.ts";
import { beginEvents } from "./event-stream.ts";
import { generationObject, hasEnded, pollAfterSeconds } from "./generation-object.ts";
import { authenticate, originOf, requireInference } from "./request.ts";
import type { HttpContext, Server } from "./types.ts";

type Headers = Record<string, string>;

/** One job, several views: OpenAI's JSON, the picture itself, an event stream, or a 202 to come back to. */
type View = "json" | "picture" | "events" | "later";

/** @param read the body as a request; the pictures in it are the generation's once `generate` has been called */
export async function createImages(
  server: Server,
  c: HttpContext,
  read: () => Promise<GenerationRequest>,
): Promise<Response> {
  c.header("x-arouter-cost-usd", "0"); // until something is charged; answers of a finished generation say it anew
  const key = await authenticate(server, c);
  requireInference(key);
  try {
    return withHeaders(await createForKey(server, c, key, read), await rateHeaders(server, key));
  } catch (error) {
    for (const [name, value] of Object.entries(await rateHeaders(server, key))) c.header(name, value);
    throw error;
  }
}

async function createForKey(
  server: Server,
  c: HttpContext,
  key: Key,
  read: () => Promise<GenerationRequest>,
): Promise<Response> {
  const repeat = readRepeatHeaders((name) => c.req.header(name), server.config.joinClientRetries);
  const request = await read();
  c.env.keepOpen?.(c.req.raw);
  const view = await orForget(server, request, () => {
    // The last look before admission counts: from here on a stopping server waits for this request.
    if (!server.isDraining()) return viewOf(c, request.body);
    throw new PublicError("shutting_down", "This server is shutting down. Please try again.", { retryAfterMs: 2_000 });
  });
  const attribution = {
    requestId: c.get("requestId"),
    referer: c.req.header("http-referer") ?? null,
    title: c.req.header("x-title") ?? null,
    origin: originOf(server, c),
  };
  const started = await generate(server, key, request, attribution, { onePicture: view === "picture", repeat });
  c.header("x-arouter-generation-id", started.id); // also when its pictures are gone already
  Object.assign(c.get("log"), { generation: started.id });
  const lifecycle = lifecycleHeaders(started.checked.model);
  if (view === "later") return answerLater(server, c, key, started, lifecycle);
  if (view === "events") {
    const events = beginEvents(server, started, c.req.raw.signal);
    const early = await events.early;
    const { "x-arouter-cost-usd": _cost, ...known } =
      early === null ? await headersBefore(server, c, started, lifecycle) : checkEnded(c, early, lifecycle);
    return events.answer(known);
  }
  const finished = await started.finished;
  const headers = checkEnded(c, finished, lifecycle);
  if (view === "picture") return answerWithPicture(server, finished, headers);
  if (started.checked.responseFormat === "b64_json") return answerWithBase64(server, finished, headers);
  return answerWithLinks(server, finished, headers, originOf(server, c));
}

/** What was refused before `generate` has seen it leaves no pictures behind. */
async function orForget<T>(server: Server, { given }: GenerationRequest, check: () => T): Promise<T> {
  try {
    return check();
  } catch (error) {
    if (given !== undefined) await server.inputs.release(picturesOf(given));
    throw error;
  }
}

/** @throws PublicError for views that exclude each other: none of them could be honoured to the letter */
function viewOf(c: HttpContext, { stream }: Record<string, unknown>): View {
  const picture = acceptsOnlyPictures(c.req.header("accept") ?? "");
  const later = prefersLater(c.req.header("prefer") ?? "");
  if (stream === true && picture) {
    throw invalidValue("stream", "With 'Accept: image/*' the answer is the picture itself; 'stream' cannot be true.");
  }
  if (stream === true && later) {
    throw invalidValue("stream", "With 'Prefer: respond-async' nothing is streamed; 'stream' cannot be true.");
  }
  if (picture && later) {
    throw new PublicError(
      "invalid_value",
      "'Prefer: respond-async' is answered with JSON, which 'Accept: image/*' excludes. Drop one of the two headers.",
    );
  }
  return stream === true ? "events" : later ? "later" : picture ? "picture" : "json";
}

/** `Accept: image/*` asks for the picture itself; a client that takes JSON as gladly gets OpenAI's answer. */
function acceptsOnlyPictures(accept: string): boolean {
  const types = accept.split(",").map((type) => type.trim().toLowerCase());
  const weightOf = (kind: string) =>
    Math.max(0, ...types.filter((type) => type.startsWith(kind)).map((type) => weight(type)));
  return weightOf("image/") > weightOf("application/json");
}

/** RFC 9110 §12.4.2: 1 where nothing is said, 0 for "not that". */
const weight = (type: string): number => Number(/;\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)/.exec(type)?.[1] ?? 1);

/** RFC 7240: preferences are separated by commas and may have values and parameters. */
function prefersLater(prefer: string): boolean {
  return prefer.split(",").some((preference) => /^respond-async\s*(?:[;=]|$)/i.test(preference.trim()));
}

/** 202, whatever the generation's state: a repeat of it may have ended already. */
async function answerLater(
  server: Server,
  c: HttpContext,
  key: Key,
  started: StartedGeneration,
  lifecycle: Headers,
): Promise<Response> {
  // Nobody waits for it here; it is found under its id.
  started.finished.catch(() => {});
  const record = await readGeneration(server.database, started.id, key);
  const { id, model, provider, cost_nanos } = record.generation;
  Object.assign(c.get("log"), { model, provider });
  const headers: Headers = {
    "x-arouter-generation-id": id,
    "x-arouter-model": model,
    "x-arouter-provider": provider,
    "x-arouter-cost-usd": formatUsd(BigInt(cost_nanos)),
    location: `/v1/images/generations/${id}`,
    "preference-applied": "respond-async",
    ...(hasEnded(record) ? {} : { "retry-after": String(pollAfterSeconds) }),
    ...lifecycle,
  };
  return Response.json(generationObject(server, record, originOf(server, c)), { status: 202, headers });
}

/**
 * Headers of a stream whose end is not known yet: of what is being tried. Once a preview has been handed on, that is what
 * will answer (decision 0031).
 */
async function headersBefore(
  server: Server,
  c: HttpContext,
  { id, plan }: StartedGeneration,
  lifecycle: Headers,
): Promise<Headers> {
  const [first, second] = plan?.candidates ?? [];
  const { model, provider } =
    first === undefined || second !== undefined
      ? await readNowTried(server.database, id)
      : { model: first.checked.model.id, provider: first.provider.adapter.id };
  Object.assign(c.get("log"), { model, provider });
  return { "x-arouter-generation-id": id, "x-arouter-model": model, "x-arouter-provider": provider, ...lifecycle };
}

/**
 * Headers of the answer to a generation that has ended.
 * @throws its error, after setting them
 */
function checkEnded(c: HttpContext, finished: FinishedGeneration, lifecycle: Headers): Headers {
  const { model, provider, warnings } = finished;
  const cost = formatUsd(finished.cost);
  Object.assign(c.get("log"), { model, provider, cost });
  const headers: Headers = {
    "x-arouter-generation-id": finished.id,
    "x-arouter-model": model,
    "x-arouter-provider": provider,
    "x-arouter-cost-usd": cost,
    ...(warnings.length === 0 ? {} : { "x-arouter-warnings": warnings.join(", ") }),
    ...lifecycle,
  };
  if (finished.error === null) return headers;
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  throw finished.error;
}

/** RFC 9745, RFC 8594 and RFC 5829, for models with an end date. */
function lifecycleHeaders({ lifecycle }: Model): Headers {
  const { endDate, successor } = lifecycle;
  if (endDate === null) return {};
  const end = new Date(`${endDate}T00:00:00Z`);
  return {
    deprecation: `@${end.getTime() / 1000}`,
    sunset: end.toUTCString(),
    ...(successor === null ? {} : { link: `</v1/models/${successor}>; rel="successor-version"` }),
  };
}

/** `X-RateLimit-*` for keys with a limit on requests, as it stands after this request. */
async function rateHeaders(server: Server, key: Key): Promise<Headers> {
  const state = await readRateLimit(server.database, key, perMinuteLimit(key, server.config), server.clock.now());
  if (state === null) return {};
  return {
    "x-ratelimit-limit": String(state.limit),
    "x-ratelimit-remaining": String(state.remaining),
    "x-ratelimit-reset": String(Math.ceil(state.resetAt / 1000)),
  };
}

function withHeaders(response: Response, headers: Headers): Response {
  for (const [name, value] of Object.entries(headers)) response.headers.set(name, value);
  return response;
}
