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
/** A data-URI prefix (`data:image/png;base64,`) ends within this many characters. */
const longestPrefix = 64;
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
        key = String.fromCharCode(...lastString);
      } else if (byte > 0x20) {
        key = undefined;
      }
    }
    if (state !== "picture") keep(chunk.subarray(keptFrom));
  }
  if (decoder !== undefined) throw new ImageIntakeError("the reply ended inside a picture");
  return { text: new TextDecoder().decode(Buffer.concat(rest)), images };
}

/** `JSON.parse`, with `InlineImage` handles where pictures stood. */
export function parseInlineJson(text: string, images: number): unknown {
  if (images === 0) return JSON.parse(text);
  return JSON.parse(text, (_key, value: unknown) => {
    if (typeof value !== "string" || !value.startsWith(placeholder)) return value;
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

/** Decodes base64 that arrives in pieces of any length. */
class Base64Decoder {
  private readonly image: ImageIntake;
  private pending = "";
  private started = false;

  constructor(image: ImageIntake) {
    this.image = image;
  }

  async push(piece: Uint8Array): Promise<void> {
    this.pending += Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString("latin1");
    if (!this.started && this.pending.length < longestPrefix) return;
    await this.decode(false);
  }

  async end(): Promise<void> {
    await this.decode(true);
  }

  private async decode(last: boolean): Promise<void> {
    if (!this.started) this.pending = this.pending.replace(/^data:[^,]*,/, "");
    this.started = true;
    // Some JSON writers escape `/` and `+`; an escape that the end of a piece has cut waits for the next one.
    const cut = last ? -1 : this.pending.indexOf("\\", this.pending.length - longestEscape);
    const text = cut < 0 ? this.pending : this.pending.slice(0, cut);
    const tail = cut < 0 ? "" : this.pending.slice(cut);
    const base64 = text.includes("\\") ? unescapeJson(text) : text;
    const bytes = new Uint8Array(Math.ceil((base64.length * 3) / 4) + 3);
    let done: { read: number; written: number };
    try {
      done = bytes.setFromBase64(base64, { lastChunkHandling: last ? "loose" : "stop-before-partial" });
    } catch {
      throw new ImageIntakeError("the picture is not valid base64");
    }
    this.pending = base64.slice(done.read) + tail;
    if (done.written > 0) await this.image.write(bytes.subarray(0, done.written));
  }
}

function unescapeJson(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_match, hex?: string, char?: string) => {
    if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
    return char === "n" || char === "r" || char === "t" ? "" : (char ?? "");
  });
}
