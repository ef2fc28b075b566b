/**
 * Every error a client can see: one table. A code names its HTTP status, its OpenAI error type and whether
 * the official clients may resend (`x-should-retry`). CONTRACT.md "Errors" is the specification; a test compares both.
 */

interface ErrorRow {
  status: number;
  type: string;
  retry: boolean;
}

const invalid = (status: number): ErrorRow => ({ status, type: "invalid_request_error", retry: false });
const permission: ErrorRow = { status: 403, type: "permission_error", retry: false };
const authentication: ErrorRow = { status: 401, type: "authentication_error", retry: false };
const payment: ErrorRow = { status: 402, type: "payment_required", retry: false };
const server = (status: number, retry: boolean): ErrorRow => ({ status, type: "server_error", retry });
const rateLimit: ErrorRow = { status: 429, type: "rate_limit_error", retry: true };

export const errorTable = {
  invalid_json: invalid(400),
  missing_required_parameter: invalid(400),
  unknown_parameter: invalid(400),
  invalid_type: invalid(400),
  invalid_value: invalid(400),
  integer_below_min_value: invalid(400),
  integer_above_max_value: invalid(400),
  empty_string: invalid(400),
  string_above_max_length: invalid(400),
  invalid_image_file: invalid(400),
  invalid_idempotency_key: invalid(400),
  content_policy_violation: invalid(400),
  invalid_api_key: authentication,
  key_expired: authentication,
  key_disabled: authentication,
  spend_limit_exceeded: payment,
  insufficient_credit: payment,
  model_not_allowed: permission,
  provider_not_allowed: permission,
  wrong_key_type: permission,
  invalid_link: permission,
  model_not_found: invalid(404),
  not_found: invalid(404),
  model_unavailable: invalid(404),
  endpoint_retired: invalid(404),
  method_not_allowed: invalid(405),
  idempotency_conflict: { status: 409, type: "conflict_error", retry: false },
  image_expired: invalid(410),
  payload_too_large: invalid(413),
  unsupported_media_type: invalid(415),
  rate_limit_exceeded: rateLimit,
  provider_rate_limited: rateLimit,
  internal_error: server(500, false),
  upstream_error: server(502, true),
  upstream_outcome_unknown: server(502, false),
  provider_contract_changed: server(502, false),
  provider_auth_failed: server(502, false),
  price_unknown: server(503, false),
  provider_not_configured: server(503, false),
  provider_quota_exhausted: server(503, true),
  no_available_provider: server(503, true),
  overloaded: server(503, true),
  shutting_down: server(503, true),
  upstream_timeout: server(504, false),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof errorTable;

export interface ErrorEnvelope {
  error: { message: string; type: string; param: string | null; code: string };
  code: string;
}

/** An error meant for the client. `message` is public; anything internal belongs into `cause`, which is only logged. */
export class PublicError extends Error {
  override readonly name = "PublicError";
  readonly code: ErrorCode;
  readonly param: string | null;
  /** How long waiting would help, in milliseconds; becomes `Retry-After` and `retry-after-ms`. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: { param?: string | null; retryAfterMs?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs;
  }

  get status(): number {
    return errorTable[this.code].status;
  }

  get shouldRetry(): boolean {
    return errorTable[this.code].retry;
  }

  /** The body on the wire: OpenAI's envelope, with the code repeated at the top for clients that look there. */
  toEnvelope(): ErrorEnvelope {
    return {
      error: { message: this.message, type: errorTable[this.code].type, param: this.param, code: this.code },
      code: this.code,
    };
  }
}
