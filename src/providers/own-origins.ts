/** Which addresses belong to a provider itself, and which of them may be told the credential. Every other one is refused. */
import type { Adapter } from "./provider.ts";

type Owner = Pick<Adapter, "ownOrigins" | "settings">;

/**
 * Whether a link in a reply may be called as the provider's own:
 * - the base URL's own origin;
 * - for a provider that names further origins of its own (BFL's clusters, §5): those, while the base URL is one of the
 *   vendor's addresses, and while it is another place, another port of that same host with the same scheme: a proxy or a
 *   test server that has clusters too.
 */
export function isOwnOrigin(adapter: Owner, url: URL, base: URL): boolean {
  // What the operator has put before the host is the operator's; a reply's link must not bring its own.
  if (url.username !== base.username || url.password !== base.password) return false;
  if (mayCarryCredential(adapter, url, base)) return true;
  if (adapter.ownOrigins === undefined || isVendors(adapter, base)) return false;
  return url.protocol === base.protocol && url.hostname === base.hostname;
}

/**
 * A credential goes to the origin that the operator has it for, and, at the vendor itself, to the origins that the vendor's
 * documentation names as its own. Another port of a host is another origin.
 */
export function mayCarryCredential(adapter: Owner, url: URL, base: URL): boolean {
  return url.origin === base.origin || (isVendors(adapter, base) && isVendors(adapter, url));
}

function isVendors({ ownOrigins, settings }: Owner, { origin }: URL): boolean {
  if (ownOrigins === undefined) return false;
  const patterns = settings?.defaultBaseUrl ? [...ownOrigins, new URL(settings.defaultBaseUrl).origin] : ownOrigins;
  return patterns.some((pattern) => matches(origin, pattern));
}

/** @param pattern an origin, or `https://*.bfl.ai`: any host below that domain, at the scheme's own port */
function matches(origin: string, pattern: string): boolean {
  const [scheme, domain] = pattern.split("://*");
  return domain === undefined ? origin === pattern : origin.startsWith(`${scheme}://`) && origin.endsWith(domain);
}
