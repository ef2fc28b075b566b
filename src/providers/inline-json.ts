/**
 * Reads a JSON reply that carries pictures as base64 strings, while it arrives: the strings under the named fields
 * are decoded straight into image intakes, the rest (a few hundred bytes) is kept and parsed at the end. No string of
 * a picture's length ever exists.
 */
import { type ImageIntake, ImageIntakeError } from "./intake.ts";
import { InlineImage } from "./provider.ts";

const quote = 0x22;
const backslash = 0x5c;
/** Stands where a picture stood; a number follows. */
const placeholder = "\u0000inline:";
/** A data-URI prefix (`data:image/png;base64,`) ends within this many characters, even with every one escaped. */
const longestPrefix = 256;
/** So much base64 is decoded at once: small enough for the processor's cache. A multiple of four. */
const maxDecodeChars = 1 << 16;
/** `\\u002b` without its last character. */
const longestEscape = 5;

/** The reply without its pictures is longer than any real one. */
export class ReplyTooLongError extends Error {
  override readonly name = "ReplyTooLongError";
}

export interface InlineJsonOptions {
  fields: readonly string[];
  /** Where the next picture goes; called once per picture, in the order of the document. */
  newImage(): ImageIntake;
  /** Cap on everything that is not a picture, in bytes. */
  maxRestBytes: number;
}

/**
 * @returns the document without its pictures, as text, and how many pictures were taken out (all are written, none is
 *   finished). Parse the text with `parseInlineJson`.
 * @throws ImageIntakeError, ReplyTooLongError, or whatever the stream throws
 */
export async function readInlineJson(
  body: AsyncIterable<Uint8Array>,
  options: InlineJsonOptions,
): Promise<{ text: string; images: number }> {
  const fields = new Set(options.fields);
  const rest: Uint8Array[] = [];
  let restBytes = 0;
  let images = 0;
  let state: "outside" | "string" | "picture" = "outside";
  let escaped = false;
  /** The string that was read last, and the key whose value comes next. */
  let lastString: number[] = [];
  let key: string | undefined;
  let decoder: Base64Decoder | undefined;

  const keep = (bytes: Uint8Array) => {
    restBytes += bytes.length;
    if (restBytes > options.maxRestBytes) throw new ReplyTooLongError("the reply is longer than any real one");
    rest.push(bytes.slice());
  };

  for await (const chunk of body) {
    let at = 0;
    let keptFrom = 0;
    while (at < chunk.length) {
      if (state === "picture") {
        const end = endOfString(chunk, at, escaped);
        escaped = end.escaped;
        await decoder?.push(chunk.subarray(at, end.at));
        at = end.at;
        if (end.found) {
          await decoder?.end();
          decoder = undefined;
          state = "outside";
          keptFrom = at; // the closing quote belongs to the placeholder string
          at += 1;
        } else {
          keptFrom = at;
        }
        continue;
      }
      const byte = chunk[at] as number;
      at += 1;
      if (state === "string") {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) state = "outside";
        if (state === "string" && lastString.length <= longestPrefix) lastString.push(byte);
      } else if (byte === quote) {
        if (key !== undefined && fields.has(key)) {
          keep(chunk.subarray(keptFrom, at));
          keep(Buffer.from(`\\u0000inline:${images}`));
          decoder = new Base64Decoder(options.newImage());
          images += 1;
          state = "picture";
        } else {
          lastString = [];
          state = "string";
        }
        key = undefined;
      } else if (byte === 0x3a) {
        key = keyOf(lastString);
      } else if (byte > 0x20) {
        key = undefined;
      }
    }
    if (state !== "picture") keep(chunk.subarray(keptFrom));
  }
  if (decoder !== undefined) throw new ImageIntakeError("the reply ended inside a picture");
  return { text: new TextDecoder().decode(Buffer.concat(rest)), images };
}

/** A key as it is meant; one longer than any of ours, cut short above, may stay as it is. */
function keyOf(bytes: readonly number[]): string {
  const raw = String.fromCharCode(...bytes);
  return raw.includes("\\") ? unescapeJson(raw) : raw;
}

