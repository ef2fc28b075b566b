/**
 * Bodies of calls. The client's pictures are read from their files while the call is sent, in pieces, so that none of
 * them is ever whole in memory; the length is known before, since not every server takes a body of unknown length.
 */
import { createHash } from "node:crypto";
import { InputFile, type InputImage } from "./input.ts";
import type { HttpCall } from "./provider.ts";

/** Read at once: a multiple of three, so that base64 of the pieces is base64 of the whole. */
const pieceBytes = 3 << 16;

const extensions: Record<InputImage["contentType"], string> = {
  "image/png": "png",
  "image/jpeg": "jpg",
  "image/webp": "webp",
  "image/gif": "gif",
};

export interface RequestBody {
  headers: Record<string, string>;
  body: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Why the body could not be read to its end: a fault of ours, whatever the call itself then says. */
  readonly failure: unknown;
}

type Piece = string | { image: InputImage; as: "bytes" | "base64" };

/** @returns null for a call without a body */
export function requestBody(body: HttpCall["body"]): RequestBody | null {
  if (body === undefined) return null;
  if (body.kind === "json") return bodyOf(jsonPieces(body.value), "application/json");
  const boundary = boundaryOf(body.fields);
  return bodyOf(formPieces(body.fields, boundary), `multipart/form-data; boundary=${boundary}`);
}

function bodyOf(pieces: Piece[], contentType: string): RequestBody {
  const type = { "content-type": contentType };
  if (pieces.every((piece) => typeof piece === "string"))
    return { headers: type, body: pieces.join(""), failure: undefined };
  const bytes = pieces.reduce((sum, piece) => sum + lengthOf(piece), 0);
  const reading = read(pieces);
  const made = {
    // With the length given, the runtime sends a stream without cutting it into chunks (Bun 1.4.5; a test looks).
    headers: { ...type, "content-length": String(bytes) },
    failure: undefined as unknown,
    body: new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        try {
          const { value, done } = await reading.next();
          if (done) controller.close();
          else controller.enqueue(value);
        } catch (error) {
          made.failure = error;
          controller.error(error);
        }
      },
      cancel: () => reading.return().then(() => {}),
    }),
  };
  return made;
}

function lengthOf(piece: Piece): number {
  if (typeof piece === "string") return Buffer.byteLength(piece);
  return piece.as === "bytes" ? piece.image.bytes : Math.ceil(piece.image.bytes / 3) * 4;
}

async function* read(pieces: readonly Piece[]): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
  for (const piece of pieces) {
    if (typeof piece === "string") {
      yield Buffer.from(piece);
      continue;
    }
    const { image, as } = piece;
    const file = image.open();
    for (let at = 0; at < image.bytes; at += pieceBytes) {
      const end = Math.min(at + pieceBytes, image.bytes);
      const bytes = await file.slice(at, end).bytes();
      if (bytes.length !== end - at) throw new Error("a picture that the client gave is not whole any more");
      yield as === "bytes" ? bytes : Buffer.from(bytes.toBase64(), "latin1");
    }
  }
}

const picture = (file: InputFile): Piece[] =>
  file.form === "data_url"
    ? [`data:${file.image.contentType};base64,`, { image: file.image, as: "base64" }]
    : [{ image: file.image, as: file.form === "base64" ? "base64" : "bytes" }];

/** What `JSON.stringify` writes, with base64 where `InputFile`s stand. */
function jsonPieces(root: unknown): Piece[] {
  const pieces: Piece[] = [];
  const write = (value: unknown): void => {
    if (value instanceof InputFile) {
      if (value.form === "file") throw new Error("a JSON body cannot hold a picture as a file");
      pieces.push('"', ...picture(value), '"');
    } else if (Array.isArray(value)) {
      pieces.push("[");
      for (const [index, item] of value.entries()) {
        if (index > 0) pieces.push(",");
        write(item);
      }
      pieces.push("]");
    } else if (value !== null && typeof value === "object") {
      pieces.push("{");
      const entries = Object.entries(value).filter(([, item]) => item !== undefined);
      for (const [index, [name, item]] of entries.entries()) {
        pieces.push(`${index > 0 ? "," : ""}${JSON.stringify(name)}:`);
        write(item);
      }
      pieces.push("}");
    } else {
      pieces.push(JSON.stringify(value) ?? "null");
    }
  };
  write(root);
  return pieces;
}

type Fields = Extract<HttpCall["body"], { kind: "multipart" }>["fields"];

function formPieces(fields: Fields, boundary: string): Piece[] {
  const pieces: Piece[] = [];
  const begin = (name: string, more = "") =>
    pieces.push(`--${boundary}\r\nContent-Disposition: form-data; name="${quoted(name)}"${more}\r\n\r\n`);
  for (const [name, value] of Object.entries(fields)) {
    for (const [index, item] of (Array.isArray(value) ? value : [value]).entries()) {
      if (typeof item === "string") {
        begin(name);
        pieces.push(item);
      } else {
        const { contentType } = item.image;
        // Several files of one name would look like one file to some servers.
        const file = `${name.replace(/\W+/g, "") || "file"}${Array.isArray(value) ? `-${index + 1}` : ""}`;
        if (item.form !== "file") begin(name);
        else begin(name, `; filename="${file}.${extensions[contentType]}"\r\nContent-Type: ${contentType}`);
        pieces.push(...picture(item));
      }
      pieces.push("\r\n");
    }
  }
  pieces.push(`--${boundary}--\r\n`);
  return pieces;
}

/** As browsers write field names (WHATWG HTML, "multipart/form-data"). */
const quoted = (name: string): string => name.replaceAll('"', "%22").replaceAll("\r", "%0D").replaceAll("\n", "%0A");

/**
 * The digest of what it separates: nobody can put it into a prompt or a picture, since that would change it. A client
 * that could foresee it could add fields of its own (`n`, `size`) to a call that we pay.
 */
function boundaryOf(fields: Fields): string {
  const digest = createHash("sha256").update(JSON.stringify(fields)).digest("hex");
  return `arouter-${digest.slice(0, 48)}`;
}
