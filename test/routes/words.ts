/** The language of the fact tables: how a vendor is told what a client of ours asks. */
import { expect } from "bun:test";

export type Sent = Record<string, unknown>;
/** A value of ours → the vendor's fields; null where the route cannot honour it. */
export type Words = (value: unknown) => Sent | null;

export interface RouteFacts {
  /** The vendor's name of the model; for edits `editUpstream`, where that is another. */
  upstream: string;
  editUpstream?: string;
  /** Every parameter of the model, and `user`. */
  words: Readonly<Record<string, Words>>;
  /** Sent with every call. */
  constants?: Sent;
  /** Sent with edits besides; what a parameter says counts more. */
  editSends?: Sent;
  /** Most pictures of one call, and the field that says how many; null: it makes one. */
  perCall: number;
  countField: string | null;
  /** Most pictures that an edit takes; 0 where the route does not edit. */
  mostPictures: number;
  mask?: boolean;
  markup?: boolean;
  price: PriceFacts;
  /** Requests for which nobody has published a price. */
  unpriced?: (given: Sent, operation: "generate" | "edit") => boolean;
}

export type PriceFacts =
  /** US dollars per million tokens (§9). */
  | { per: "token"; textIn: number; imageIn: number; imageOut: number }
  /** US dollars per image. */
  | { per: "image"; usd: number | ((size: string, quality: string) => number) }
  /** US dollars per begun megapixel of an image, and of a given picture. */
  | { per: "megapixel"; first: number; more: number; given?: number }
  /** What the double took, in credits of a cent. */
  | { per: "credit" };

/** Under its own name, as it is. */
export const as =
  (field: string): Words =>
  (value) => ({ [field]: value });
export const never: Words = () => null;
export const unsent: Words = () => ({});
export const only =
  (values: readonly unknown[], words: Words): Words =>
  (value) =>
    values.includes(value) ? words(value) : null;
export const within =
  (minimum: number, maximum: number, words: Words): Words =>
  (value) =>
    Number(value) >= minimum && Number(value) <= maximum ? words(value) : null;

export function sidesOf(size: unknown): { width: number; height: number } {
  const [width, height] = String(size).split("x").map(Number);
  return { width: width ?? 0, height: height ?? 0 };
}

/** A ratio that our file turns into pixels: which ones is ours to choose, that the shape is exact is checked elsewhere. */
export const anySides = { width: expect.any(Number), height: expect.any(Number) };

/** Each under its own name. */
export const own = (...names: string[]): Record<string, Words> =>
  Object.fromEntries(names.map((name) => [name, as(name)]));
