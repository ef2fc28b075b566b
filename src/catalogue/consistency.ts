/**
 * What a schema cannot say about a model file: that its parts agree with each other. An operator's slip (a price for a size
 * that nobody can ask for, a parameter that no route sends) is found at the start, not by a client.
 */

import { checkValue, toParameter } from "./parameters.ts";
import type { ModelFile, ParameterFile } from "./schema.ts";

/** Every model has these; a file cannot declare its own. */
const ownedByRouter = ["model", "prompt", "n", "user", "response_format"];

/** A request has one size, one ratio and one file type: these kinds of parameter occur once at most. */
const once: ReadonlyArray<ReadonlyArray<ParameterFile["type"]>> = [
  ["size", "size_rule"],
  ["aspect_ratio"],
  ["format"],
  ["seed"],
];

/** Throws `Error("<path>: <what is expected>")` for the first disagreement. */
export function checkConsistency(file: ModelFile): void {
  const parameters = new Map(Object.entries(file.parameters));
  for (const [name, parameter] of parameters) checkParameter(`parameters.${name}`, name, parameter, parameters);
  for (const types of once) {
    const names = [...parameters].filter(([, parameter]) => types.includes(parameter.type)).map(([name]) => name);
    if (names.length > 1)
      fail(`parameters.${names[1]}`, `expected at most one parameter of type ${types.join(" or ")}`);
  }
  file.routes.forEach((route, index) => {
    checkFields(`routes[${index}]`, route, parameters);
    route.price.rows.forEach((row, rowIndex) => {
      const path = `routes[${index}].price.rows[${rowIndex}]`;
      if (row.size !== undefined) checkAccepted(`${path}.size`, "size", row.size, parameters);
      if (row.quality !== undefined) checkAccepted(`${path}.quality`, "quality", row.quality, parameters);
    });
  });
}

function checkParameter(
  path: string,
  name: string,
  parameter: ParameterFile,
  all: ReadonlyMap<string, ParameterFile>,
): void {
  if (ownedByRouter.includes(name)) fail(path, "expected another name: every model has this parameter already");
  if ("minimum" in parameter && parameter.minimum > parameter.maximum)
    fail(`${path}.minimum`, "expected at most the maximum");
  if (parameter.type === "size_rule") checkAccepted(`${path}.example`, name, parameter.example, all);
  for (const key of ["default", "vendor_default"] as const) {
    const value = key in parameter ? (parameter as Record<typeof key, unknown>)[key] : undefined;
    if (value !== undefined) checkAccepted(`${path}.${key}`, name, value, all);
  }
  for (const [index, other] of (parameter.conflicts_with ?? []).entries()) {
    const rival = all.get(other);
    if (rival === undefined || other === name)
      fail(`${path}.conflicts_with[${index}]`, "expected another parameter of this model");
    else if ("default" in parameter && "default" in rival)
      fail(`${path}.default`, `expected a default here or for ${other}, not both`);
  }
}

function checkFields(
  path: string,
  route: ModelFile["routes"][number],
  parameters: ReadonlyMap<string, ParameterFile>,
): void {
  for (const name of ["prompt", "user", ...parameters.keys()]) {
    if (!Object.hasOwn(route.fields, name))
      fail(`${path}.fields.${name}`, "expected how it is sent, or null for never");
  }
  if (route.fields.prompt === null) fail(`${path}.fields.prompt`, "expected a field: a prompt is always sent");
  for (const [name, mapping] of Object.entries(route.fields)) {
    const parameter = parameters.get(name);
    if (parameter === undefined && name !== "prompt" && name !== "user") {
      fail(`${path}.fields.${name}`, "expected prompt, user or a parameter of this model");
    }
    if (mapping === null) continue;
    const vendorFields =
      typeof mapping === "string" ? [mapping] : "field" in mapping ? [mapping.field] : [mapping.width, mapping.height];
    const clash = vendorFields.find((field) => Object.hasOwn(route.constants, field));
    if (clash !== undefined) fail(`${path}.constants.${clash}`, `expected another field: ${name} is sent as this one`);
    if (typeof mapping === "string") continue;
    if ("width" in mapping && parameter?.type !== "size" && parameter?.type !== "size_rule") {
      fail(`${path}.fields.${name}`, "expected a size where width and height are sent");
    }
  }
}

/** Throws unless the parameter exists and takes the value. */
function checkAccepted(
  path: string,
  name: string,
  value: unknown,
  parameters: ReadonlyMap<string, ParameterFile>,
): void {
  const parameter = parameters.get(name);
  if (parameter === undefined) fail(path, `expected a parameter '${name}' in this model`);
  const ready = toParameter(name, parameter);
  try {
    checkValue(ready, value);
  } catch {
    fail(path, `expected a value that '${name}' takes: ${ready.rule}`);
  }
}

function fail(path: string, expected: string): never {
  throw new Error(`${path}: ${expected}`);
}
