/** Seeds and several pictures: docs/decisions/0004-seed-and-fan-out.md. */

import { PublicError } from "../errors.ts";
import type { Parameter } from "./model.ts";

type SeedParameter = Extract<Parameter, { type: "seed" }>;

/** The seed of picture `offset` (from 0). A value that means random to the vendor stays what it is. */
export function seedOfPicture(parameter: SeedParameter, seed: number, offset: number): number {
  return seed === parameter.random_value ? seed : seed + offset;
}

/** Refuses a seed whose last picture would need one beyond the vendor's maximum. */
export function checkLastSeed(parameter: SeedParameter, seed: number, n: number): void {
  if (seedOfPicture(parameter, seed, n - 1) <= parameter.maximum) return;
  const name = parameter.name;
  throw new PublicError(
    "integer_above_max_value",
    `Invalid '${name}': integer above maximum value. Each of the ${n} images uses the next ${name}. Expected a value <= ${parameter.maximum - n + 1}, but got ${seed} instead.`,
    { param: name },
  );
}
