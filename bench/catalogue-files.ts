/** Model files for a large catalogue: the built-in ones under other ids, with routes to upstream models of other names. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { builtInModels } from "../models/index.ts";

interface RouteFile {
  model: string;
}

interface ModelFile {
  id: string;
  aliases: string[];
  lifecycle: object;
  routes: RouteFile[];
  $schema?: string;
}

/**
 * Writes what is missing to so many models and routes, built-in ones counted. Every model becomes a copy of a built-in one,
 * taken in turn, whose routes are repeated with upstream models of their own.
 * @returns ids of the copies by the id of what was copied
 */
export function writeModels(folder: string, wanted: { models: number; routes: number }): Map<string, string[]> {
  mkdirSync(folder, { recursive: true });
  const builtIn = Object.values(builtInModels) as ModelFile[];
  const missing = wanted.models - builtIn.length;
  let routes = wanted.routes - builtIn.reduce((sum, model) => sum + model.routes.length, 0);
  const copies = new Map<string, string[]>();
  for (let number = 0; number < missing; number += 1) {
    const original = builtIn[number % builtIn.length] as ModelFile;
    const { $schema: _schema, ...model } = structuredClone(original);
    const count = Math.ceil(routes / (missing - number));
    routes -= count;
    const id = `${model.id}-copy-${number}`;
    const file: ModelFile = {
      ...model,
      id,
      aliases: [],
      lifecycle: { end_date: null, successor: null, note: null },
      routes: Array.from({ length: count }, (_, index) => {
        const route = original.routes[index % original.routes.length] as RouteFile;
        return { ...route, model: `${route.model}-${number}-${index}` };
      }),
    };
    writeFileSync(join(folder, `${number}.json`), JSON.stringify(file));
    copies.set(original.id, [...(copies.get(original.id) ?? []), id]);
  }
  return copies;
}
