/** The pictures that a client gives for an edit, against the rules of the model. That they are pictures has been checked. */

import type { InputImage } from "../providers/input.ts";
import type { EditRules, Model } from "./model.ts";
import { arrayTooLong, conflict, emptyArray, invalidImage, missing, quotedList, unknownParameter } from "./wording.ts";

/** What an edit comes with, beside its body. */
export interface GivenInputs {
  operation: "edit";
  /** In the client's order. */
  images: readonly InputImage[];
  mask?: InputImage | undefined;
  /** Drawn over the first picture. */
  markup?: InputImage | undefined;
  /** What the client calls its pictures, for errors: `image` in a multipart body; `images` where nothing is said. */
  field?: "image" | "images";
}

export interface CheckedInputs {
  images: InputImage[];
  mask: InputImage | undefined;
  markup: InputImage | undefined;
}

/** Throws the `PublicError` to answer with. */
export function checkInputs(model: Model, rules: EditRules, given: GivenInputs, listed: unknown): CheckedInputs {
  const { images, mask, markup, field = "images" } = given;
  const [first] = images;
  if (first === undefined) throw Array.isArray(listed) ? emptyArray(field) : missing(field);
  if (images.length > rules.maxImages) throw arrayTooLong(field, rules.maxImages, images.length);
  images.forEach((image, index) => {
    if (rules.inputTypes.includes(image.contentType)) return;
    const types = quotedList(rules.inputTypes);
    throw invalidImage(
      field,
      `Invalid image file or mode for image ${index + 1}, please check your image file. '${model.id}' takes ${types}, but this is '${image.contentType}'.`,
    );
  });
  if (markup !== undefined && mask !== undefined) throw conflict("markup", "mask");
  checkOverlay("mask", mask, rules.mask, first);
  checkOverlay("markup", markup, rules.markup, first);
  return { images: [...images], mask, markup };
}

/** A mask or a markup lies over the first picture, pixel by pixel (upstream-apis.md §2.1). */
function checkOverlay(name: string, image: InputImage | undefined, allowed: boolean, first: InputImage): void {
  if (image === undefined) return;
  if (!allowed) throw unknownParameter(name);
  if (image.contentType !== "image/png")
    throw invalidImage(name, `Invalid ${name} image: expected 'image/png', but this is '${image.contentType}'.`);
  if (image.width === first.width && image.height === first.height) return;
  throw invalidImage(
    name,
    `Invalid ${name} image: expected the dimensions of the first image, ${first.width}x${first.height}, but this is ${image.width}x${image.height}.`,
  );
}

/** A picture in records: what it was, without its bytes. */
export function recordOf({ sha256, bytes, contentType }: InputImage): Record<string, unknown> {
  return { sha256, bytes, content_type: contentType };
}
