/** The pictures of a JSON body: data URLs and links (upstream-apis.md §2.2). */
import type { GivenInputs } from "../catalogue/index.ts";
import {
  arrayTooLong,
  emptyString,
  invalidType,
  invalidValue,
  tooLong,
  unknownParameter,
} from "../catalogue/wording.ts";
import { checkModels, type GenerationRequest } from "../generation/generate.ts";
import type { InputImage } from "../providers/input.ts";
import { Arriving, maxPictures, type PicturePlace, picturesOf } from "./edit-pictures.ts";
import type { Server } from "./types.ts";

/** §2.1 */
const maxUrlChars = 20_971_520;
/** The size that a picture which nobody has looked at is taken for: four megapixels, the most that FLUX.2 takes. */
const unseenSide = 2_048;

/** A picture that the body names. */
export interface Reference {
  place: PicturePlace;
  /** Where it stands, for errors: `images[0].image_url`. */
  path: string;
  /** A data URL, or a link. */
  url: string;
}

export interface ReferencedEdit {
  /** The pictures in their order, then the mask, then the markup. */
  references: Reference[];
  /** The body without them; an empty list of them stays. */
  body: Record<string, unknown>;
}

/** @throws PublicError; no picture is left behind then */
export async function readJsonEdit(server: Server, json: Record<string, unknown>): Promise<GenerationRequest> {
  const { references, body } = readReferences(json);
  // Whatever is wrong beside the pictures is told before anything is fetched.
  if (references.some(isLink)) checkModels(server, { body, given: inputsOf(references, unseen(references)) });
  return { body, given: await takeAll(server, references) };
}

/**
 * The pictures of a request that is only priced: data URLs are looked at, links are not followed.
 * @returns how many nobody has looked at
 */
export async function inputsForQuote(server: Server, references: readonly Reference[]) {
  const embedded = references.filter((reference) => !isLink(reference));
  const taken = picturesOf(await takeAll(server, embedded));
  const known = new Map(embedded.map((reference, index) => [reference, taken[index] as InputImage]));
  const assumed = unseen(references, known);
  return {
    given: inputsOf(references, new Map([...assumed, ...known])),
    taken,
    unseenCount: references.length - embedded.length,
  };
}

/** @throws PublicError for the first reference that is none */
export function readReferences({ images, mask, markup, ...body }: Record<string, unknown>): ReferencedEdit {
  for (const name of ["image", "image[]"]) {
    if (!(name in body)) continue;
    const message = "Unknown parameter: 'image'. For application/json on /v1/images/edits, use 'images' (array).";
    throw invalidValue("image", message);
  }
  const references: Reference[] = [];
  if (images !== undefined) {
    if (!Array.isArray(images)) throw invalidType("images", "an array of objects", images);
    if (images.length > maxPictures) throw arrayTooLong("images", maxPictures, images.length);
    references.push(...images.map((image, index) => readReference("image", image, `images[${index}]`)));
    if (images.length === 0) body.images = images;
  }
  for (const [place, value] of [
    ["mask", mask],
    ["markup", markup],
  ] as const) {
    if (value !== undefined && value !== null) references.push(readReference(place, value, place));
  }
  return { references, body };
}

function readReference(place: PicturePlace, value: unknown, path: string): Reference {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalidType(path, "an object", value);
  const { image_url: url, file_id: fileId, ...unknown } = value as Record<string, unknown>;
  for (const name of Object.keys(unknown)) throw unknownParameter(`${path}.${name}`);
  if (fileId !== undefined) {
    const message = `Invalid '${path}.file_id': this router keeps no uploaded files. Send the picture as a data URL or as an https URL in '${path}.image_url', or as a file in a multipart body.`;
    throw invalidValue(`${path}.file_id`, message);
  }
  if (url === undefined) throw invalidValue(path, `Invalid '${path}': expected an object with 'image_url'.`);
  const param = `${path}.image_url`;
  if (typeof url !== "string") throw invalidType(param, "a string", url);
  if (url === "") throw emptyString(param);
  if (url.length > maxUrlChars) throw tooLong(param, maxUrlChars, url.length);
  if (!/^data:/i.test(url) && URL.parse(url)?.protocol !== "https:") {
    throw invalidValue(param, `Invalid '${param}': expected a base64 data URL of a picture, or an https URL.`);
  }
  return { place, path: param, url };
}

const isLink = ({ url }: Reference): boolean => !/^data:/i.test(url);

function takeAll(server: Server, references: readonly Reference[]): Promise<GivenInputs> {
  const pictures = new Arriving(server);
  for (const reference of references) {
    const { place, url, path } = reference;
    if (isLink(reference)) pictures.takeLink(place, url, path);
    else pictures.takeDataUrl(place, url, path);
  }
  return pictures.given("images");
}

/** What links may lead to. What has to have the first picture's dimensions is taken to have them. */
function unseen(references: readonly Reference[], known: ReadonlyMap<Reference, InputImage> = new Map()) {
  const first = references.find(({ place }) => place === "image");
  const tied = references.filter((reference) => reference === first || reference.place !== "image");
  const sides = tied.map((reference) => known.get(reference)).find((picture) => picture !== undefined);
  const assumed = new Map<Reference, InputImage>();
  for (const reference of references.filter((one) => !known.has(one))) {
    const { width, height } = (tied.includes(reference) ? sides : undefined) ?? {
      width: unseenSide,
      height: unseenSide,
    };
    assumed.set(reference, { contentType: "image/png", width, height, bytes: 0, sha256: "", open: nothingToOpen });
  }
  return assumed;
}

function nothingToOpen(): never {
  throw new Error("a picture that has not been fetched cannot be sent");
}

function inputsOf(references: readonly Reference[], pictures: ReadonlyMap<Reference, InputImage>): GivenInputs {
  const at = (wanted: PicturePlace) =>
    references.filter(({ place }) => place === wanted).flatMap((reference) => pictures.get(reference) ?? []);
  return { operation: "edit", images: at("image"), mask: at("mask")[0], markup: at("markup")[0], field: "images" };
}
