/** OpenAI's errors, word for word where upstream-apis.md §2.6 has the words; [U] marks words from general knowledge. */
import { json, type Reply } from "./double.ts";
import type { Fault } from "./faults.ts";

export interface OpenAiError {
  status: number;
  type: string;
  code: string | null;
  param: string | null;
  message: string;
  /** Only moderation has more than the four keys. */
  more?: Record<string, unknown>;
}

/** The envelope with its four keys, always all of them (§2.6). */
export function errorReply(error: OpenAiError, headers: Record<string, string> = {}): Reply {
  const { message, type, param, code, more } = error;
  return json(error.status, { error: { message, type, param, code, ...more } }, headers);
}

/** A defect of the request [M]: 400 `invalid_request_error`. */
export function invalid(code: string | null, param: string | null, message: string): OpenAiError {
  return { status: 400, type: "invalid_request_error", code, param, message };
}

/** A defect found by the image service behind the front [M]: 400 `image_generation_user_error`. */
export function imageUserError(code: string, param: string | null, message: string): OpenAiError {
  return { status: 400, type: "image_generation_user_error", code, param, message };
}

export function badKey(key: string): OpenAiError {
  const shown = key.length > 12 ? `${key.slice(0, 8)}${"*".repeat(key.length - 12)}${key.slice(-4)}` : key;
  const message = `Incorrect API key provided: ${shown}. You can find your API key at https://platform.openai.com/account/api-keys.`;
  return { status: 401, type: "invalid_request_error", code: "invalid_api_key", param: null, message };
}

/** [U] */
export const noKey: OpenAiError = {
  status: 401,
  type: "invalid_request_error",
  code: null,
  param: null,
  message:
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
};

export function noSuchModel(model: string): OpenAiError {
  return imageUserError("invalid_value", "model", `The model '${model}' does not exist.`);
}

/** GPT models [M]. `stage` output: the picture was made, looked at and withheld. */
export function moderated(stage: "input" | "output"): OpenAiError {
  const message = `Your request was rejected by the safety system. If you believe this is an error, contact us at help.openai.com and include the request ID ${crypto.randomUUID()}. safety_violations=[sexual].`;
  const more = { moderation_details: { moderation_stage: stage, categories: ["sexual"] } };
  return { ...imageUserError("moderation_blocked", null, message), more };
}

/** DALL·E [M]. */
export const legacyModerated = invalid(
  "content_policy_violation",
  null,
  "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our safety system.",
);

/** [M] Code and type both say quota; a client must not retry any of them. */
function outOfMoney(code: string, message: string): OpenAiError {
  return { status: 429, type: "insufficient_quota", code, param: null, message };
}

const SPEND_CAP = "Your request was rejected because a spend limit has been reached."; // [U] words

/** Errors that come over an account or a server, not from a request. By code, for `[[fail:<code>]]` too. */
export const accountErrors = {
  rate_limit_exceeded: {
    status: 429,
    type: "input-images",
    code: "rate_limit_exceeded",
    param: null,
    message:
      "Rate limit reached for gpt-image-2 (for limit gpt-image) in organization org-double on input-images per min: Limit 5, Used 5, Requested 1. Please try again in 12s. Visit https://platform.openai.com/account/rate-limits to learn more.",
  },
  insufficient_quota: outOfMoney(
    "insufficient_quota",
    "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
  ),
  credit_balance_exhausted: outOfMoney("credit_balance_exhausted", SPEND_CAP),
  organization_spend_limit_exceeded: outOfMoney("organization_spend_limit_exceeded", SPEND_CAP),
  project_spend_limit_exceeded: outOfMoney("project_spend_limit_exceeded", SPEND_CAP),
  organization_usage_limit_exceeded: outOfMoney("organization_usage_limit_exceeded", SPEND_CAP),
  billing_hard_limit_reached: {
    status: 400,
    type: "billing_limit_user_error",
    code: "billing_hard_limit_reached",
    param: null,
    message: "Billing hard limit has been reached.",
  },
  organization_not_verified: {
    status: 403,
    type: "invalid_request_error", // [U]
    code: null, // [U]
    param: null,
    message:
      "Your organization must be verified to use the model `gpt-image-2`. Please go to: https://platform.openai.com/settings/organization/general and click on Verify Organization.",
  },
  server_error: {
    status: 500,
    type: "server_error",
    code: null,
    param: null,
    message: "The server had an error while processing your request. Sorry about that!", // [U] words
  },
  image_generation_failed: {
    status: 500,
    type: "image_generation_server_error",
    code: "image_generation_failed",
    param: null,
    message: "Image generation failed",
  },
  server_is_overloaded: {
    status: 503,
    type: "server_error", // [U]
    code: "server_is_overloaded",
    param: null,
    message: "The server is currently overloaded. Please try again later.", // [U] words
  },
} satisfies Record<string, OpenAiError>;

/** An account error as a fault: `double.next(openAiFault("insufficient_quota"))`. */
export function openAiFault(name: keyof typeof accountErrors, headers: Record<string, string> = {}): Fault {
  const reply = errorReply(accountErrors[name], { ...rateHeaders(name === "rate_limit_exceeded"), ...headers });
  return { kind: "answer", status: reply.status, body: reply.body, headers: { ...reply.headers } };
}

/** An `error` event after HTTP 200 and `afterEvents` events (§2.5 [M]): `double.next(openAiStreamFault(1))`. */
export function openAiStreamFault(
  afterEvents = 0,
  name: keyof typeof accountErrors = "image_generation_failed",
): Fault {
  return { kind: "errorEvent", afterEvents, data: errorEventOf(accountErrors[name]) };
}

/** The data of an `error` event (§2.5 [M]). */
export function errorEventOf({ type, code, message, param, more }: OpenAiError): object {
  return { type: "error", error: { type, code, message, param, ...more } };
}

/** `x-ratelimit-{limit,remaining,reset}-{requests,tokens,input-images}`; resets are durations, `12s` or `6m0s` [M]. */
export function rateHeaders(exhausted = false): Record<string, string> {
  return {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": "120ms",
    "x-ratelimit-limit-tokens": "100000",
    "x-ratelimit-remaining-tokens": "99000",
    "x-ratelimit-reset-tokens": "6m0s",
    "x-ratelimit-limit-input-images": "5",
    "x-ratelimit-remaining-input-images": exhausted ? "0" : "4",
    "x-ratelimit-reset-input-images": "12s",
  };
}
