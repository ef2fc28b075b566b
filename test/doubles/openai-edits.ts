/** What `POST /v1/images/edits` takes besides the parameters of a generation (upstream-apis.md §2.1, §2.2, §2.6). */
import { type Body, given, missing, refuse, Unconverted, unknownParameter, wrongType } from "./openai-checks.ts";
import { imageUserError, invalid, type OpenAiError } from "./openai-errors.ts";
import type { GptModel } from "./openai-models.ts";
import type { Part } from "./openai-multipart.ts";
import { checkGpt, type GptOrder } from "./openai-rules.ts";

/** A picture that came with an edit, by whatever way. */
export interface InputFile {
  field: "image" | "mask" | "markup";
  /** Undefined where only an address or a file id came: the double fetches nothing. */
  bytes: Uint8Array | undefined;
  /** As the client named it, in its part or its data URL. */
  contentType: string | undefined;
  fileName: string | undefined;
  /** Of an `image_url` that is no data URL. */
  url: string | undefined;
  fileId: string | undefined;
}

/** A body in either encoding, as the fields it names. Files stay `Part`s. */
export interface EditForm {
  multipart: boolean;
  body: Body;
}

const INTEGERS = ["n", "partial_images", "output_compression", "frame_count", "frame_duration_ms"];
const LISTS = ["image[]"];
const FILES = ["image", "image[]", "mask", "markup"];

/** Texts become numbers and booleans where such belong; `svg[reasoning][effort]` becomes nested objects [S]. */
export function formOf(parts: readonly Part[]): EditForm {
  const body: Body = {};
  for (const part of parts) {
    const path = part.name.startsWith("svg[") ? part.name.replaceAll("]", "").split("[") : [part.name];
    let place = body;
    for (const step of path.slice(0, -1)) {
      place[step] ??= {};
      place = place[step] as Body;
    }
    const field = path.at(-1) ?? part.name;
    const value = FILES.includes(part.name) ? part : converted(part.name, new TextDecoder().decode(part.bytes));
    if (LISTS.includes(field)) place[field] = [...((place[field] as Part[] | undefined) ?? []), part];
    else if (field in place) refuse(duplicate(part.name));
    else place[field] = value;
  }
  return { multipart: true, body };
}

function converted(field: string, value: string): unknown {
  if (INTEGERS.includes(field)) return /^-?\d+$/.test(value) ? Number(value) : new Unconverted("an integer");
  if (field !== "stream") return value;
  return value === "true" ? true : value === "false" ? false : new Unconverted("a boolean");
}

/** The message is [M], its code and the moment at which it comes are [U]. */
function duplicate(field: string): OpenAiError {
  const message = `Duplicate parameter: '${field}'. You provided multiple values for this parameter, whereas only one is allowed. If you are trying to provide a list of values, use the array syntax instead e.g. '${field}[]=<value>'.`;
  return invalid("duplicate_parameter", field, message);
}

export interface CheckedEdit {
  order: GptOrder;
  inputs: InputFile[];
  highFidelity: boolean;
}

/** Everything but the pictures' insides: see openai-inputs.ts. `received` gets them even if a later field is wrong. */
export function checkEdit(
  form: EditForm,
  model: GptModel,
  previews: boolean,
  received: (inputs: readonly InputFile[]) => void,
): CheckedEdit {
  const { body, multipart } = form;
  const sources = multipart ? ["image", "image[]"] : ["images"];
  const keys = [...sources, "mask", "input_fidelity", ...(model.hasMarkup ? ["markup"] : [])];
  let inputs: InputFile[] = [];
  const order = checkGpt(body, model, previews, {
    keys,
    unknownKey: (key) => wrongEncoding(key, multipart),
    checkImages: () => {
      inputs = [...(multipart ? imageParts(body) : imageReferences(body)), ...overlays(body, multipart)];
      received(inputs);
    },
    hasMask: () => inputs.some(({ field }) => field === "mask"),
  });
  return { order, inputs, highFidelity: body.input_fidelity === "high" };
}

/** [M] */
function wrongEncoding(key: string, multipart: boolean): OpenAiError | undefined {
  const start = `Unknown parameter: '${key}'. For`;
  if (multipart && key === "images")
    return invalid("invalid_value", key, `${start} multipart/form-data use 'image' or 'image[]'.`);
  // The message names 'image' for both spellings in what was captured.
  const message = "Unknown parameter: 'image'. For application/json on /v1/images/edits, use 'images' (array).";
  if (!multipart && (key === "image" || key === "image[]")) return invalid("invalid_value", key, message);
  return undefined;
}

const MAX_IMAGES = 16;
const MAX_IMAGE_BYTES = 50 * 1024 * 1024;
const MAX_MASK_BYTES = 4 * 1024 * 1024;
const MAX_URL_CHARS = 20_971_520;

function imageParts(body: Body): InputFile[] {
  const single = body.image as Part | undefined;
  const list = (body["image[]"] as Part[] | undefined) ?? [];
  if (!single && list.length === 0) return refuse(missing("image"));
  if (single && list.length > 0)
    return refuse(invalid("invalid_value", "image", "Use either 'image' or 'image[]', not both.")); // [U]
  const parts = single ? [single] : list;
  checkCount("image", parts.length);
  return parts.map((part, index) => {
    const label = single ? "image" : `image[${index}]`;
    // [M] Also for an array whose member is no file.
    if (part.fileName === undefined) refuse(wrongType("image", "one of an array of files or file", "a text"));
    checkMimeType(label, part.contentType);
    checkWeight(label, part.bytes, MAX_IMAGE_BYTES, "50MB");
    return fromPart("image", part);
  });
}

