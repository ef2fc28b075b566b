/** A route of a model file against its model: everything is sent or said not to be, and nothing is sent twice. */

import { checkAccepted, fail, type Parameters } from "./consistency-accepted.ts";
import type { FieldMapping } from "./model.ts";
import { isPicture, pictureNames } from "./ready.ts";
import type { ModelFile, ParameterFile } from "./schema.ts";
import type { RouteFile } from "./schema-routes.ts";

export function checkRoute(path: string, route: RouteFile, model: ModelFile, parameters: Parameters): void {
  const operations = route.operations ?? model.operations;
  for (const [index, operation] of operations.entries()) {
    if (!model.operations.includes(operation))
      fail(`${path}.operations[${index}]`, "expected an operation of this model");
  }
  if (!operations.includes("edit")) {
    for (const key of ["edit_model", "edit_constants", "edit_defaults"] as const)
      if (route[key] !== undefined) fail(`${path}.${key}`, "expected no such key: the route does not edit");
  }
  const pictures = picturesToList(model, operations.includes("edit"));
  for (const name of ["prompt", "user", ...parameters.keys(), ...pictures]) {
    if (!Object.hasOwn(route.fields, name))
      fail(`${path}.fields.${name}`, "expected how it is sent, or null for never");
  }
  if (route.fields.prompt === null) fail(`${path}.fields.prompt`, "expected a field: a prompt is always sent");
  const taken = new Map<string, string>();
  for (const [name, mapping] of Object.entries(route.fields)) {
    const place = `${path}.fields.${name}`;
    if (pictureNames.includes(name)) checkPictures(place, name, mapping, pictures);
    else checkField(place, name, mapping, parameters);
    for (const field of vendorFields(mapping)) taken.set(field, name);
  }
  checkConstants(path, route, taken);
}

function picturesToList({ edit }: ModelFile, edits: boolean): string[] {
  if (edit === undefined || !edits) return [];
  return ["images", ...(edit.mask ? ["mask"] : []), ...(edit.markup === true ? ["markup"] : [])];
}

function checkPictures(place: string, name: string, mapping: FieldMapping, expected: string[]): void {
  if (mapping === false) {
    if (name === "images" && expected.includes(name)) fail(place, "expected a field: an edit has pictures");
    return;
  }
  if (!expected.includes(name)) fail(place, "expected prompt, user or a parameter of this model");
  if (!isPicture(mapping)) fail(place, "expected {field, as, list}, or false");
  if (name !== "images" && mapping.list !== "one") fail(`${place}.list`, 'expected "one"');
}

function checkField(place: string, name: string, mapping: FieldMapping, parameters: Parameters): void {
  const parameter = parameters.get(name);
  if (parameter === undefined && name !== "prompt" && name !== "user")
    fail(place, "expected prompt, user or a parameter of this model");
  if (mapping === null || mapping === false || typeof mapping === "string") return;
  if (isPicture(mapping)) fail(place, "expected pictures (images, mask, markup) where {field, as, list} is said");
  if (parameter === undefined) return;
  if ("expand" in mapping) {
    for (const value of Object.keys(mapping.expand)) checkAccepted(`${place}.expand`, name, value, parameters);
  } else if ("width" in mapping) {
    if (parameter.type !== "size" && parameter.type !== "size_rule")
      fail(place, "expected a size where width and height are sent");
  } else {
    for (const key of ["only", "omit"] as const)
      for (const value of mapping[key] ?? []) checkAccepted(`${place}.${key}`, name, value, parameters);
    for (const key of ["minimum", "maximum"] as const)
      if (mapping[key] !== undefined && !isNumeric(parameter)) fail(`${place}.${key}`, "expected a number's parameter");
  }
}

const isNumeric = ({ type }: ParameterFile): boolean => type === "integer" || type === "number" || type === "seed";

/** The vendor's fields that a mapping fills, at the top of the call. */
function vendorFields(mapping: FieldMapping): string[] {
  if (mapping === null || mapping === false) return [];
  if (typeof mapping === "string") return [mapping];
  if ("expand" in mapping) return Object.values(mapping.expand).flatMap((fields) => Object.keys(fields));
  if ("object" in mapping) return [mapping.object];
  return "width" in mapping ? [mapping.width, mapping.height] : [mapping.field];
}

function checkConstants(path: string, route: RouteFile, taken: ReadonlyMap<string, string>): void {
  for (const key of ["constants", "edit_constants"] as const) {
    for (const field of Object.keys(route[key] ?? {})) {
      const name = taken.get(field);
      if (name !== undefined) fail(`${path}.${key}.${field}`, `expected another field: ${name} is sent as this one`);
    }
  }
  const count = route.count_field;
  if (count === undefined) return;
  const name = taken.get(count) ?? (Object.hasOwn(route.constants, count) ? "a constant" : undefined);
  if (name !== undefined) fail(`${path}.count_field`, `expected another field: ${name} is sent as this one`);
}
