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
  newImage(): PictureSink;
  /** Cap on everything that is not a picture, in bytes. */
  maxRestBytes: number;
}

/** Takes a picture's bytes; the chunk's memory is the reader's again once this has resolved. */
export type PictureSink = Pick<ImageIntake, "write">;

export interface InlineJson {
  /** The document without its pictures: for `parseInlineJson`. */
  text: string;
  /** How many pictures were taken out; all are written, none is finished. */
  images: number;
}

/**
 * @throws ImageIntakeError, ReplyTooLongError, or whatever the stream throws
 */
export async function readInlineJson(body: AsyncIterable<Uint8Array>, options: InlineJsonOptions): Promise<InlineJson> {
  const reader = new InlineJsonReader(options);
  for await (const chunk of body) await reader.push(chunk);
  return reader.end();
}

/** The same for a document that is pushed, piece by piece. */
export class InlineJsonReader {
  private readonly fields: ReadonlySet<string>;
  private readonly options: InlineJsonOptions;
  private readonly rest: Uint8Array[] = [];
  private restBytes = 0;
  private images = 0;
  private state: "outside" | "string" | "picture" = "outside";
  private escaped = false;
  /** The string that was read last, and the key whose value comes next. */
  private lastString: number[] = [];
  private key: string | undefined;
  private decoder: Base64Decoder | undefined;

  constructor(options: InlineJsonOptions) {
    this.options = options;
    this.fields = new Set(options.fields);
  }

  /** The chunk's memory is the caller's again once this has resolved. */
  async push(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      at = this.state === "picture" ? await this.readPicture(chunk, at) : this.readRest(chunk, at);
    }
  }

  /** @throws ImageIntakeError when the document ended inside a picture */
  end(): InlineJson {
    if (this.decoder !== undefined) throw new ImageIntakeError("the reply ended inside a picture");
    return { text: new TextDecoder().decode(Buffer.concat(this.rest)), images: this.images };
  }

  private async readPicture(chunk: Uint8Array, from: number): Promise<number> {
    const end = endOfString(chunk, from, this.escaped);
    this.escaped = end.escaped;
    await this.decoder?.push(chunk.subarray(from, end.at));
    if (!end.found) return end.at;
    await this.decoder?.end();
    this.decoder = undefined;
    this.state = "outside";
    this.keep(chunk.subarray(end.at, end.at + 1)); // the closing quote belongs to the placeholder string
    return end.at + 1;
  }

  /** Everything up to the end of the chunk or the beginning of a picture. */
  private readRest(chunk: Uint8Array, from: number): number {
    let { state, escaped, key } = this;
    let at = from;
    while (at < chunk.length && state !== "picture") {
      const byte = chunk[at] as number;
      at += 1;
      if (state === "string") {
        if (escaped) escaped = false;
        else if (byte === backslash) escaped = true;
        else if (byte === quote) state = "outside";
        if (state === "string" && this.lastString.length <= longestPrefix) this.lastString.push(byte);
      } else if (byte === quote) {
        state = key !== undefined && this.fields.has(key) ? "picture" : "string";
        if (state === "string") this.lastString = [];
        key = undefined;
      } else if (byte === 0x3a) {
        key = keyOf(this.lastString);
      } else if (byte > 0x20) {
        key = undefined;
      }
    }
    this.state = state;
    this.escaped = escaped;
    this.key = key;
    this.keep(chunk.subarray(from, at));
    if (state === "picture") this.beginPicture();
    return at;
  }

  private beginPicture(): void {
    this.keep(Buffer.from(`\\u0000inline:${this.images}`));
    this.decoder = new Base64Decoder(this.options.newImage());
    this.images += 1;
  }

  private keep(bytes: Uint8Array): void {
    this.restBytes += bytes.length;
    if (this.restBytes > this.options.maxRestBytes)
      throw new ReplyTooLongError("the reply is longer than any real one");
    this.rest.push(new Uint8Array(bytes));
  }
}

/** A key as it is meant; one longer than any of ours, cut short above, may stay as it is. */
function keyOf(bytes: readonly number[]): string {
  const raw = String.fromCharCode(...bytes);
  return raw.includes("\\") ? unescapeJson(raw) : raw;
}

/**
 * `JSON.parse`, with `InlineImage` handles where pictures stood: under the named fields, where no other string is left.
 * @param firstIndex the number of the document's first picture, where others came before this document
 */
export function parseInlineJson({ text, images }: InlineJson, fields: readonly string[], firstIndex = 0): unknown {
  if (images === 0) return JSON.parse(text);
  return JSON.parse(text, (key, value: unknown) => {
    if (typeof value !== "string" || !fields.includes(key) || !value.startsWith(placeholder)) return value;
    const index = Number(value.slice(placeholder.length));
    return Number.isInteger(index) && index >= 0 && index < images ? new InlineImage(firstIndex + index) : value;
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
  private readonly image: PictureSink;
  private readonly text = Buffer.allocUnsafeSlow(maxDecodeChars);
  private readonly bytes = Buffer.allocUnsafeSlow((maxDecodeChars * 3) / 4);
  /** How much of `text` waits for its decoding. */
  private waiting = 0;
  private started = false;
  /** The end has been read: after its padding a picture has nothing more. */
  private ended = false;

  constructor(image: PictureSink) {
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
