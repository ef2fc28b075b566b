/** A multipart body as a stream: pictures go to the input store while they arrive, texts are parameters. */
import type { Readable } from "node:stream";
import { Dicer } from "@fastify/busboy";
import { invalidType, invalidValue, shown, unknownParameter } from "../catalogue/wording.ts";
import { PublicError } from "../errors.ts";
import type { GenerationRequest } from "../generation/generate.ts";
import { Arriving, duplicate, maxPictures, type PicturePlace } from "./edit-pictures.ts";
import { readFormFields } from "./form-fields.ts";
import { type PartHeader, readPartHeader } from "./part-header.ts";
import { PartReader } from "./part-reader.ts";
import { drainBytes } from "./request.ts";
import type { Server } from "./types.ts";

/** Sixteen pictures of 50 MB, a mask and some words. */
const maxFormBytes = 850_000_000;
const maxTextBytes = 1 << 20;
/** Of all fields together: unlike pictures they are in memory. */
const maxTextsBytes = 4 << 20;
const maxParts = 300;

const places: ReadonlyMap<string, PicturePlace> = new Map([
  ["image", "image"],
  ["image[]", "image"],
  ["mask", "mask"],
  ["markup", "markup"],
]);

/** @throws PublicError; no picture is left behind then */
export async function readFormEdit(server: Server, request: Request): Promise<GenerationRequest> {
  const form = new Form(server, request.headers.get("content-type") ?? "");
  try {
    const texts = await form.read(request.body);
    return { body: readFormFields(texts, server.catalogue), given: await form.pictures.given("image") };
  } catch (error) {
    await form.pictures.forget();
    throw error;
  }
}

class Form {
  readonly pictures: Arriving;
  readonly #parser: Dicer;
  readonly #ended: Promise<void>;
  readonly #texts: Promise<[name: string, text: string]>[] = [];
  readonly #readers: PartReader[] = [];
  /** The latest part's header has not come yet. */
  #headless = false;
  #parts = 0;
  #textsBytes = 0;
  #refusal: Error | undefined;

  constructor(server: Server, contentType: string) {
    this.pictures = new Arriving(server);
    const boundary = /;\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType);
    if (boundary === null) throw malformed();
    // The parser's own back pressure would never end where a part ends just then; `#write` holds the body up instead.
    const settings = { boundary: boundary[1] ?? boundary[2] ?? "", partHwm: Number.MAX_SAFE_INTEGER };
    this.#parser = new Dicer(settings);
    this.#parser.on("part", (part) => this.#part(part as Readable));
    this.#ended = new Promise((resolve) => {
      this.#parser.on("finish", resolve);
      this.#parser.on("error", () => {
        this.#refuse(malformed());
        resolve();
      });
    });
  }

  /**
   * @returns the texts in their order
   * @throws PublicError for the first thing that is wrong
   */
  async read(body: ReadableStream<Uint8Array> | null): Promise<[name: string, text: string][]> {
    let bytes = 0;
    let refusedAt = 0;
    try {
      for await (const chunk of body ?? []) {
        bytes += chunk.length;
        if (bytes > maxFormBytes) this.#refuse(tooLarge(`The request body is larger than ${maxFormBytes} bytes.`));
        if (this.#refusal === undefined) {
          await this.#write(chunk);
          refusedAt = bytes;
        } else if (bytes > (isTooLarge(this.#refusal) ? refusedAt : maxFormBytes) + drainBytes) break;
        // Else the rest is read and forgotten, so that the client gets to see the answer.
      }
      if (this.#refusal === undefined) {
        this.#parser.end();
        await this.#ended;
      }
    } catch {
      // The client has left, or its connection was cut.
      this.#refuse(malformed());
    }
    if (this.#headless) this.#refuse(malformed());
    if (this.#refusal !== undefined) {
      // Nothing is fed to the parser any more: whoever still reads would wait for ever.
      for (const reader of this.#readers) reader.fail(this.#refusal);
      throw this.#refusal;
    }
    return Promise.all(this.#texts);
  }

  /** Resolves when all of it has been read by those it is for: a picture is written out before more of it is taken in. */
  async #write(chunk: Uint8Array): Promise<void> {
    // What follows the last boundary is of no meaning (RFC 2046 "epilogue").
    if (!this.#parser.writable) return;
    await new Promise<void>((resolve) => this.#parser.write(chunk, () => resolve()));
    await Promise.all(this.#readers.map((reader) => reader.caughtUp()));
  }

  #refuse(error: Error): void {
    this.#refusal ??= error;
  }

  #part(part: Readable): void {
    // The one before has ended without a header that could be read. It would be dropped in silence.
    if (this.#headless) this.#refuse(malformed());
    this.#headless = true;
    this.#parts += 1;
    if (this.#parts > maxParts) this.#refuse(tooLarge(`The form has more than ${maxParts} parts.`));
    part.on("error", () => this.#refuse(malformed()));
    part.once("header", (fields: Record<string, string[]>) => {
      this.#headless = false;
      const header = readPartHeader(fields);
      const place = places.get(header?.name ?? "");
      const refusal = this.#refusal ?? (header === null ? malformed() : this.#whyNot(header, place));
      if (refusal !== null || header === null) {
        this.#refuse(refusal ?? malformed());
        part.resume();
        return;
      }
      const reader = new PartReader(part);
      this.#readers.push(reader);
      if (place !== undefined) this.#picture(place, reader);
      else this.#text(header.name, reader);
    });
  }

  #picture(place: PicturePlace, part: PartReader): void {
    this.pictures.take(place, part).catch((error: Error) => this.#refuse(error));
  }

  #text(name: string, part: PartReader): void {
    const text = readText(name, this.#counted(part)).then((value): [string, string] => [name, value]);
    text.catch((error: Error) => this.#refuse(error));
    this.#texts.push(text);
  }

  async *#counted(part: PartReader): AsyncGenerator<Uint8Array> {
    for await (const chunk of part) {
      this.#textsBytes += chunk.length;
      if (this.#textsBytes > maxTextsBytes) throw tooLarge(`The form's texts are larger than ${maxTextsBytes} bytes.`);
      yield chunk;
    }
  }

  #whyNot({ name, isFile }: PartHeader, place: PicturePlace | undefined): PublicError | null {
    if (name === "images") {
      const message = "Unknown parameter: 'images'. For multipart/form-data use 'image' or 'image[]'.";
      return invalidValue("images", message);
    }
    if (!isFile) return place === undefined ? null : invalidType(shown(name), "a file", "");
    if (place === undefined) return unknownParameter(name);
    const before = this.pictures.count(place);
    if (place !== "image") return before > 0 ? duplicate(name) : null;
    if (before < maxPictures) return null;
    const message = `Invalid 'image': array too long. Expected an array with maximum length ${maxPictures}, but got a longer one.`;
    return invalidValue("image", message);
  }
}

async function readText(name: string, part: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of part) {
    bytes += chunk.length;
    if (bytes > maxTextBytes) throw tooLarge(`The field '${shown(name)}' is larger than ${maxTextBytes} bytes.`);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw malformed();
  }
}

/** No code of the table says it better. */
const malformed = () => new PublicError("invalid_json", "We could not parse the multipart body of your request.");
const isTooLarge = (error: Error) => error instanceof PublicError && error.code === "payload_too_large";
const tooLarge = (message: string) => new PublicError("payload_too_large", message);
