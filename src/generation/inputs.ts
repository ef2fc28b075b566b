/** The client's pictures that a request names instead of carrying them: data URLs, and links that are fetched. */
import { type InputRules, type InputStore, invalidImageFile } from "../images/inputs.ts";
import { follow } from "../providers/download.ts";
import type { InputImage } from "../providers/input.ts";
import type { TransportPorts } from "../providers/transport.ts";

const fetchTimeoutMs = 30_000;
/** So much base64 is decoded at once. A multiple of four. */
const maxDecodeChars = 1 << 16;

/**
 * Fetches a picture from the client's link under the rules of `providers/address.ts`: https to public addresses only, after
 * each redirect and after name resolution, without credentials. What cannot be reached and what must not be reached look
 * the same: the answer is no map of our network.
 * @throws PublicError `invalid_image_file`
 */
export async function fetchInputImage(
  { inputs, transport }: { inputs: InputStore; transport: Pick<TransportPorts, "fetch" | "resolve"> },
  link: string,
  rules: InputRules,
  { timeoutMs = fetchTimeoutMs }: { timeoutMs?: number } = {},
): Promise<InputImage> {
  const url = URL.parse(link);
  if (url?.protocol !== "https:" || url.username !== "" || url.password !== "")
    throw invalidImageFile(rules, "its address is not an https URL without a user name or password");
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await untilAborted(
    follow(url.href, { ...transport, trustedOrigin: undefined, signal }),
    signal,
  ).catch(() => {
    throw invalidImageFile(rules, "it could not be fetched from its URL");
  });
  if (!response.ok) {
    await response.body?.cancel().catch(() => {});
    throw invalidImageFile(rules, `its server answered ${response.status}`);
  }
  return inputs.take(bodyOf(response, rules, signal, timeoutMs), rules);
}

async function* bodyOf(
  response: Response,
  rules: InputRules,
  signal: AbortSignal,
  timeoutMs: number,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of response.body ?? []) yield chunk;
  } catch {
    const late = `it did not arrive within ${timeoutMs / 1000} seconds`;
    throw invalidImageFile(rules, signal.aborted ? late : "the connection to its server was cut");
  }
}

/** Resolving a name knows no signal. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    work.then(resolve, reject);
  });
}

/**
 * Takes a picture out of a data URL. What type the URL says plays no part: the bytes tell.
 * @throws PublicError `invalid_image_file`
 */
export async function decodeInputImage(inputs: InputStore, dataUrl: string, rules: InputRules): Promise<InputImage> {
  const prefix = /^data:[^,]{0,200};base64,/i.exec(dataUrl)?.[0];
  if (prefix === undefined) throw invalidImageFile(rules, "its data URL is not in base64");
  return inputs.take(decoded(dataUrl, prefix.length, rules), rules);
}

async function* decoded(dataUrl: string, from: number, rules: InputRules): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array((maxDecodeChars * 3) / 4);
  for (let at = from; at < dataUrl.length; ) {
    const text = dataUrl.slice(at, at + maxDecodeChars);
    const isLast = at + text.length === dataUrl.length;
    const { read, written } = decode(bytes, text, isLast);
    if (read === 0) throw invalidImageFile(rules, "its data URL is not in base64");
    at += read;
    yield bytes.subarray(0, written);
  }
}

/** Nothing read: no base64. */
function decode(bytes: Uint8Array, text: string, isLast: boolean): { read: number; written: number } {
  try {
    return bytes.setFromBase64(text, { lastChunkHandling: isLast ? "loose" : "stop-before-partial" });
  } catch {
    return { read: 0, written: 0 };
  }
}
