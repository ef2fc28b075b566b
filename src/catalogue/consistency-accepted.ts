/** What the checks of a model file's consistency share. */

import { checkValue, toParameter } from "./parameters.ts";
import type { ParameterFile } from "./schema.ts";

export type Parameters = ReadonlyMap<string, ParameterFile>;

/** Throws unless the parameter exists and takes the value. */
export function checkAccepted(path: string, name: string, value: unknown, parameters: Parameters): void {
  const parameter = parameters.get(name);
  if (parameter === undefined) fail(path, `expected a parameter '${name}' in this model`);
  const ready = toParameter(name, parameter);
  try {
    checkValue(ready, value);
  } catch {
    fail(path, `expected a value that '${name}' takes: ${ready.rule}`);
  }
}

export function fail(path: string, expected: string): never {
  throw new Error(`${path}: ${expected}`);
}
