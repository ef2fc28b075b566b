/** Pictures that a client sends: what the doubles keep of them for tests. Also used by the doubles of hosted vendors. */

export interface InputImage {
  /** The form part or JSON field it came in, `input_images.1` for a member of a list. */
  field: string;
  /** As it was sent, when it was a link. No double follows one. */
  url?: string;
  /** Of a form part. */
  name?: string;
  contentType?: string;
  bytes?: Uint8Array;
  /** Of the picture in `bytes`; absent where that is none. */
  width?: number;
  height?: number;
  format?: string;
}

/** Dimensions and format, or undefined where the bytes are no picture. Reads the header alone. */
export async function pictureFacts(bytes: Uint8Array): Promise<Pick<InputImage, "width" | "height" | "format">> {
  try {
    const { width, height, format } = await new Bun.Image(bytes).metadata();
    return { width, height, format };
  } catch {
    return {};
  }
}

export async function imageOfBytes(field: string, bytes: Uint8Array, contentType?: string): Promise<InputImage> {
  const facts = await pictureFacts(bytes);
  return { field, bytes, ...(contentType === undefined ? {} : { contentType }), ...facts };
}

/** The files of a form field, however often it came. Texts in it are left out. */
export async function imagesOfPart(fields: Record<string, unknown>, name: string): Promise<InputImage[]> {
  const files = [fields[name]].flat().filter((value) => value instanceof File);
  return Promise.all(
    files.map(async (file) => ({ ...(await imageOfBytes(name, await file.bytes(), file.type)), name: file.name })),
  );
}

/** A base64 data URL, or undefined. */
export function dataUrl(text: string): { contentType: string; bytes: Uint8Array } | undefined {
  const match = /^data:([a-z]+\/[a-z0-9.+-]+);base64,/i.exec(text);
  if (!match) return undefined;
  const bytes = base64Bytes(text.slice(match[0].length));
  return bytes && { contentType: match[1] ?? "", bytes };
}

/** Standard base64 with its padding, or undefined. */
export function base64Bytes(text: string): Uint8Array | undefined {
  try {
    return Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
  } catch {
    return undefined;
  }
}
