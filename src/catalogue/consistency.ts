/**
 * What a schema cannot say about a model file: that its parts agree with each other. An operator's slip (a price for a size
 * that nobody can ask for, a parameter that no route sends) is found at the start, not by a client.
 */

import { routerParameters } from "./check.ts";
import { checkAccepted, fail, type Parameters } from "./consistency-accepted.ts";
import { checkPrices } from "./consistency-prices.ts";
import { checkRoute } from "./consistency-routes.ts";
import { pictureNames } from "./ready.ts";
import type { ModelFile, ParameterFile } from "./schema.ts";

/** Every model has these, or has them by its routes and operations; a file cannot declare its own. */
const ownedByRouter = [
  ...["model", "prompt", "n", "user", "response_format", "stream", "partial_images"],
  ...pictureNames,
  ...routerParameters,
];

/** What `requires` may name beside the file's own parameters. */
const ownedButNamed: Record<string, ParameterFile> = {
  n: { type: "integer", description: "", minimum: 1, maximum: Number.MAX_SAFE_INTEGER },
  stream: { type: "boolean", description: "" },
  partial_images: { type: "integer", description: "", minimum: 0, maximum: 3 },
  mask: { type: "boolean", description: "" },
  markup: { type: "boolean", description: "" },
};

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
  if (file.operations.includes("edit") && file.edit === undefined)
    fail("edit", "expected what an edit can be given, since the model edits");
  if (!file.operations.includes("edit") && file.edit !== undefined)
    fail("edit", "expected no such key: the model does not edit");
  for (const [name, parameter] of parameters) checkParameter(`parameters.${name}`, name, parameter, parameters, file);
  for (const types of once) {
    const names = [...parameters].filter(([, parameter]) => types.includes(parameter.type)).map(([name]) => name);
    if (names.length > 1)
      fail(`parameters.${names[1]}`, `expected at most one parameter of type ${types.join(" or ")}`);
  }
  checkSuccessorMapping(file, parameters);
  file.routes.forEach((route, index) => {
    checkRoute(`routes[${index}]`, route, file, parameters);
    checkPrices(`routes[${index}].price`, route.price, parameters);
  });
}

function checkParameter(path: string, name: string, parameter: ParameterFile, all: Parameters, file: ModelFile): void {
  if (ownedByRouter.includes(name)) fail(path, "expected another name: every model has this parameter already");
  if ("minimum" in parameter && parameter.minimum > parameter.maximum)
    fail(`${path}.minimum`, "expected at most the maximum");
  if (parameter.type === "size_rule") checkAccepted(`${path}.example`, name, parameter.example, all);
  for (const key of ["default", "vendor_default"] as const) {
    const value = key in parameter ? (parameter as Record<typeof key, unknown>)[key] : undefined;
    if (value !== undefined) checkAccepted(`${path}.${key}`, name, value, all);
  }
  for (const key of ["operations", "default_for"] as const) {
    for (const [index, operation] of (parameter[key] ?? []).entries()) {
      if (!file.operations.includes(operation)) fail(`${path}.${key}[${index}]`, "expected an operation of this model");
    }
  }
  for (const [index, other] of (parameter.conflicts_with ?? []).entries()) {
    const rival = all.get(other);
    if (rival === undefined || other === name)
      fail(`${path}.conflicts_with[${index}]`, "expected another parameter of this model");
    else if ("default" in parameter && "default" in rival)
      fail(`${path}.default`, `expected a default here or for ${other}, not both`);
  }
  const named = new Map([...Object.entries(ownedButNamed), ...all]);
  for (const [index, requirement] of (parameter.requires ?? []).entries()) {
    const place = `${path}.requires[${index}]`;
    if (requirement.parameter === name || !named.has(requirement.parameter))
      fail(`${place}.parameter`, "expected another parameter of this model");
    for (const value of requirement.for ?? []) checkAccepted(`${place}.for`, name, value, all);
    for (const value of requirement.one_of) checkAccepted(`${place}.one_of`, requirement.parameter, value, named);
  }
}

function checkSuccessorMapping({ lifecycle }: ModelFile, parameters: Parameters): void {
  const mapping = lifecycle.successor_mapping;
  if (mapping === undefined) return;
  const path = "lifecycle.successor_mapping";
  if (lifecycle.successor === null) fail(path, "expected a successor");
  for (const [name, values] of Object.entries(mapping.values)) {
    for (const value of Object.keys(values)) checkAccepted(`${path}.values.${name}`, name, value, parameters);
  }
  for (const [index, name] of mapping.refused.entries()) {
    if (!parameters.has(name)) fail(`${path}.refused[${index}]`, "expected a parameter of this model");
  }
}
