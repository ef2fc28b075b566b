/** From what went wrong at a provider to what the client is told: one table, total over the classes. */
import type { Model } from "../catalogue/index.ts";
import { type ErrorCode, PublicError } from "../errors.ts";
import type { Failure, FailureClass } from "../providers/provider.ts";

const codes: Record<FailureClass, ErrorCode> = {
  auth: "provider_auth_failed",
  invalid_request: "invalid_value",
  refused: "content_policy_violation",
  rate_limited: "provider_rate_limited",
  quota: "provider_quota_exhausted",
  model_unavailable: "model_unavailable",
  upstream_error: "upstream_error",
  contract_changed: "provider_contract_changed",
  unreachable: "upstream_error",
  outcome_unknown: "upstream_outcome_unknown",
  timeout: "upstream_timeout",
};

/** When a provider limits us without saying for how long. */
const defaultRateLimitMs = 10_000;
const quotaRetryMs = 60_000;

/** The client's view of a failure. Credentials and accounts are the operator's business: their wording stays in the log. */
export function explainFailure(failure: Failure, model: Model, provider: string): PublicError {
  const code = codes[failure.class];
  switch (failure.class) {
    case "auth":
      return new PublicError(
        code,
        `The provider '${provider}' did not accept the router's credential. The operator of this router must check it.`,
      );
    case "quota":
      return new PublicError(
        code,
        `The router's account at the provider '${provider}' is out of funds or over a spending limit.`,
        {
          retryAfterMs: failure.retryAfterMs ?? quotaRetryMs,
        },
      );
    case "rate_limited":
      return new PublicError(code, `The provider '${provider}' is limiting requests. Please try again later.`, {
        retryAfterMs: failure.retryAfterMs ?? defaultRateLimitMs,
      });
    case "invalid_request": {
      const known = failure.param !== undefined && model.supportedParameters.has(failure.param);
      return new PublicError(code, failure.message, { param: known ? (failure.param ?? null) : null });
    }
    case "refused":
      return new PublicError(code, withCategories(failure));
    case "model_unavailable":
      return new PublicError(code, unavailableMessage(model, provider), { param: "model" });
    case "upstream_error":
      return new PublicError(code, `The provider '${provider}' failed: ${failure.message}`, {
        retryAfterMs: failure.retryAfterMs,
      });
    case "unreachable":
      return new PublicError(code, `The provider '${provider}' could not be reached; nothing was sent.`);
    case "contract_changed":
      return new PublicError(
        code,
        `The provider '${provider}' answered in a way this router does not understand: ${failure.message}`,
      );
    case "outcome_unknown":
      return new PublicError(
        code,
        `The outcome at the provider '${provider}' is unknown: ${failure.message}. Nothing was charged. The provider may have made the images, so do not resend blindly.`,
      );
    case "timeout":
      return new PublicError(
        code,
        `The provider '${provider}' did not deliver in time: ${failure.message}. Nothing was charged.`,
      );
  }
}

function withCategories(failure: Failure): string {
  const unnamed = (failure.categories ?? []).filter((category) => !failure.message.includes(category));
  if (unnamed.length === 0) return failure.message;
  const sentence = /[.!?…]$/.test(failure.message) ? failure.message : `${failure.message}.`;
  return `${sentence} Categories: ${unnamed.join(", ")}.`;
}

/** Names the end date, the successor and the setting, where the catalogue knows them. */
export function unavailableMessage(model: Model, provider: string): string {
  const { endDate, successor, note } = model.lifecycle;
  const parts = [`The model '${model.id}' is not available at the provider '${provider}'.`];
  if (endDate !== null) parts.push(`Its provider ended it on ${endDate}.`);
  if (successor !== null) parts.push(`Its successor is '${successor}'.`);
  if (note !== null) parts.push(note);
  return parts.join(" ");
}