/** `JSON.parse`, with `InlineImage` handles where pictures stood: under the named fields, where no other string is left. */
export function parseInlineJson(text: string, images: number, fields: readonly string[]): unknown {
  if (images === 0) return JSON.parse(text);
  return JSON.parse(text, (key, value: unknown) => {
    if (typeof value !== "string" || !fields.includes(key) || !value.startsWith(placeholder)) return value;
    const index = Number(value.slice(placeholder.length));
    return Number.isInteger(index) && index >= 0 && index < images ? new InlineImage(index) : value;
  });
}

/** Where a JSON string ends: an unescaped quote, which base64 never contains, but `\/` and `\u002b` it may. */
function endOfString(
  chunk: Uint8Array,
  from: number,
  escaped: boolean,
): { at: number; found: boolean; escaped: boolean } {
  const next = chunk.indexOf(quote, from);
  const until = next < 0 ? chunk.length : next;
  const lastBackslash = chunk.subarray(from, until).lastIndexOf(backslash);
  // A base64 string holds no escaped quote or backslash, so only a backslash just before the end could matter.
  const open = lastBackslash < 0 ? escaped && until === from : from + lastBackslash === until - 1;
  if (next >= 0 && open) throw new ImageIntakeError("the picture is not valid base64");
  return { at: until, found: next >= 0, escaped: open };
}

/** Decodes base64 that arrives in pieces of any length, always through the same two buffers: new ones cost page faults. */
class Base64Decoder {
  private readonly image: ImageIntake;
  private readonly text = Buffer.allocUnsafeSlow(maxDecodeChars);
  private readonly bytes = Buffer.allocUnsafeSlow((maxDecodeChars * 3) / 4);
  /** How much of `text` waits for its decoding. */
  private waiting = 0;
  private started = false;
  /** The end has been read: after its padding a picture has nothing more. */
  private ended = false;

  constructor(image: ImageIntake) {
    this.image = image;
  }

  async push(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      const part = piece.subarray(at, at + maxDecodeChars - this.waiting);
      this.text.set(part, this.waiting);
      this.waiting += part.length;
      at += part.length;
      if (this.started || this.waiting >= longestPrefix) await this.decode(false);
    }
  }

  async end(): Promise<void> {
    await this.decode(true);
  }

  private async decode(last: boolean): Promise<void> {
    // Some JSON writers escape `/` and `+`; an escape that the end of a piece has cut waits for the next one.
    const arrived = this.text.toString("latin1", 0, this.waiting);
    const cut = last ? -1 : arrived.indexOf("\\", arrived.length - longestEscape);
    const text = cut < 0 ? arrived : arrived.slice(0, cut);
    const tail = cut < 0 ? "" : arrived.slice(cut);
    let base64 = text.includes("\\") ? unescapeJson(text) : text;
    if (!this.started) base64 = base64.replace(/^data:[^,]*,/, "");
    this.started = true;
    let done: { read: number; written: number };
    try {
      done = this.bytes.setFromBase64(base64, { lastChunkHandling: last ? "loose" : "stop-before-partial" });
    } catch {
      throw new ImageIntakeError("the picture is not valid base64");
    }
    if (this.ended && done.written > 0) throw new ImageIntakeError("the picture is not valid base64");
    const padding = base64.indexOf("=");
    this.ended ||= padding >= 0 && padding < done.read;
    // Whitespace is not kept: however much of it comes, at most three characters wait for their fourth.
    this.waiting = this.text.write(base64.slice(done.read).replace(/\s+/g, "") + tail, "latin1");
    if (done.written > 0) await this.image.write(this.bytes.subarray(0, done.written));
  }
}

const escapes: Record<string, string> = { n: "\n", r: "\r", t: "\t", f: "\f", "/": "/" };

/** As far as base64 and our own field names can need it; any other escape stays, and is neither. */
function unescapeJson(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (match, hex?: string, char?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return escapes[char ?? ""] ?? match;
  });
}
