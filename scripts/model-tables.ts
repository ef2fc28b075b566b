/** Writes docs/reference/models.md from the catalogue: `bun scripts/model-tables.ts`. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { type Catalogue, loadCatalogue, type Model, type Parameter, type Route } from "../src/catalogue/index.ts";
import { formatUsd } from "../src/money.ts";

export const tablesPath = fileURLToPath(new URL("../docs/reference/models.md", import.meta.url));

export function modelTables(catalogue: Catalogue): string {
  return [
    "# Models",
    "",
    "Generated from `models/*.json` by `bun scripts/model-tables.ts`; do not edit. Lengths count Unicode code points.",
    "A parameter that a model does not list is refused (`unknown_parameter`), a value outside its rule too.",
    "",
    ...table(
      ["Model", "Prompt", "Images", "`response_format` omitted", "Operations", "Ends", "Successor"],
      catalogue.models.map((model) => [
        `[${code(model.id)}](#${anchor(model.id)})`,
        model.promptParameter.rule,
        model.maxN === 1 ? "1" : `1–${model.maxN}`,
        code(model.defaultResponseFormat),
        model.operations.join(", "),
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
    ...(model.lifecycle.note === null ? [] : ["", `Ends ${model.lifecycle.endDate}. ${model.lifecycle.note}`]),
    "",
    ...table(
      ["Parameter", "Rule", "Default", "Not with", "What it does"],
      model.parameters.map((parameter) => [
        code(parameter.name),
        parameter.rule,
        defaultOf(parameter),
        (parameter.conflicts_with ?? []).map(code).join(", ") || "–",
        parameter.description,
      ]),
    ),
    ...model.routes.flatMap((route) => routeSection(route)),
  ];
}

function routeSection(route: Route): string[] {
  const { price } = route;
  return [
    `Route ${code(route.provider)} (${route.providerName}), upstream model ${code(route.model)}, at most ${route.maxImagesPerCall} per call. Constants: ${code(JSON.stringify(route.constants))}.`,
    "",
    ...table(
      ["Ours", "Sent as"],
      [...route.fields].map(([name, mapping]) => [code(name), sentAs(mapping)]),
    ),
    ...table(
      ["Size", "Quality", `USD per ${price.unit}`],
      price.rows.map((row) => [row.size ?? "any", row.quality ?? "any", formatUsd(row.unitNanos)]),
    ),
    `Price from ${price.source}; checked ${price.checked}.`,
    "",
  ];
}

function sentAs(mapping: Route["fields"] extends ReadonlyMap<string, infer Mapping> ? Mapping : never): string {
  if (mapping === null) return "accepted, never sent";
  if (typeof mapping === "string") return code(mapping);
  if ("field" in mapping) {
    const words = Object.entries(mapping.values).map(([ours, theirs]) => `${ours} as ${theirs}`);
    return `${code(mapping.field)} (${words.join(", ")})`;
  }
  const constants = Object.entries(mapping.constants ?? {}).map(([field, value]) => `, ${code(`${field}=${value}`)}`);
  return `${code(mapping.width)}, ${code(mapping.height)}${constants.join("")}`;
}

function defaultOf(parameter: Parameter): string {
  if ("default" in parameter && parameter.default !== undefined) return code(String(parameter.default));
  if ("vendor_default" in parameter && parameter.vendor_default !== undefined) {
    return `${code(String(parameter.vendor_default))} (vendor's)`;
  }
  return "–";
}

const code = (text: string): string => `\`${text}\``;

/** GitHub's anchor of a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/[^a-z0-9 _-]/g, "")
    .replaceAll(" ", "-");

function table(header: string[], rows: string[][]): string[] {
  const line = (cells: string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  return [line(header), `|${"---|".repeat(header.length)}`, ...rows.map(line), ""];
}

if (import.meta.main) {
  mkdirSync(dirname(tablesPath), { recursive: true });
  writeFileSync(tablesPath, modelTables(loadCatalogue()));
}
