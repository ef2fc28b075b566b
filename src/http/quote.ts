/** `POST /v1/images/quote`: checks and prices a request, says what would be tried and sent, and spends nothing. */
import type { Hono } from "hono";
import type { GenerationRequest } from "../generation/generate.ts";
import { quoteRequest } from "../generation/quote.ts";
import { toUsdNumber } from "../money.ts";
import type { InputImage } from "../providers/input.ts";
import { inputsForQuote, readReferences } from "./edit-json.ts";
import { maxEditJsonBytes } from "./edits.ts";
import { methods } from "./methods.ts";
import { authenticate, readJsonObject, requireInference } from "./request.ts";
import type { Env, HttpContext, Server } from "./types.ts";

export function addQuote(app: Hono<Env>, server: Server): void {
  methods(app, "/v1/images/quote", { POST: (c) => answerQuote(server, c) });
}

async function answerQuote(server: Server, c: HttpContext): Promise<Response> {
  const key = await authenticate(server, c);
  requireInference(key);
  const { request, taken, unseenCount } = await readQuoted(server, c);
  try {
    const { plan, routes } = quoteRequest(server, key, request, server.clock.now());
    const { asked } = plan;
    return c.json({
      object: "image.quote",
      operation: asked.operation,
      model: asked.model.id,
      n: asked.n,
      quote_usd: toUsdNumber(plan.holdNanos),
      // Links are not followed for a quote: what is behind them counts as a picture of 2048x2048 pixels.
      unseen_images: unseenCount,
      routes: routes.map(({ provider, model, upstreamModel, quoteNanos, priceRule, sent }) => ({
        provider,
        model,
        upstream_model: upstreamModel,
        quote_usd: toUsdNumber(quoteNanos),
        price_rule: priceRule,
        calls: sent.length,
        sent: sent[0],
      })),
    });
  } finally {
    await server.inputs.release(taken);
  }
}

interface Quoted {
  request: GenerationRequest;
  /** To be given back. */
  taken: InputImage[];
  unseenCount: number;
}

/** The body of a generation, or with `images` that of an edit. */
async function readQuoted(server: Server, c: HttpContext): Promise<Quoted> {
  const json = await readJsonObject(c, undefined, { maxBytes: maxEditJsonBytes });
  if (json.images === undefined) return { request: { body: json }, taken: [], unseenCount: 0 };
  const { references, body } = readReferences(json);
  const { given, taken, unseenCount } = await inputsForQuote(server, references);
  return { request: { body, given }, taken, unseenCount };
}
