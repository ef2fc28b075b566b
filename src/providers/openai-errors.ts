/** What goes wrong in the OpenAI protocol, in bodies and in event streams (upstream-apis.md §2.6, §6.3, §7). */
import { z } from "zod";
import type { FailureClass, Reply, Step } from "./provider.ts";
import { describeReply, failed, failedByStatus, optional, requestId, retryAfterMs } from "./replies.ts";

/**
 * How a server wraps its errors. `object`: OpenAI's envelope (four keys there; others leave some out or send `code` as a
 * number). `string`: sd-server and vLLM's key check. `detail`: FastAPI.
 */
export type ErrorShape = "object" | "string" | "detail";

export interface VendorError {
  message: string | undefined;
  type?: string | undefined;
  param?: string | undefined;
  code?: string | undefined;
  categories?: string[] | undefined;
}

type FailedStep = Extract<Step, { kind: "failed" }>;

const innerErrorSchema = z.object({
  code: optional(z.string()),
  content_filter_result: optional(z.record(z.string(), z.unknown())),
  content_filter_results: optional(z.record(z.string(), z.unknown())),
});
const envelopeSchema = z.object({
  error: z.object({
    message: optional(z.string()),
    type: optional(z.string()),
    param: optional(z.string()),
    code: optional(z.union([z.string(), z.number().transform(String)])),
    moderation_details: optional(z.object({ categories: optional(z.array(z.string())) })),
    // Azure's, by its later and its DALL·E era name (§6.3).
    innererror: optional(innerErrorSchema),
    inner_error: optional(innerErrorSchema),
  }),
});
const stringSchema = z.object({ error: z.string(), message: optional(z.string()) });
const detailSchema = z.object({
  detail: z.union([
    z.string(),
    z.array(z.object({ loc: optional(z.array(z.union([z.string(), z.number()]))), msg: z.string() })).min(1),
  ]),
});

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
const azureRefusal = "ResponsibleAIPolicyViolation";
const refusalCodes = ["moderation_blocked", "content_policy_violation", "content_filter", azureRefusal];
const serverFaultTypes = ["server_error", "image_generation_server_error"];
/** `DeploymentNotFound` is Azure's (§6.3); `model_not_found` (404, older) also comes as 403 for a project without the model. */
const goneCodes = ["model_not_found", "DeploymentNotFound"];
/** `{"detail":"Not Found"}` is FastAPI's word for an unknown path, `Resource not found` Azure's and LocalAI's. */
const unknownPath = /^(?:resource )?not found\.?$/i;
/** vLLM and LocalAI name no code: "The model `x` does not exist.", `model "x" not found`, "Model mismatch: …". */
const modelMissing = /\bmodel\b.*\b(?:not found|does not exist)\b/i;
const modelMismatch = /^model mismatch\b/i;

const unknownPathHint = "; is the base URL right (it ends in /v1)? Unknown paths answer 404";

/** @returns undefined where the value is an error in none of the shapes */
export function parseError(value: unknown, shapes: readonly ErrorShape[]): VendorError | undefined {
  for (const shape of shapes) {
    const error = parsers[shape](value);
    if (error !== undefined) return error;
  }
  return undefined;
}

const parsers: Record<ErrorShape, (value: unknown) => VendorError | undefined> = {
  object(value) {
    const parsed = envelopeSchema.safeParse(value);
    if (!parsed.success) return undefined;
    const { message, type, param, code, moderation_details, innererror, inner_error } = parsed.data.error;
    const inner = innererror ?? inner_error;
    const listed = message?.match(/safety_violations=\[([^\]]*)\]/)?.[1];
    const categories = [
      moderation_details?.categories,
      filteredCategories(inner?.content_filter_result ?? inner?.content_filter_results),
      listed?.split(",").flatMap((category) => category.trim() || []),
    ].find((names) => names?.length);
    return {
      message: message ?? undefined,
      type: type ?? undefined,
      param: param ?? undefined,
      // Azure's outer code may be no more than the status (§6.3).
      code: inner?.code === azureRefusal ? azureRefusal : (code ?? undefined),
      ...(categories && { categories }),
    };
  },
  string(value) {
    const parsed = stringSchema.safeParse(value);
    if (!parsed.success) return undefined;
    const { error, message } = parsed.data;
    // With a sentence beside it, `error` is the kind of fault: {"error":"server_error","message":"…"}.
    return message ? { message, type: error } : { message: error };
  },
  detail(value) {
    const parsed = detailSchema.safeParse(value);
    if (!parsed.success) return undefined;
    const { detail } = parsed.data;
    if (typeof detail === "string") return { message: detail };
    const fields = detail.map(({ loc }) => (loc ?? []).filter((part, at) => at > 0 || part !== "body").join("."));
    const sentences = detail.map(({ msg }, index) => (fields[index] ? `${fields[index]}: ${msg}` : msg));
    return { message: sentences.join("; "), param: fields.find((field) => field !== "") };
  },
};

