/**
 * Reads `text/event-stream` (WHATWG HTML, "Server-sent events") while it arrives. Pictures in the events' JSON are
 * decoded on the way, as in any reply, so that no event is ever whole in memory.
 */
import { InlineJsonReader, type PictureSink, parseInlineJson } from "./inline-json.ts";

const lineFeed = 0x0a;
const carriageReturn = 0x0d;
const colon = 0x3a;
const space = 0x20;
const byteOrderMark = "\u00ef\u00bb\u00bf";
/** Of the fields that matter the longest is `event`. */
const maxFieldChars = 16;
const maxNameBytes = 256;
/** Of data that is not JSON, this much is shown. */
const maxTextChars = 2_000;

export interface EventStreamOptions {
  fields: readonly string[];
  /**
   * Where the next picture goes; called once per picture.
   * @param eventName the `event:` line, where it came before the data
   */
  newImage(eventName: string): PictureSink;
  /** The number that the first picture's `InlineImage` carries; the following ones count on. */
  firstIndex: number;
  /** Cap on what is not a picture, in bytes per event. */
  maxRestBytes: number;
}

export interface StreamedEvent {
  name: string;
  /** Parsed JSON with `InlineImage` handles, or text. */
  data: unknown;
}

/**
 * Yields the events up to the end of the stream. One that the end has cut is dropped, unless nothing of it is missing but the
 * blank line. Whoever stops early closes the connection.
 * @throws ImageIntakeError, ReplyTooLongError, or whatever the stream throws
 */
export async function* readEvents(
  body: AsyncIterable<Uint8Array>,
  options: EventStreamOptions,
): AsyncGenerator<StreamedEvent, void, void> {
  const parser = new EventParser(options);
  let afterReturn = false;
  for await (const chunk of body) {
    let at = 0;
    let nextReturn = -1;
    while (at < chunk.length) {
      if (afterReturn && chunk[at] === lineFeed) at += 1;
      afterReturn = false;
      // Looked for once a chunk where there is none: most streams have no carriage returns.
      if (nextReturn < at) nextReturn = indexOf(chunk, carriageReturn, at);
      const end = Math.min(indexOf(chunk, lineFeed, at), nextReturn);
      await parser.piece(chunk.subarray(at, end));
      if (end === chunk.length) break;
      afterReturn = end === nextReturn;
      at = end + 1;
      const event = await parser.endLine();
      if (event !== null) yield event;
    }
  }
  const last = parser.rest();
  if (last !== null) yield last;
}

function indexOf(chunk: Uint8Array, byte: number, from: number): number {
  const found = chunk.indexOf(byte, from);
  return found < 0 ? chunk.length : found;
}

class EventParser {
  private readonly options: EventStreamOptions;
  private images: number;
  /** The line's field until its colon; then what is done with its value. */
  private field = "";
  private mode: "field" | "data" | "event" | "skip" = "field";
  private firstOfValue = false;
  private isFirstLine = true;
  /** Of the event that is being read. */
  private name: number[] = [];
  private document: InlineJsonReader | undefined;

  constructor(options: EventStreamOptions) {
    this.options = options;
    this.images = options.firstIndex;
  }

  /** A part of a line, without its end. */
  async piece(bytes: Uint8Array): Promise<void> {
    let value = bytes;
    if (this.mode === "field") {
      const end = indexOf(bytes, colon, 0);
      if (this.field.length <= maxFieldChars)
        this.field += Buffer.from(bytes.subarray(0, end)).toString("latin1", 0, maxFieldChars + 1);
      if (end === bytes.length) return;
      await this.beginValue();
      value = bytes.subarray(end + 1);
    }
    if (value.length === 0) return;
    if (this.firstOfValue && value[0] === space) value = value.subarray(1);
    this.firstOfValue = false;
    if (this.mode === "data") await this.document?.push(value);
    if (this.mode === "event") this.name.push(...value.subarray(0, maxNameBytes - this.name.length));
  }

  /** @returns the event that a blank line has ended */
  async endLine(): Promise<StreamedEvent | null> {
    // A line without a colon is a field without a value.
    if (this.mode === "field" && this.nameOfField() !== "") await this.beginValue();
    const isBlank = this.mode === "field";
    this.mode = "field";
    this.field = "";
    this.isFirstLine = false;
    if (!isBlank) return null;
    const { document } = this;
    const event = document === undefined ? null : this.eventOf(document);
    this.forget();
    return event;
  }

  /** What the end of the stream has left: an event whose data are complete, or nothing. */
  rest(): StreamedEvent | null {
    try {
      const event = this.document === undefined ? null : this.eventOf(this.document);
      return typeof event?.data === "object" ? event : null;
    } catch {
      return null;
    }
  }

  private nameOfField(): string {
    return this.isFirstLine && this.field.startsWith(byteOrderMark) ? this.field.slice(3) : this.field;
  }

  private async beginValue(): Promise<void> {
    const field = this.nameOfField();
    this.mode = field === "data" || field === "event" ? field : "skip";
    this.firstOfValue = true;
    if (this.mode === "event") this.name = [];
    if (this.mode !== "data") return;
    // Lines of data are one text, with line feeds between them.
    if (this.document !== undefined) await this.document.push(Uint8Array.of(lineFeed));
    this.document ??= new InlineJsonReader({
      fields: this.options.fields,
      maxRestBytes: this.options.maxRestBytes,
      newImage: () => this.options.newImage(this.eventName()),
    });
  }

  private eventOf(document: InlineJsonReader): StreamedEvent {
    const read = document.end();
    const firstIndex = this.images;
    this.images += read.images;
    try {
      return { name: this.eventName(), data: parseInlineJson(read, this.options.fields, firstIndex) };
    } catch {
      return { name: this.eventName(), data: read.text.slice(0, maxTextChars) };
    }
  }

  private eventName(): string {
    return new TextDecoder().decode(Uint8Array.from(this.name));
  }

  private forget(): void {
    this.name = [];
    this.document = undefined;
  }
}
