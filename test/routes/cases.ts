/** From the catalogue: one request for every value worth trying of every parameter of every model on a route. */
import type { Model, Operation, Parameter, Route } from "../../src/catalogue/model.ts";
import { type PictureType, picture } from "../doubles/picture.ts";
import type { RouteFacts, Sent } from "./words.ts";

export interface GivenPicture {
  bytes: Uint8Array<ArrayBuffer>;
  type: PictureType;
}

/** One request, as the client makes it. */
export interface Case {
  /** Within model and route, e.g. `quality=low`. */
  name: string;
  model: Model;
  route: Route;
  facts: RouteFacts;
  operation: Operation;
  /** The model's own parameters, and `user`. */
  given: Sent;
  n: number;
  /** Previews of a stream; undefined: no stream. */
  partialImages?: number;
  responseFormat: "url" | "b64_json";
  pictures: readonly GivenPicture[];
  mask: boolean;
  markup: boolean;
}

type Ask = Partial<Pick<Case, "given" | "n" | "partialImages" | "responseFormat" | "pictures" | "mask" | "markup">>;

/** Fields of every model, which are tried apart. */
const everywhere = ["n", "user", "response_format", "stream", "partial_images"];
const words = 'no “rain”, 没有雨, no "quotes"';
const image = "https://pictures.example.com/a%20cat.png";
const efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/** Sizes at every bound of a rule, by its longest side; a rule that is not here has to be thought about. */
const boundSizes: Record<number, string[]> = {
  // FLUX.1: steps of 32 from 256.
  1440: ["256x256", "1440x1440", "256x1440", "1440x256", "1024x768"],
  // FLUX.2: steps of 16 from 64, four megapixels.
  4096: ["64x64", "4096x1024", "1024x4096", "64x4096", "2048x2048", "1280x720", "512x512", "256x2048"],
  // GPT Image 2 and later: steps of 16, ratio 3, both pixel budgets.
  3840: ["1024x640", "640x1024", "816x816", "3840x2160", "2160x3840", "2880x2880", "3840x1280", "1280x3840"],
  // sd-server, by its example file.
  1536: ["256x256", "1536x1536", "256x1536", "1536x256", "768x512"],
};

export function valuesOf(parameter: Parameter): unknown[] {
  switch (parameter.type) {
    case "enum":
    case "format":
    case "aspect_ratio":
      return [...parameter.values];
    case "boolean":
      return [true, false];
    case "integer":
    case "number":
      return [parameter.minimum, parameter.maximum];
    case "seed":
      return [0, 1, parameter.maximum];
    case "string":
      return [words];
    case "image_url":
      return [image];
    case "size":
      return [...parameter.values, ...(parameter.auto ? ["auto"] : [])];
    case "size_rule": {
      const sizes = boundSizes[parameter.max_side];
      if (sizes === undefined) throw new Error(`no sizes are known for a rule up to ${parameter.max_side}`);
      return [...sizes, ...(parameter.auto ? ["auto"] : [])];
    }
    case "object":
      return efforts.map((effort) => ({ model: "gpt-6-mini", reasoning: { effort } }));
  }
}

/** What a value needs beside it: the last of what would do, which is what most routes have. */
function companions(parameter: Parameter, value: unknown): Sent {
  const found: Sent = {};
  for (const { for: only, parameter: other, one_of: oneOf } of parameter.requires ?? []) {
    if (everywhere.includes(other) || other === "mask") continue;
    if (only === undefined || only.includes(value as string)) found[other] = oneOf.at(-1);
  }
  return found;
}

const shown = (value: unknown): string =>
  typeof value === "object" ? JSON.stringify(value) : String(value) === words ? "…" : String(value);

type Make = (name: string, operation: Operation, ask: Ask) => Case;

function maker(model: Model, route: Route, facts: RouteFacts): Make {
  const usual = { given: {}, n: 1, responseFormat: "b64_json", pictures: [], mask: false, markup: false } as const;
  return (name, operation, ask) => ({ name, model, route, facts, operation, ...usual, ...ask });
}

const ownParameters = (model: Model, operation: Operation): readonly Parameter[] =>
  model.parametersOf[operation].all.filter(({ name }) => !everywhere.includes(name));

export function generationsOf(model: Model, route: Route, facts: RouteFacts): Case[] {
  const make = maker(model, route, facts);
  const cases = [
    make("as it comes", "generate", {}),
    make("as links", "generate", { responseFormat: "url" }),
    make("user", "generate", { given: { user: "user-7" } }),
    make("stream", "generate", { partialImages: 0 }),
  ];
  if (route.streams) {
    for (const partialImages of [1, 3])
      cases.push(make(`stream partial_images=${partialImages}`, "generate", { partialImages }));
  }
  for (const parameter of ownParameters(model, "generate")) {
    for (const value of valuesOf(parameter)) {
      const given = { [parameter.name]: value, ...companions(parameter, value) };
      cases.push(make(`${parameter.name}=${shown(value)}`, "generate", { given }));
    }
  }
  if (model.maxN > 1) {
    cases.push(make("n=2", "generate", { n: 2 }));
    cases.push(make(`n=${model.maxN}`, "generate", { n: model.maxN }));
    if (model.seedParameter !== null) cases.push(make("n=2 seed=41", "generate", { n: 2, given: { seed: 41 } }));
  }
  return cases;
}

/** Of different bytes, types and shapes. */
export function picturesTo(count: number, seed: number): GivenPicture[] {
  const types: PictureType[] = ["png", "jpeg", "webp"];
  return Array.from({ length: count }, (_, index) => {
    const type = types[index % types.length] as PictureType;
    const ask = { width: 96, height: 64 + 16 * (index % 2), type, seed: seed + index };
    return { bytes: new Uint8Array(picture(ask)), type };
  });
}

export function editsOf(model: Model, route: Route, facts: RouteFacts): Case[] {
  const { edit } = model;
  if (edit === null) return [];
  const make = maker(model, route, facts);
  const one = picturesTo(1, 100);
  const counts = [...new Set([1, 2, facts.mostPictures, edit.maxImages])]
    .filter((count) => count > 0)
    .sort((a, b) => a - b);
  const cases = counts.map((count) => make(`${count} pictures`, "edit", { pictures: picturesTo(count, 200) }));
  cases.push(make("n=2", "edit", { pictures: one, n: 2 }));
  cases.push(make("stream", "edit", { pictures: one, partialImages: route.streams ? 2 : 0 }));
  if (edit.mask) cases.push(make("mask", "edit", { pictures: picturesTo(2, 300), mask: true }));
  if (edit.markup) cases.push(make("markup", "edit", { pictures: picturesTo(2, 400), markup: true }));
  for (const parameter of ownParameters(model, "edit")) {
    // The others have been seen with generations: one value tells that they travel with pictures too.
    const isNew = !ownParameters(model, "generate").some(({ name }) => name === parameter.name);
    const values = isNew || parameter.type === "size_rule" ? valuesOf(parameter) : valuesOf(parameter).slice(0, 2);
    for (const value of values) {
      const given = { [parameter.name]: value, ...companions(parameter, value) };
      cases.push(make(`${parameter.name}=${shown(value)}`, "edit", { given, pictures: one }));
    }
  }
  return cases;
}

/** What lies over the first picture. */
export const overlaysAsked = ({ mask, markup }: Case): string[] => [
  ...(mask ? ["mask"] : []),
  ...(markup ? ["markup"] : []),
];
