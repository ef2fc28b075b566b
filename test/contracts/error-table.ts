/**
 * The error table of CONTRACT.md, copied by hand: what clients were promised. A slip in `src/errors.ts` shows against
 * this copy, and a slip in this copy shows against the document where it lies beside the checkout.
 */
export interface ErrorPromise {
  status: number;
  type: string;
  retry: boolean;
}

const rows: ReadonlyArray<[codes: string, status: number, type: string, retry: boolean]> = [
  ["invalid_json missing_required_parameter unknown_parameter invalid_type", 400, "invalid_request_error", false],
  ["invalid_value integer_below_min_value integer_above_max_value", 400, "invalid_request_error", false],
  ["empty_string string_above_max_length invalid_image_file", 400, "invalid_request_error", false],
  ["invalid_idempotency_key content_policy_violation", 400, "invalid_request_error", false],
  ["invalid_api_key key_expired key_disabled", 401, "authentication_error", false],
  ["spend_limit_exceeded insufficient_credit", 402, "payment_required", false],
  ["model_not_allowed provider_not_allowed wrong_key_type invalid_link", 403, "permission_error", false],
  ["model_not_found not_found model_unavailable endpoint_retired", 404, "invalid_request_error", false],
  ["method_not_allowed", 405, "invalid_request_error", false],
  ["idempotency_conflict", 409, "conflict_error", false],
  ["image_expired", 410, "invalid_request_error", false],
  ["payload_too_large", 413, "invalid_request_error", false],
  ["unsupported_media_type", 415, "invalid_request_error", false],
  ["rate_limit_exceeded provider_rate_limited", 429, "rate_limit_error", true],
  ["internal_error", 500, "server_error", false],
  ["upstream_error", 502, "server_error", true],
  ["upstream_outcome_unknown provider_contract_changed provider_auth_failed", 502, "server_error", false],
  ["price_unknown", 503, "server_error", false],
  ["provider_not_configured", 503, "server_error", false],
  ["provider_quota_exhausted no_available_provider overloaded shutting_down", 503, "server_error", true],
  ["upstream_timeout", 504, "server_error", false],
];

export const promisedErrors: Readonly<Record<string, ErrorPromise>> = Object.fromEntries(
  rows.flatMap(([codes, status, type, retry]) => codes.split(" ").map((code) => [code, { status, type, retry }])),
);
