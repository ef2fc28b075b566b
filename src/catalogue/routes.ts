/** A checked request in a vendor's own words. */

import type { CheckedRequest } from "./check.ts";
import type { FieldMapping, Route } from "./model.ts";
import { parsePair } from "./parameters.ts";
import { seedOfPicture } from "./seed.ts";

/**
 * The vendor's fields for one call of a route: what was asked, the defaults that decide price or result, the route's
 * constants. `offset` is the index of the call's first picture, from 0. The model and the count are the adapter's.
 */
export function mapParameters(route: Route, checked: CheckedRequest, offset: number): Record<string, unknown> {
  const sent: Record<string, unknown> = {};
  for (const [name, mapping] of route.fields) {
    const value = valueFor(checked, name, offset);
    if (value !== undefined) Object.assign(sent, inVendorWords(mapping, value));
  }
  return Object.assign(sent, route.constants);
}

function valueFor(checked: CheckedRequest, name: string, offset: number): unknown {
  if (name === "prompt") return checked.prompt;
  if (name === "user") return checked.user;
  const value = checked.parameters[name];
  if (typeof value !== "number" || offset === 0) return value;
  const parameter = checked.model.parameters.find((candidate) => candidate.name === name);
  return parameter?.type === "seed" ? seedOfPicture(parameter, value, offset) : value;
}

function inVendorWords(mapping: FieldMapping, value: unknown): Record<string, unknown> {
  if (mapping === null) return {};
  if (typeof mapping === "string") return { [mapping]: value };
  if ("field" in mapping) {
    const word = String(value);
    return { [mapping.field]: Object.hasOwn(mapping.values, word) ? mapping.values[word] : value };
  }
  const { width, height } = parsePair(String(value), "x");
  return { ...mapping.constants, [mapping.width]: width, [mapping.height]: height };
}
