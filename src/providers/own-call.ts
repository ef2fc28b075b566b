/** Calls that a job upstream names in its replies: its links are followed where the credential may go, and nowhere else. */
import { isOwnOrigin } from "./own-origins.ts";
import type { Adapter, HttpCall } from "./provider.ts";

/** The link in the reply where it leads to the provider itself, else the documented path below the base URL. */
export function ownCall(
  adapter: Adapter,
  method: HttpCall["method"],
  link: string | null | undefined,
  path: string,
  baseUrl: string,
): HttpCall {
  const url = link ? URL.parse(link) : null;
  const base = URL.parse(baseUrl);
  return { method, url: url !== null && base !== null && isOwnOrigin(adapter, url, base) ? url.href : path };
}