/** [M]; a mask's is not looked at [M]. */
function checkMimeType(label: string, contentType: string | undefined): void {
  const type = contentType ?? "application/octet-stream";
  if (["image/jpeg", "image/png", "image/webp"].includes(type)) return;
  const message = `Invalid file '${label}': unsupported mimetype ('${type}'). Supported file formats are 'image/jpeg', 'image/png', and 'image/webp'.`;
  refuse(invalid("unsupported_file_mimetype", label, message));
}

function fromPart(field: InputFile["field"], part: Part): InputFile {
  const { bytes, contentType, fileName } = part;
  return { field, bytes, contentType, fileName, url: undefined, fileId: undefined };
}

function imageReferences(body: Body): InputFile[] {
  const { images } = body;
  if (images === undefined) return refuse(missing("images"));
  if (!Array.isArray(images)) return refuse(wrongType("images", "an array of objects", images)); // null too [M]
  if (images.length === 0) {
    const message =
      "Invalid 'images': empty array. Expected an array with minimum length 1, but got an empty array instead."; // [U] words
    refuse(invalid("empty_array", "images", message));
  }
  checkCount("images", images.length);
  return images.map((value, index) => fromReference("image", value, `images[${index}]`));
}

/** The code is [U]. */
function checkCount(field: string, count: number): void {
  if (count <= MAX_IMAGES) return;
  const message = `Invalid '${field}': array too long. Expected an array with maximum length ${MAX_IMAGES}, but got an array with length ${count} instead.`;
  refuse(invalid("array_above_max_length", field, message));
}

/** `{image_url}` or `{file_id}`: exactly one (§2.2). */
function fromReference(field: InputFile["field"], value: unknown, path: string): InputFile {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return refuse(wrongType(path, "an object", value));
  const reference = value as Body;
  const stranger = Object.keys(reference).find((key) => key !== "image_url" && key !== "file_id");
  if (stranger !== undefined) refuse(unknownParameter(`${path}.${stranger}`)); // [M]
  const keys = Object.keys(reference);
  if (keys.length !== 1)
    return refuse(invalid("invalid_value", path, `Expected exactly one of 'image_url' or 'file_id' in '${path}'.`)); // [U]
  const known = { field, bytes: undefined, contentType: undefined, fileName: undefined };
  if ("file_id" in reference) {
    const fileId = reference.file_id;
    if (typeof fileId !== "string") return refuse(wrongType(`${path}.file_id`, "a string", fileId));
    if (fileId === "") return refuse(invalid("empty_string", `${path}.file_id`, `Invalid '${path}.file_id'.`)); // [U]
    return { ...known, url: undefined, fileId };
  }
  const url = reference.image_url;
  if (typeof url !== "string") return refuse(wrongType(`${path}.image_url`, "a string", url));
  if (url.length > MAX_URL_CHARS) {
    const message = `Invalid '${path}.image_url': string too long. Expected a string with maximum length ${MAX_URL_CHARS}, but got a string with length ${url.length} instead.`;
    refuse(invalid("string_above_max_length", `${path}.image_url`, message));
  }
  if (!url.startsWith("data:")) {
    if (!/^https?:\/\/./i.test(url) || !URL.canParse(url)) refuse(badUrl(path, "a valid URL"));
    return { ...known, url, fileId: undefined };
  }
  const data = /^data:(image\/[\w.+-]+);base64,([A-Za-z0-9+/]+={0,2})$/.exec(url);
  if (!data || (data[2]?.length ?? 1) % 4 !== 0)
    return refuse(badUrl(path, "a base64-encoded data URL with an image MIME type"));
  const bytes = Uint8Array.fromBase64(data[2] ?? "");
  return { field, bytes, contentType: data[1], fileName: undefined, url: undefined, fileId: undefined };
}

/** [U] */
function badUrl(path: string, expected: string): OpenAiError {
  const message = `Invalid '${path}.image_url'. Expected ${expected}, but got a value with an invalid format.`;
  return invalid("invalid_value", `${path}.image_url`, message);
}

/** Mask and markup: never both (§2.2). */
function overlays(body: Body, multipart: boolean): InputFile[] {
  const found: InputFile[] = [];
  for (const field of ["mask", "markup"] as const) {
    const value = given(body, field);
    if (value === undefined) continue;
    const part = value as Part;
    if (multipart && part.fileName === undefined) refuse(wrongType(field, "a file", "a text"));
    const input = multipart ? fromPart(field, part) : fromReference(field, value, field);
    if (field === "mask") checkWeight(field, input.bytes, MAX_MASK_BYTES, "4MB");
    found.push(input);
  }
  if (found.length > 1) refuse(imageUserError("invalid_value", "markup", "'markup' cannot be combined with 'mask'.")); // [U]
  return found;
}

/** [U] words and code; the limits are §2.1's. */
function checkWeight(label: string, bytes: Uint8Array | undefined, limit: number, said: string): void {
  if (!bytes || bytes.length < limit) return;
  refuse(invalid("file_too_large", label, `Invalid file '${label}': file too large. Expected less than ${said}.`));
}
