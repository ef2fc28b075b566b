/** Pictures that a client gives with its request, on their way into an upstream call. */

/** A picture that the client gave, checked, and kept outside of memory for the life of its generation. */
export interface InputImage {
  contentType: "image/png" | "image/jpeg" | "image/webp" | "image/gif";
  width: number;
  height: number;
  bytes: number;
  /** Hex. Tells repeats, and stands for the picture in records. */
  sha256: string;
  /** The bytes, read when they are needed. */
  open(): Blob;
}

/**
 * A picture's place among a call's parameters. The transport puts the bytes there: a file part of a multipart body, or
 * base64 (bare or as a data URL) in a JSON body.
 */
export class InputFile {
  readonly image: InputImage;
  readonly form: "file" | "base64" | "data_url";
  constructor(image: InputImage, form: "file" | "base64" | "data_url") {
    this.image = image;
    this.form = form;
  }
  /** In records: what was sent, without its bytes. */
  toJSON(): unknown {
    const { sha256, bytes, contentType } = this.image;
    return { sha256, bytes, content_type: contentType };
  }
}
