/** Which URLs a client may name as the recipient of its events. */
import { PublicError } from "../errors.ts";

const maxLength = 2_048;

/**
 * Where it leads is looked at when something is sent, by then another address may stand behind the name.
 * @param param the field that holds it
 * @param trustedOrigins the operator's `AROUTER_WEBHOOK_ORIGINS`: these may be plain http
 * @returns the URL as it was given
 * @throws PublicError invalid_type, empty_string, string_above_max_length, invalid_value
 */
export function checkWebhookUrl(
  value: unknown,
  trustedOrigins: readonly string[] = [],
  param: string = "webhook_url",
): string {
  if (typeof value !== "string") throw refusal("invalid_type", `Invalid type for '${param}': expected a string.`);
  if (value === "") throw refusal("empty_string", `Invalid '${param}': empty string. Expected an https URL.`);
  if (value.length > maxLength) {
    const message = `Invalid '${param}': string too long. Expected a string with maximum length ${maxLength}, but got a string with length ${value.length} instead.`;
    throw refusal("string_above_max_length", message);
  }
  const url = URL.parse(value);
  if (url === null) throw wrong("it is not an absolute URL");
  if (url.protocol !== "https:" && !isTrusted(value, trustedOrigins)) throw wrong("only https URLs are accepted");
  if (url.username !== "" || url.password !== "") throw wrong("it must not carry a user name or password");
  if (value.includes("#")) throw wrong("it must not have a fragment, which would not be sent");
  return value;

  function wrong(why: string): PublicError {
    return refusal("invalid_value", `Invalid '${param}': ${why}.`);
  }
  function refusal(code: ConstructorParameters<typeof PublicError>[0], message: string): PublicError {
    return new PublicError(code, message, { param });
  }
}

/** The body's optional field: absent and null are none. @throws PublicError as `checkWebhookUrl` does */
export function readWebhookUrl(value: unknown, trustedOrigins: readonly string[]): string | null {
  return value === undefined || value === null ? null : checkWebhookUrl(value, trustedOrigins);
}

/** Whether the operator vouches for the URL's origin. */
export function isTrusted(url: string, trustedOrigins: readonly string[]): boolean {
  const origin = URL.parse(url)?.origin;
  return origin !== undefined && trustedOrigins.includes(origin);
}
