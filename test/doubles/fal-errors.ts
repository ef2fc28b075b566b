/**
 * fal's two kinds of error (upstream-apis.md §6.1). Of a model: `detail` is an array, `type` says what it is
 * [S: fal.ai/docs/errors]. Of the platform: `detail` is a string [M, words U], with `error_type` where a request
 * failed on its way [S: fal.ai/docs, request-errors].
 */
import { type Detail, unprocessable } from "./bfl-fastapi.ts";
import { json, type Reply } from "./double.ts";
import type { Fault } from "./faults.ts";

const FLAGGED = "The content could not be processed because it contained material flagged by a content checker.";

/** Statuses of the model errors that are not 422, and the words where they are known. */
const MODEL_ERRORS: Record<string, { status?: number; msg?: string; field?: string }> = {
  content_policy_violation: { msg: FLAGGED, field: "prompt" },
  internal_server_error: { status: 500, msg: "Internal server error" },
  generation_timeout: { status: 504, msg: "Generation timeout" },
  downstream_service_error: { status: 400, msg: "Downstream service error" },
  downstream_service_unavailable: { status: 500, msg: "Downstream service unavailable" },
};

/** `X-Fal-Retryable` is true only where the vendor itself would try again. */
export function modelError(type: string, field?: string): Reply {
  const { status = 422, msg = `Error: ${type}`, field: itsField } = MODEL_ERRORS[type] ?? {};
  const named = field ?? itsField;
  const loc = named === undefined ? ["body"] : ["body", named];
  const detail: Detail = { loc, msg, type, url: `https://docs.fal.ai/errors#${type}` };
  const headers = { "x-fal-retryable": String(type === "downstream_service_unavailable") };
  return status === 422 ? unprocessable([detail], headers) : json(status, { detail: [detail] }, headers);
}

export function invalidInput(details: readonly Detail[]): Reply {
  const linked = details.map((detail) => ({ ...detail, url: `https://docs.fal.ai/errors#${detail.type}` }));
  return unprocessable(linked, { "x-fal-retryable": "false" });
}

const EXHAUSTED = "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.";

const PLATFORM_ERRORS = {
  no_key: {
    status: 401,
    detail:
      "Authentication is required to access this application. Provide a valid API key in the Authorization header.",
  },
  invalid_key: { status: 401, detail: "No user found for Key ID and Secret" },
  exhausted_balance: { status: 403, detail: EXHAUSTED },
  rate_limited: { status: 429, detail: "Too many requests. Please try again later." },
  unknown_app: { status: 404, detail: "Application not found" },
  unknown_request: { status: 404, detail: "Request not found" },
  not_allowed: { status: 405, detail: "Method Not Allowed" },
  in_progress: { status: 400, detail: "Request is still in progress" },
} as const;
type PlatformErrorName = keyof typeof PLATFORM_ERRORS;

export function platformError(name: PlatformErrorName): Reply {
  const { status, detail } = PLATFORM_ERRORS[name];
  return json(status, { detail });
}

/** A documented error of the platform as a fault: `double.next(falFault("rate_limited"))`. */
export function falFault(name: PlatformErrorName): Fault {
  const { status, detail } = PLATFORM_ERRORS[name];
  return { kind: "answer", status, body: { detail } };
}

/** The timeout the client itself asked for: not to be tried again [S]. */
export const userTimeout: Reply = json(
  504,
  { detail: "Request timed out", error_type: "request_timeout" },
  { "x-fal-request-timeout-type": "user", "x-fal-error-type": "request_timeout", "x-fal-retryable": "false" },
);

/** What becomes of a request that was taken out of the queue is [U]. */
export const cancelled: Reply = json(
  499,
  { detail: "Request was cancelled by the client", error_type: "client_cancelled" },
  { "x-fal-error-type": "client_cancelled", "x-fal-retryable": "false" },
);

/** `[[500]]`, `[[504]]`, `[[moderate]]`, `[[fail:<type>]]`: how a job ends; undefined: well. */
export function errorAsked(word: string | undefined): Reply | undefined {
  if (word === "moderate") return modelError("content_policy_violation");
  if (word === "500") return modelError("internal_server_error");
  if (word === "504") return userTimeout;
  return word?.startsWith("fail:") ? modelError(word.slice("fail:".length)) : undefined;
}
