/** What several parts of the model file's schema share. */

import { z } from "zod";

/** `constructor` is the one lower-case name that every object already has. */
export const parameterName = z
  .string()
  .regex(/^(?!constructor$)[a-z][a-z0-9_]*$/, "expected a lower-case parameter name")
  .describe("A parameter's name in the request body.");

export const isoDate = z.iso.date("expected a date, YYYY-MM-DD");

export const size = z.string().regex(/^[1-9]\d*x[1-9]\d*$/, "expected WIDTHxHEIGHT in pixels, for example 1024x1024");

export const usd = z
  .string()
  .regex(/^\d+(\.\d{1,9})?$/, 'expected a decimal string of US dollars with at most 9 decimals, for example "0.040"')
  .describe("US dollars as a decimal string, at most 9 decimals: never a float.");

export const scalar = z.union([z.string(), z.number(), z.boolean()], "expected a string, a number or a boolean");

export const vendorField = z.string().min(1).describe("The vendor's name of the field.");

export const operation = z.enum(["generate", "edit"], 'expected "generate" or "edit"');

export const uniqueList = <Item extends z.ZodType>(item: Item) =>
  z
    .array(item)
    .min(1, "expected at least one value")
    .refine((list) => new Set(list).size === list.length, "expected every value once");
