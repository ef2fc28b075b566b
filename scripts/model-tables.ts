/** Writes docs/reference/models.md from the catalogue: `bun scripts/model-tables.ts`. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import {
  type Catalogue,
  type FieldMapping,
  loadCatalogue,
  type Model,
  type Parameter,
  type Route,
} from "../src/catalogue/index.ts";
import { priceTable } from "./price-tables.ts";
import { anchor, code, table } from "./tables.ts";

export const tablesPath = fileURLToPath(new URL("../docs/reference/models.md", import.meta.url));

export function modelTables(catalogue: Catalogue): string {
  return [
    "# Models",
    "",
    "Generated from `models/*.json` by `bun scripts/model-tables.ts`; do not edit. Lengths count Unicode code points.",
    "A parameter that a model does not list is refused (`unknown_parameter`), a value outside its rule too.",
    "`models`, `route`, `provider` and `webhook_url` are accepted by every model and are not listed.",
    "",
    ...table(
      [
        "Model",
        "Prompt",
        "Images",
        "`response_format` omitted",
        "Operations",
        "Previews",
        "Providers",
        "Ends",
        "Successor",
      ],
      catalogue.models.map((model) => [
        `[${code(model.id)}](#${anchor(model.id)})`,
        model.promptParameter.rule,
        model.maxN === 1 ? "1" : `1–${model.maxN}`,
        code(model.defaultResponseFormat),
        model.operations.join(", "),
        model.streams ? "yes" : "–",
        model.routes.map(({ provider }) => provider).join(", "),
        model.lifecycle.endDate ?? "–",
        model.lifecycle.successor === null ? "–" : code(model.lifecycle.successor),
      ]),
    ),
    ...catalogue.models.flatMap(section),
  ].join("\n");
}

function section(model: Model): string[] {
  return [
    `## ${model.id}`,
    "",
    `${model.name}. ${model.description}`,
    ...(model.aliases.length === 0 ? [] : ["", `Also called ${model.aliases.map(code).join(", ")}.`]),
    ...(model.lifecycle.note === null ? [] : ["", `Ends ${model.lifecycle.endDate}. ${model.lifecycle.note}`]),
    ...editInWords(model),
    "",
    ...table(
      ["Parameter", "Rule", "Default", "Not with", "What it does"],
      model.parameters.map((parameter) => [
        code(parameter.name),
        parameter.rule,
        defaultOf(parameter),
        (parameter.conflicts_with ?? []).map(code).join(", ") || "–",
        [parameter.description, ...conditionsOf(parameter)].join(" "),
      ]),
    ),
    ...model.routes.flatMap((route) => routeSection(model, route)),
  ];
}

function editInWords({ edit }: Model): string[] {
  if (edit === null) return [];
  const more = [edit.mask ? "a mask" : null, edit.markup ? "or a markup" : null].filter((word) => word !== null);
  const types = edit.inputTypes.map((type) => type.replace("image/", "")).join(", ");
  const most = edit.maxImages === 1 ? "one picture" : `up to ${edit.maxImages} pictures`;
  return ["", `Edits take ${most} (${types})${more.length === 0 ? "" : `, and ${more.join(" ")}`}.`];
}

function conditionsOf({ operations, requires }: Parameter): string[] {
  const only = operations === undefined ? [] : [`Only to ${operations.join(", ")}.`];
  const needs = (requires ?? []).map(({ for: values, parameter, one_of: oneOf }) => {
    const what = values === undefined ? "Needs" : `${values.map((value) => code(String(value))).join(", ")} needs`;
    return `${what} ${code(parameter)} to be ${oneOf.map((value) => code(String(value))).join(" or ")}.`;
  });
  return [...only, ...needs];
}

function routeSection(model: Model, route: Route): string[] {
  const facts = [
    `Route ${code(route.provider)} (${route.providerName}), upstream model ${code(route.model)}`,
    ...(route.editModel === undefined ? [] : [`for edits ${code(route.editModel)}`]),
    ...(route.baseUrl === undefined ? [] : [`at ${code(route.baseUrl)}`]),
    `at most ${route.maxImagesPerCall} per call${route.countField === undefined ? "" : ` (${code(route.countField)})`}`,
    ...(route.operations.length === model.operations.length ? [] : [`only to ${route.operations.join(", ")}`]),
    ...(route.streams ? ["with previews"] : []),
  ];
  const constants = `Constants: ${code(JSON.stringify(route.constants))}`;
  const forEdits =
    Object.keys(route.editConstants).length === 0 ? "" : `, for edits ${code(JSON.stringify(route.editConstants))}`;
  return [
    `${facts.join(", ")}. ${constants}${forEdits}.`,
    "",
    ...table(
      ["Ours", "Sent as"],
      [...route.fields, ...route.pictures].map(([name, mapping]) => [code(name), sentAs(mapping)]),
    ),
    ...route.prices.flatMap(priceTable),
  ];
}

function sentAs(mapping: FieldMapping): string {
  if (mapping === null) return "accepted, never sent";
  if (mapping === false) return "not on this route";
  if (typeof mapping === "string") return code(mapping);
  if ("as" in mapping) {
    const most = mapping.max === undefined ? "" : `, at most ${mapping.max}`;
    return `${code(mapping.field)} (${mapping.list}, ${mapping.as.replace("_", " ")}${most})`;
  }
  if ("expand" in mapping) {
    const words = Object.entries(mapping.expand).map(([ours, fields]) => `${ours}: ${code(JSON.stringify(fields))}`);
    return words.join(", ");
  }
  if ("width" in mapping) {
    const sides = `${code(mapping.width)}, ${code(mapping.height)}`;
    const within = Object.entries(mapping.within ?? {}).map(([key, value]) => `, ${key.replace("_", " ")} ${value}`);
    if ("object" in mapping) return `${code(mapping.object)} with ${sides}${within.join("")}`;
    const constants = Object.entries(mapping.constants ?? {}).map(([field, value]) => `, ${code(`${field}=${value}`)}`);
    return `${sides}${constants.join("")}${within.join("")}`;
  }
  const words = [
    ...Object.entries(mapping.values ?? {}).map(([ours, theirs]) => `${ours} as ${theirs}`),
    ...(mapping.omit ?? []).map((value) => `${value} by not sending it`),
    ...(mapping.only === undefined ? [] : [`only ${mapping.only.join(", ")}`]),
    ...(mapping.minimum === undefined ? [] : [`from ${mapping.minimum}`]),
    ...(mapping.maximum === undefined ? [] : [`up to ${mapping.maximum}`]),
  ];
  return words.length === 0 ? code(mapping.field) : `${code(mapping.field)} (${words.join(", ")})`;
}

function defaultOf(parameter: Parameter): string {
  if ("default" in parameter && parameter.default !== undefined) return code(String(parameter.default));
  if ("vendor_default" in parameter && parameter.vendor_default !== undefined) {
    return `${code(String(parameter.vendor_default))} (vendor's)`;
  }
  return "–";
}

if (import.meta.main) {
  mkdirSync(dirname(tablesPath), { recursive: true });
  writeFileSync(tablesPath, modelTables(loadCatalogue()));
}
