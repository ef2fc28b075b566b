/** OpenAI Images, and every upstream that speaks the same protocol (upstream-apis.md §2). Answers at once. */
import { z } from "zod";
import { type Adapter, type DeliveredImage, InlineImage, type Reply, type Step } from "./provider.ts";
import {
  describe,
  describeReply,
  failed,
  failedByStatus,
  linkSchema,
  optional,
  requestId,
  retryAfterMs,
} from "./replies.ts";

/** §2.4. The GPT models send `b64_json`; `url` and `revised_prompt` are the legacy DALL·E contract (§2.2). */
const successSchema = z.object({
  data: z.array(
    z
      .object({
        b64_json: z.instanceof(InlineImage).nullish(),
        url: linkSchema.nullish(),
        revised_prompt: optional(z.string()),
      })
      .refine((item) => item.b64_json || item.url),
  ),
  usage: optional(z.record(z.string(), z.unknown())),
  size: optional(z.string().regex(/^\d+x\d+$/)),
});

/** §2.6. Four keys on OpenAI itself; compatible servers leave some out or send `code` as a number. */
const errorSchema = z.object({
  error: z.object({
    message: optional(z.string()),
    type: optional(z.string()),
    param: optional(z.string()),
    code: optional(z.union([z.string(), z.number().transform(String)])),
    moderation_details: optional(z.object({ categories: optional(z.array(z.string())) })),
  }),
});
type VendorError = z.infer<typeof errorSchema>["error"];

/** Types and codes that mean the same whatever the status: billing comes as 429 and as 400 (§2.6). */
const quotaNames = [
  "insufficient_quota",
  "credit_balance_exhausted",
  "organization_spend_limit_exceeded",
  "project_spend_limit_exceeded",
  "organization_usage_limit_exceeded",
  "billing_hard_limit_reached",
  "billing_limit_user_error",
];
/** GPT models, legacy DALL·E, Azure (§6.3). */
const refusalCodes = ["moderation_blocked", "content_policy_violation", "content_filter"];
const serverFaultTypes = ["server_error", "image_generation_server_error"];

const unknownPathHint = "; is the base URL right (it ends in /v1)? Unknown paths answer an empty 404";

export const openai: Adapter = {
  id: "openai",
  name: "OpenAI",
  settings: {
    keyVariable: "OPENAI_API_KEY",
    baseUrlVariable: "OPENAI_BASE_URL",
    defaultBaseUrl: "https://api.openai.com/v1",
  },
  authorize: (credential) => ({ authorization: `Bearer ${credential}` }),
  inlineImageFields: ["b64_json"],

  submit: (job) => ({
    method: "POST",
    url: "/images/generations",
    body: { kind: "json", value: { model: job.model, n: job.count, ...job.parameters } },
  }),

  // §2.1.
  probe: () => ({ method: "GET", url: "/models" }),

  read(reply) {
    // 201 is what some web frameworks answer to any POST; a paid picture is not lost over it.
    return reply.status === 200 || reply.status === 201 ? readSuccess(reply) : readFailure(reply);
  },
};

function readSuccess(reply: Reply): Step {
  const upstreamId = requestId(reply.headers);
  const parsed = successSchema.safeParse(reply.body.kind === "json" ? reply.body.value : undefined);
  if (!parsed.success) {
    const where = reply.body.kind === "json" ? ` (at ${parsed.error.issues[0]?.path.join(".") || "the top"})` : "";
    return failed(
      "contract_changed",
      `OpenAI answered ${reply.status} without the documented list of pictures${where}: ${describe(reply.body)}.`,
      { upstreamId },
    );
  }
  const { data, usage, size } = parsed.data;
  const images: DeliveredImage[] = [];
  for (const { b64_json, url, revised_prompt } of data) {
    const source = b64_json ?? (url ? { url } : undefined);
    if (source) images.push(revised_prompt ? { source, revisedPrompt: revised_prompt } : { source });
  }
  return { kind: "done", images, ...(usage && { usage }), ...(upstreamId && { upstreamId }), ...(size && { size }) };
}

/** The body decides before the status does (§2.6): OpenAI's 400 covers moderation, billing and retired models alike. */
function readFailure(reply: Reply): Step {
  const { status, headers, body } = reply;
  const parsed = errorSchema.safeParse(body.kind === "json" ? body.value : undefined);
  const upstreamId = requestId(headers);
  if (!parsed.success) {
    if (status === 404) return failed("contract_changed", `${describeReply(reply)}${unknownPathHint}`, { upstreamId });
    const waitMs = status === 429 ? rateLimitWaitMs("", headers) : retryAfterMs(headers);
    return failedByStatus(reply, describeReply(reply), { upstreamId, retryAfterMs: waitMs });
  }
  const { error } = parsed.data;
  const { type, param, code } = error;
  const message = error.message || describeReply(reply);
  const names = [type ?? "", code ?? ""];

  if (names.some((name) => quotaNames.includes(name))) return failed("quota", message, { upstreamId });
  if (code && refusalCodes.includes(code))
    return failed("refused", message, { categories: refusalCategories(error), upstreamId });
  if (status === 401 || code === "invalid_api_key") return failed("auth", message, { upstreamId });
  if (status === 429 || code === "rate_limit_exceeded")
    return failed("rate_limited", message, { retryAfterMs: rateLimitWaitMs(message, headers), upstreamId });
  if (type && serverFaultTypes.includes(type))
    return failed("upstream_error", message, { retryAfterMs: retryAfterMs(headers), upstreamId });
  // The route chose the model, not the client. `model_not_found` (404, older) also comes as 403 for a project without it.
  if (status < 500 && (code === "model_not_found" || (code === "invalid_value" && param === "model")))
    return failed("model_unavailable", message, { upstreamId });
  if (status === 400 || status === 404 || status === 422)
    return failed("invalid_request", message, { param: param ?? undefined, upstreamId });
  return failedByStatus(reply, message, { retryAfterMs: retryAfterMs(headers), upstreamId });
}

function refusalCategories(error: VendorError): string[] | undefined {
  const named = error.moderation_details?.categories;
  if (named?.length) return named;
  const listed = error.message?.match(/safety_violations=\[([^\]]*)\]/)?.[1];
  return listed?.split(",").flatMap((category) => category.trim() || []);
}

/** Headers first, then the sentence `Please try again in 12s`, then the counters' own resets (§2.1, §2.6). */
function rateLimitWaitMs(message: string, headers: Reply["headers"]): number | undefined {
  const stated =
    retryAfterMs(headers) ?? durationMs(message.match(/try again in ((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)/i)?.[1]);
  if (stated !== undefined) return stated;
  const counters = ["requests", "tokens", "input-images"];
  const exhausted = counters.filter((counter) => headers[`x-ratelimit-remaining-${counter}`]?.trim() === "0");
  const resets = (exhausted.length > 0 ? exhausted : counters).flatMap(
    (counter) => durationMs(headers[`x-ratelimit-reset-${counter}`]) ?? [],
  );
  return resets.length > 0 ? Math.max(...resets) : undefined;
}

/** `12s`, `6m0s`, `250ms`. */
function durationMs(text: string | undefined): number | undefined {
  if (text === undefined || !/^(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+$/i.test(text)) return undefined;
  const unitMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const parts = [...text.toLowerCase().matchAll(/([\d.]+)(ms|[dhms])/g)];
  return Math.ceil(parts.reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitMs[unit ?? ""] ?? 0), 0));
}
