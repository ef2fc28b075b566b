/**
 * Which addresses a link in an upstream's answer may lead to (CONTRACT.md "Settings"): public ones, and the provider's
 * own origin where the operator set it. Link-local and metadata addresses never.
 */
import ipaddr from "ipaddr.js";

/** Clouds answer with credentials at these; 169.254.169.254 and fe80::/10 fall under link-local. */
const metadataAddresses = new Set([
  "fd00:ec2::254", // AWS
  "fd20:ce::254", // Google
  "100.100.100.200", // Alibaba
  "192.0.0.192", // Oracle
  "168.63.129.16", // Azure's host, at a public address
]);

/** The link must not be followed; the message says why, without repeating the link. */
export class AddressRefusedError extends Error {
  override readonly name = "AddressRefusedError";
}

export type Resolve = (hostname: string) => Promise<string[]>;

export interface CheckedAddress {
  /** The URL with its host replaced by the checked address, so that what is connected to is what was checked. */
  pinnedUrl: string;
  /** `Host` header of the request. */
  host: string;
  /** Name for TLS; undefined for plain http. */
  serverName: string | undefined;
}

/**
 * @param link absolute URL from an upstream's answer
 * @param trustedOrigin the provider's own origin when the operator set its base URL
 * @throws AddressRefusedError, or what `resolve` throws
 */
export async function checkAddress(
  link: string,
  trustedOrigin: string | undefined,
  resolve: Resolve,
): Promise<CheckedAddress> {
  const url = parse(link);
  const trusted = trustedOrigin !== undefined && url.origin === trustedOrigin;
  if (url.protocol !== "https:" && !(trusted && url.protocol === "http:")) refuse("is not an https link");
  if (url.username !== "" || url.password !== "") refuse("carries a user name or password");
  const hostname = url.hostname.replace(/^\[|\]$/g, "");
  const addresses = ipaddr.isValid(hostname) ? [hostname] : await resolve(hostname);
  for (const address of addresses) checkIp(address, trusted);
  const address = addresses[0];
  if (address === undefined) refuse("has a host name without an address");
  const pinned = new URL(url);
  pinned.hostname = address.includes(":") ? `[${address}]` : address;
  return {
    pinnedUrl: pinned.href,
    host: url.host,
    serverName: url.protocol === "https:" && !ipaddr.isValid(hostname) ? hostname : undefined,
  };
}

function parse(link: string): URL {
  try {
    return new URL(link);
  } catch {
    return refuse("is not an absolute URL");
  }
}

function checkIp(address: string, trusted: boolean): void {
  if (!ipaddr.isValid(address)) refuse("has a host name without a usable address");
  // `process` turns an IPv4 address written as IPv6 back into IPv4, so that it cannot slip through.
  const ip = ipaddr.process(address);
  const carried = carriedAddress(ip);
  for (const form of [ip, ...carried]) {
    if (form.range() === "linkLocal" || metadataAddresses.has(form.toString()))
      refuse("leads to a link-local or metadata address");
  }
  if (!trusted && (ip.range() !== "unicast" || carried.length > 0))
    refuse("leads to a private, loopback or reserved address");
}

/** The IPv4 address that an IPv6 address of a translation (NAT64, 6to4, IPv4-compatible) leads to. */
function carriedAddress(ip: ipaddr.IPv4 | ipaddr.IPv6): ipaddr.IPv4[] {
  if (!(ip instanceof ipaddr.IPv6)) return [];
  const bytes = ip.toByteArray();
  if (ip.range() === "6to4") return [new ipaddr.IPv4(bytes.slice(2, 6))];
  const translated = ["rfc6052", "rfc6145"].includes(ip.range()) || bytes.slice(0, 12).every((byte) => byte === 0);
  return translated ? [new ipaddr.IPv4(bytes.slice(12))] : [];
}

function refuse(why: string): never {
  throw new AddressRefusedError(`the result link ${why}`);
}
