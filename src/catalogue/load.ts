/** Reads model files, built-in and the operator's, and makes them ready. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { z } from "zod";
import { builtInModels } from "../../models/index.ts";
import { checkConsistency } from "./consistency.ts";
import type { Model } from "./model.ts";
import { toModel } from "./ready.ts";
import { modelSchema } from "./schema.ts";

export interface Catalogue {
  /** Sorted by id. */
  models: Model[];
  /** By id, by alias, or by a bare id (`dall-e-3` is `openai/dall-e-3`); exact match. */
  find(id: string): Model | undefined;
}

/** A mistake in a model file, or in what it says of a provider: for whoever wrote it to mend. */
export class ModelFileError extends Error {
  override readonly name = "ModelFileError";
}

/**
 * The built-in models and those of `folder` (every `*.json` in it; setting `AROUTER_MODELS`), which add to them or, with the
 * same id, replace them. Throws a `ModelFileError` that names the file, the path inside it and what is expected there.
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
    throw new ModelFileError(`${file}: expected JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function add(models: Map<string, { file: string; model: Model }>, file: string, model: Model): void {
  const other = models.get(model.id);
  if (other !== undefined)
    throw new ModelFileError(`${file}: id: expected an id of its own, ${other.file} has '${model.id}' too`);
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
        throw new ModelFileError(`${file}: aliases[${index}]: expected a name of its own, '${alias}' is ${other.id}`);
      byName.set(alias, model);
    });
  }
  return byName;
}

function readModel(file: string, content: unknown): Model {
  const parsed = modelSchema.safeParse(content);
  if (!parsed.success)
    throw new ModelFileError(
      parsed.error.issues
        .flatMap(innermost)
        .map((issue) => `${file}: ${describe(issue)}`)
        .join("\n"),
    );
  try {
    checkConsistency(parsed.data);
  } catch (error) {
    throw new ModelFileError(`${file}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
  return toModel(parsed.data);
}

/** Of a choice without words of its own (one price or several), the branch whose kind was meant: the one that looked inside. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union" || issue.message !== "Invalid input") return [issue];
  const meant = issue.errors.find((issues) => issues.every(({ path }) => path.length > 0));
  if (meant === undefined) return [issue];
  return meant.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })).flatMap(innermost);
}

function describe(issue: z.core.$ZodIssue): string {
  const path = issue.path.map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`)).join("");
  const at = path.replace(/^\./, "") || "(whole file)";
  if (issue.code === "unrecognized_keys")
    return `${at}: unknown key ${issue.keys.join(", ")}; expected those of models/schema.json`;
  if (issue.code === "invalid_key") return `${at}: ${issue.issues.map(({ message }) => message).join("; ")}`;
  return `${at}: ${issue.message}`;
}
