/** Reads model files, built-in and the operator's, and makes them ready. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { builtInModels } from "../../models/index.ts";
import { formatUsd, parseUsd } from "../money.ts";
import { checkConsistency } from "./consistency.ts";
import type { Model, Route } from "./model.ts";
import { toParameter } from "./parameters.ts";
import { type ModelFile, modelSchema, type ParameterFile } from "./schema.ts";

export interface Catalogue {
  /** Sorted by id. */
  models: Model[];
  /** By id, by alias, or by a bare id (`dall-e-3` is `openai/dall-e-3`); exact match. */
  find(id: string): Model | undefined;
}

/**
 * The built-in models and those of `folder` (every `*.json` in it; setting `AROUTER_MODELS`), which add to them or, with the
 * same id, replace them. Throws an `Error` that names the file, the path inside it and what is expected there.
 */
export function loadCatalogue(options: { folder?: string | undefined } = {}): Catalogue {
  const byId = new Map<string, { file: string; model: Model }>();
  for (const [file, content] of Object.entries(builtInModels)) add(byId, file, readModel(file, content));
  if (options.folder !== undefined) {
    const own = new Map<string, { file: string; model: Model }>();
    for (const file of filesIn(options.folder)) add(own, file, readModel(file, parseFile(file)));
    for (const [id, entry] of own) byId.set(id, entry);
  }
  const byName = names([...byId.values()]);
  const models = [...byId.values()].map(({ model }) => model).sort((a, b) => (a.id < b.id ? -1 : 1));
  return { models, find: (id) => byName.get(id) };
}

function filesIn(folder: string): string[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.sort().map((name) => join(folder, name));
}

function parseFile(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new Error(`${file}: expected JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function add(models: Map<string, { file: string; model: Model }>, file: string, model: Model): void {
  const other = models.get(model.id);
  if (other !== undefined)
    throw new Error(`${file}: id: expected an id of its own, ${other.file} has '${model.id}' too`);
  models.set(model.id, { file, model });
}

/** Ids, aliases and bare ids → model; a name belongs to one model. */
function names(entries: ReadonlyArray<{ file: string; model: Model }>): Map<string, Model> {
  const byName = new Map<string, Model>();
  for (const { model } of entries) {
    byName.set(model.id, model);
    if (model.id.startsWith("openai/")) byName.set(model.id.slice("openai/".length), model);
  }
  for (const { file, model } of entries) {
    model.aliases.forEach((alias, index) => {
      const other = byName.get(alias);
      if (other !== undefined)
        throw new Error(`${file}: aliases[${index}]: expected a name of its own, '${alias}' is ${other.id}`);
      byName.set(alias, model);
    });
  }
  return byName;
}

function readModel(file: string, content: unknown): Model {
  const parsed = modelSchema.safeParse(content);
  if (!parsed.success) throw new Error(parsed.error.issues.map((issue) => `${file}: ${describe(issue)}`).join("\n"));
  try {
    checkConsistency(parsed.data);
  } catch (error) {
    throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return toModel(parsed.data);
}

function describe(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const at = path.replace(/^\./, "") || "(whole file)";
  if (issue.code === "unrecognized_keys")
    return `${at}: unknown key ${issue.keys.join(", ")}; expected those of models/schema.json`;
  if (issue.code === "invalid_key") return `${at}: ${issue.issues.map(({ message }) => message).join("; ")}`;
  return `${at}: ${issue.message}`;
}

function toModel(file: ModelFile): Model {
  const ordered = inCheckingOrder(file);
  const parameters = ordered.map(([name, parameter]) => toParameter(name, parameter, rivals(name, parameter, ordered)));
  const prompt = { type: "string" as const, description: "What the image should show.", ...file.prompt };
  const [first, ...others] = file.routes.map((route) => toRoute(file.id, route));
  if (first === undefined) throw new Error(`${file.id}: expected a route`);
  return {
    id: file.id,
    name: file.name,
    description: file.description,
    ownedBy: file.owned_by,
    created: file.created,
    aliases: file.aliases,
    operations: file.operations,
    promptParameter: toParameter("prompt", prompt),
    maxN: file.max_n,
    defaultResponseFormat: file.response_format,
    parameters,
    supportedParameters: new Set(["model", "prompt", ...parameters.map(({ name }) => name)]),
    lifecycle: { endDate: file.lifecycle.end_date, successor: file.lifecycle.successor, note: file.lifecycle.note },
    routes: [first, ...others],
  };
}

const geometry: ReadonlySet<ParameterFile["type"]> = new Set(["size", "size_rule", "aspect_ratio"]);

/** `n` first and sizes last, as OpenAI's API checks them (upstream-apis.md §2.6). */
function inCheckingOrder(file: ModelFile): Array<[string, ParameterFile]> {
  const own = Object.entries(file.parameters);
  return [
    ["n", { type: "integer", description: "How many images.", minimum: 1, maximum: file.max_n, default: 1 }],
    ...own.filter(([, { type }]) => !geometry.has(type)),
    ["user", { type: "string", description: "Your own name for the end user, kept with the generation." }],
    [
      "response_format",
      {
        type: "enum",
        description: "A link that lives one hour, or the bytes.",
        values: ["url", "b64_json"],
        default: file.response_format,
      },
    ],
    ...own.filter(([, { type }]) => geometry.has(type)),
  ];
}

function rivals(name: string, parameter: ParameterFile, all: ReadonlyArray<[string, ParameterFile]>): string[] {
  const declaredByOthers = all.filter(([, other]) => other.conflicts_with?.includes(name)).map(([other]) => other);
  return [...(parameter.conflicts_with ?? []), ...declaredByOthers];
}

function toRoute(modelId: string, file: ModelFile["routes"][number]): Route {
  const { price } = file;
  return {
    provider: file.provider,
    providerName: file.provider_name,
    model: file.model,
    maxImagesPerCall: file.max_images_per_call,
    fields: new Map(Object.entries(file.fields)),
    constants: file.constants,
    price: {
      unit: price.unit,
      source: price.source,
      checked: price.checked,
      rows: price.rows.map(({ size, quality, usd }) => {
        const unitNanos = parseUsd(usd);
        const selectors = `${size === undefined ? "" : ` size=${size}`}${quality === undefined ? "" : ` quality=${quality}`}`;
        const rule = `${modelId}@${file.provider} per_${price.unit}${selectors} ${formatUsd(unitNanos)} checked=${price.checked}`;
        return { size, quality, unitNanos, rule };
      }),
    },
  };
}