/** `{"sexual":{"filtered":true,"severity":"high"},…}`: the ones that were the reason. */
function filteredCategories(result: Record<string, unknown> | null | undefined): string[] | undefined {
  if (!result) return undefined;
  const filtered = z.object({ filtered: z.literal(true) });
  return Object.entries(result).flatMap(([name, verdict]) => (filtered.safeParse(verdict).success ? name : []));
}

/**
 * The class that an error's own words give, before its status does (§2.6): OpenAI's 400 covers moderation, billing and
 * retired models alike. @returns undefined where only the status says
 */
function classOf({ message, type, param, code }: VendorError, status: number): FailureClass | undefined {
  const text = message ?? "";
  if ([type, code].some((name) => quotaNames.includes(name ?? ""))) return "quota";
  if (refusalCodes.includes(code ?? "")) return "refused";
  // Azure, HTTP 403: "Your resource has been temporarily blocked …", for days, whatever is asked. Not a refusal of this
  // request; the credential is of no use until the operator has acted (§6.3).
  if (code === "Forbidden") return "auth";
  if (status === 401 || code === "invalid_api_key") return "auth";
  if (status === 429 || code === "rate_limit_exceeded") return "rate_limited";
  if (serverFaultTypes.includes(type ?? "")) return "upstream_error";
  // The route chose the model, not the client.
  if (status < 500 && (goneCodes.includes(code ?? "") || (code === "invalid_value" && param === "model")))
    return "model_unavailable";
  if ((status === 404 && modelMissing.test(text)) || (status === 400 && modelMismatch.test(text)))
    return "model_unavailable";
  if (status === 404 && unknownPath.test(text)) return "contract_changed";
  if (status === 400 || status === 404 || status === 422) return "invalid_request";
  return undefined;
}

export function readFailure(reply: Reply, shapes: readonly ErrorShape[]): Step {
  const { status, headers, body } = reply;
  const error = body.kind === "json" ? parseError(body.value, shapes) : undefined;
  const upstreamId = requestId(headers);
  const message = error?.message || describeReply(reply);
  const failureClass = error && classOf(error, status);
  if ((!error && status === 404) || failureClass === "contract_changed")
    return failed("contract_changed", describeReply(reply) + unknownPathHint, { upstreamId });
  const waitMs = status === 429 || failureClass === "rate_limited" ? rateLimitWaitMs(message, headers) : undefined;
  const details = { upstreamId, retryAfterMs: waitMs ?? retryAfterMs(headers) };
  if (!failureClass) return failedByStatus(reply, message, details);
  return failedAs(failureClass, message, error, details);
}

/** An error after HTTP 200, inside an event stream (§2.5): its own words, or a code that is a status, decide. */
export function failureInStream(error: VendorError, headers: Reply["headers"]): FailedStep {
  const message = error.message || "the provider reported an error in its event stream";
  const isUsersFault = error.type === "invalid_request_error" || error.type?.endsWith("_user_error");
  const status = /^[45]\d\d$/.test(error.code ?? "") ? Number(error.code) : isUsersFault ? 400 : 500;
  const failureClass = classOf(error, status) ?? "upstream_error";
  const retryAfterMs = failureClass === "rate_limited" ? rateLimitWaitMs(message, headers) : undefined;
  return failedAs(failureClass, message, error, { upstreamId: requestId(headers), retryAfterMs }) as FailedStep;
}

type Told = { upstreamId: string | undefined; retryAfterMs: number | undefined };

/** Each class with what it has to tell, and no more. */
function failedAs(failureClass: FailureClass, message: string, error: VendorError | undefined, told: Told): Step {
  const { upstreamId, retryAfterMs } = told;
  if (failureClass === "refused") return failed("refused", message, { categories: error?.categories, upstreamId });
  if (failureClass === "invalid_request")
    return failed("invalid_request", message, { param: error?.param, upstreamId });
  if (failureClass === "rate_limited" || failureClass === "upstream_error")
    return failed(failureClass, message, { retryAfterMs, upstreamId });
  return failed(failureClass, message, { upstreamId });
}

/**
 * Headers first, then the sentence (`Please try again in 12s`, Azure's `Please retry after 26 seconds`), then the
 * counters' own resets (§2.1, §2.6).
 */
function rateLimitWaitMs(message: string, headers: Reply["headers"]): number | undefined {
  const seconds = message.match(/retry after (\d{1,9}) seconds?/i)?.[1];
  const stated =
    retryAfterMs(headers) ??
    durationMs(message.match(/try again in ((?:\d+(?:\.\d+)?(?:ms|[dhms]))+)/i)?.[1]) ??
    durationMs(seconds && `${seconds}s`);
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
