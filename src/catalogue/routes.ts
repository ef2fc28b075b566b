/** A checked request in a vendor's own words. */

import { InputFile, type InputImage } from "../providers/input.ts";
import type { CheckedRequest } from "./check.ts";
import type { FieldMapping, PictureMapping, Route } from "./model.ts";
import { seedOfPicture } from "./seed.ts";
import { type Dimensions, parseSize } from "./size-rule.ts";

type Sent = Record<string, unknown>;

/**
 * The vendor's fields for one call of a route that can honour the request: what was asked, the defaults that decide price or
 * result, the client's pictures, the route's constants. `offset` is the index of the call's first picture, from 0, and `count`
 * how many it is to make. The model is the adapter's to send, and the count too where the route names no field for it.
 */
export function mapParameters(route: Route, checked: CheckedRequest, offset: number, count: number): Sent {
  const edits = checked.operation === "edit";
  const sent: Sent = edits ? { ...route.editDefaults } : {};
  for (const [name, mapping] of route.fields) {
    const value = valueFor(checked, name, offset);
    if (value !== undefined) Object.assign(sent, inVendorWords(name, mapping, value));
  }
  if (checked.inputs !== null) {
    for (const [name, mapping] of route.pictures) {
      const pictures = picturesFor(checked.inputs, name);
      if (pictures.length > 0) Object.assign(sent, inVendorForm(mapping, pictures));
    }
  }
  if (route.countField !== undefined) sent[route.countField] = count;
  return Object.assign(sent, route.constants, edits ? route.editConstants : {});
}

/**
 * Most pictures that one call of this request is asked for: with a seed only one, since picture i is to be made with seed + i
 * (docs/decisions/0004-seed-and-fan-out.md), and how a vendor counts its seeds up within a call is documented nowhere.
 */
export function imagesPerCall(route: Route, { model, parameters }: CheckedRequest): number {
  const seed = model.seedParameter;
  return seed !== null && parameters[seed.name] !== undefined ? 1 : route.maxImagesPerCall;
}

/**
 * The first thing that this route cannot honour as asked: a parameter by its name (one that the client gave, or a default of
 * ours), `operation`, `partial_images`, `images`, `mask` or `markup`; null when it honours the whole request.
 */
export function cannotHonour(route: Route, checked: CheckedRequest): string | null {
  if (!route.operations.includes(checked.operation)) return "operation";
  for (const [name, mapping] of route.fields) {
    const value = valueFor(checked, name, 0);
    if (value !== undefined && !honours(mapping, value)) return name;
  }
  if (checked.partialImages > 0 && !route.streams) return "partial_images";
  if (checked.inputs === null) return null;
  for (const name of ["images", "mask", "markup"] as const) {
    const pictures = picturesFor(checked.inputs, name);
    const mapping = route.pictures.get(name);
    if (pictures.length > 0 && (mapping === undefined || !takes(mapping, pictures))) return name;
  }
  return null;
}

/** The pixels that a route will be asked for, where the request decides them: by its size, or by what its shape becomes. */
export function pixelsAsked(route: Route, checked: CheckedRequest): Dimensions | null {
  if (checked.size !== null) return checked.size;
  for (const [name, mapping] of route.fields) {
    if (mapping === null || typeof mapping !== "object" || !("expand" in mapping)) continue;
    const fields = mapping.expand[String(checked.parameters[name])];
    if (fields === undefined) continue;
    for (const candidate of [fields, ...Object.values(fields)]) {
      if (typeof candidate !== "object") continue;
      const { width, height } = candidate as Sent;
      if (typeof width === "number" && typeof height === "number") return { width, height };
    }
  }
  return null;
}

function valueFor(checked: CheckedRequest, name: string, offset: number): unknown {
  if (name === "prompt") return checked.prompt;
  if (name === "user") return checked.user;
  const value = checked.parameters[name];
  const seed = checked.model.seedParameter;
  return seed !== null && seed.name === name && typeof value === "number" ? seedOfPicture(seed, value, offset) : value;
}

function inVendorWords(name: string, mapping: FieldMapping, value: unknown): Sent {
  if (mapping === null) return {};
  if (typeof mapping === "string") return { [mapping]: value };
  if (mapping !== false && "expand" in mapping) {
    const fields = mapping.expand[String(value)];
    if (fields !== undefined) return fields;
  } else if (mapping !== false && "width" in mapping) {
    const size = parseSize(value);
    if (size !== null) {
      const sides = { [mapping.width]: size.width, [mapping.height]: size.height };
      return "object" in mapping ? { [mapping.object]: sides } : { ...mapping.constants, ...sides };
    }
  } else if (mapping !== false && !("as" in mapping)) {
    if (mapping.omit?.includes(value as string)) return {};
    const word = String(value);
    const values = mapping.values;
    return { [mapping.field]: values !== undefined && Object.hasOwn(values, word) ? values[word] : value };
  }
  // Dropping it in silence is the one thing that must not happen.
  throw new Error(`this route cannot honour '${name}': cannotHonour says so, and is to be asked first`);
}

function honours(mapping: FieldMapping, value: unknown): boolean {
  if (mapping === null || typeof mapping === "string") return true;
  if (mapping === false || "as" in mapping) return false;
  if ("expand" in mapping) return Object.hasOwn(mapping.expand, String(value));
  if ("width" in mapping) {
    const size = parseSize(value);
    return size !== null && fitsWithin(mapping.within ?? {}, size);
  }
  if (mapping.omit?.includes(value as string)) return true;
  if (mapping.only !== undefined && !mapping.only.includes(value as string)) return false;
  if (typeof value !== "number") return true;
  return value >= (mapping.minimum ?? value) && value <= (mapping.maximum ?? value);
}

type Within = NonNullable<Extract<FieldMapping, { within?: unknown }>["within"]>;

function fitsWithin(within: Within, { width, height }: Dimensions): boolean {
  const {
    divisible_by: step = 1,
    min_side: shortest = 1,
    max_side: longest = Infinity,
    max_pixels: most = Infinity,
  } = within;
  const fits = (side: number) => side % step === 0 && side >= shortest && side <= longest;
  return fits(width) && fits(height) && width * height <= most;
}

function picturesFor(inputs: NonNullable<CheckedRequest["inputs"]>, name: string): readonly InputImage[] {
  if (name === "images") return inputs.images;
  const one = name === "mask" ? inputs.mask : inputs.markup;
  return one === undefined ? [] : [one];
}

function takes({ list, max, max_bytes: largest = Infinity }: PictureMapping, images: readonly InputImage[]): boolean {
  const most = list === "one" ? 1 : (max ?? Infinity);
  return images.length <= most && images.every(({ bytes }) => bytes <= largest);
}

function inVendorForm(mapping: PictureMapping, images: readonly InputImage[]): Sent {
  const files = images.map((image) => new InputFile(image, mapping.as));
  switch (mapping.list) {
    case "one":
      return { [mapping.field]: files[0] };
    case "array":
    case "repeat":
      return { [mapping.field]: files };
    case "numbered":
      return Object.fromEntries(
        files.map((file, index) => [index === 0 ? mapping.field : `${mapping.field}_${index + 1}`, file]),
      );
  }
}
