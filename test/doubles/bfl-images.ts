/** The pictures a request brings along, decoded, so that tests can look at what really arrived. For BFL and fal alike. */
import { type Detail, type Input, valueError } from "./bfl-fastapi.ts";

export interface InputPicture {
  /** `input_image_2`, or `image_urls[1]`. */
  field: string;
  /** Undefined when it came as a link. */
  bytes: Uint8Array | undefined;
  /** The link itself: the double does not fetch it, and takes it for a picture of 1024x1024. */
  url: string | undefined;
  width: number;
  height: number;
}

/** BFL: bare base64 (a data URL is not documented) or a link. fal: a data URL or a link. */
export type PictureForm = "base64" | "base64 or link" | "data URL or link";

/** In the order of `names`. A value may be a list. */
export async function picturesOf(
  input: Input,
  names: readonly string[],
  form: PictureForm,
): Promise<InputPicture[] | Detail> {
  const pictures: InputPicture[] = [];
  for (const name of names) {
    const value = input[name];
    const values = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
    for (const [index, one] of values.entries()) {
      const field = Array.isArray(value) ? `${name}[${index}]` : name;
      const picture = await pictureOf(field, String(one), form);
      if (!picture) return valueError(name, `${field} is not ${form}, or not an image that can be read`);
      pictures.push(picture);
    }
  }
  return pictures;
}

async function pictureOf(field: string, value: string, form: PictureForm): Promise<InputPicture | undefined> {
  if (/^https?:\/\//.test(value)) {
    if (form === "base64") return undefined;
    return { field, bytes: undefined, url: value, width: 1024, height: 1024 };
  }
  const base64 = form === "data URL or link" ? /^data:image\/[a-z+.-]+;base64,(.+)$/s.exec(value)?.[1] : value;
  if (!base64) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(base64);
    const { width, height } = await new Bun.Image(bytes).metadata();
    return { field, bytes, url: undefined, width, height };
  } catch {
    return undefined;
  }
}
