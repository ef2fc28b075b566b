/** What the operations of the OpenAPI description answer with: bodies, headers, and errors by their codes. */
import { type ErrorCode, errorTable } from "../errors.ts";
import type { Answer } from "./openapi.ts";
import { ref, type Schema } from "./openapi-schemas.ts";

export const authentication: ErrorCode[] = ["invalid_api_key", "key_disabled", "key_expired"];
/** Of a generation's body against its model. */
export const checks: ErrorCode[] = [
  "invalid_json",
  "missing_required_parameter",
  "unknown_parameter",
  "invalid_type",
  "invalid_value",
  "integer_below_min_value",
  "integer_above_max_value",
  "empty_string",
  "string_above_max_length",
];
/** Of everything behind the router. */
export const upstream: ErrorCode[] = [
  "content_policy_violation",
  "model_unavailable",
  "provider_rate_limited",
  "upstream_error",
  "upstream_outcome_unknown",
  "provider_contract_changed",
  "provider_auth_failed",
  "upstream_timeout",
  "provider_not_configured",
  "provider_quota_exhausted",
  "price_unknown",
  "no_available_provider",
];
/** Of a client's pictures. */
export const pictureChecks: ErrorCode[] = ["invalid_image_file"];

const picture = { schema: { type: "string", contentMediaType: "image/png", description: "The file's bytes." } };
const types = ["png", "jpeg", "webp", "gif", "svg+xml"];
export const pictures: NonNullable<Answer["content"]> = Object.fromEntries(
  types.map((type) => [`image/${type}`, picture]),
);

export const json = (schema: Schema) => ({ "application/json": { schema } });
export const headers = (...names: string[]) =>
  Object.fromEntries(["x-request-id", ...names].map((name) => [name, { $ref: `#/components/headers/${name}` }]));
export const answer = (description: string, schema: Schema, ...names: string[]): Answer => ({
  description,
  headers: headers(...names),
  content: json(schema),
});

export const errors = (...codes: ErrorCode[]) => errorsWith([], codes);

/**
 * The error answers of an operation, one per status, each with the codes that it may carry.
 * @param names headers beside those of every error
 */
export function errorsWith(names: string[], codes: ErrorCode[]): Record<string, Answer> {
  const byStatus = new Map<string, ErrorCode[]>();
  for (const code of [...codes, "internal_error" as const]) {
    const status = String(errorTable[code].status);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, list]) => {
      const waits = list.some((code) => errorTable[code].retry) ? ["retry-after", "retry-after-ms"] : [];
      const narrowed = { allOf: [ref("Error"), { type: "object", properties: { code: { enum: list } } }] };
      return [
        status,
        answer(list.map((code) => `\`${code}\``).join(", "), narrowed, "x-should-retry", ...waits, ...names),
      ];
    }),
  );
}
