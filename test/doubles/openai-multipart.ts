/**
 * A multipart body, part by part. By hand, because Bun's `formData()` forgets the content type that a part names and
 * guesses one from the file name, and the content type is something OpenAI looks at.
 */

export interface Part {
  name: string;
  /** Undefined: a text, not a file. */
  fileName: string | undefined;
  /** Undefined: the part names none. */
  contentType: string | undefined;
  bytes: Uint8Array;
}

/** In the order of the body; undefined where it is no multipart body from its first byte to its last boundary. */
export function partsOf(body: Uint8Array, contentType: string): Part[] | undefined {
  const named = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(contentType);
  const boundary = named?.[1] ?? named?.[2];
  if (boundary === undefined) return undefined;
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  const delimiter = `\r\n--${boundary}`;
  if (buffer.indexOf(delimiter.slice(2)) !== 0) return undefined;
  const parts: Part[] = [];
  let at = delimiter.length - 2;
  while (buffer.subarray(at, at + 2).toString("latin1") === "\r\n") {
    const headEnd = buffer.indexOf("\r\n\r\n", at);
    const end = headEnd < 0 ? -1 : buffer.indexOf(delimiter, headEnd + 4);
    if (end < 0) return undefined;
    const part = partOf(buffer.subarray(at + 2, headEnd).toString("utf8"), body.subarray(headEnd + 4, end));
    if (!part) return undefined;
    parts.push(part);
    at = end + delimiter.length;
  }
  return buffer.subarray(at, at + 2).toString("latin1") === "--" ? parts : undefined;
}

function partOf(head: string, bytes: Uint8Array): Part | undefined {
  const disposition = /^content-disposition:\s*form-data(.*)$/im.exec(head)?.[1] ?? "";
  const name = /;\s*name="([^"]*)"/i.exec(disposition)?.[1];
  if (name === undefined) return undefined;
  const fileName = /;\s*filename="([^"]*)"/i.exec(disposition)?.[1];
  const contentType = /^content-type:\s*(.+?)\s*$/im.exec(head)?.[1];
  return { name, fileName, contentType, bytes };
}
