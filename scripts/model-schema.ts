/** Writes models/schema.json, the JSON Schema of a model file, from src/catalogue/schema.ts: `bun scripts/model-schema.ts`. */

import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { modelSchema } from "../src/catalogue/schema.ts";

export const schemaPath = fileURLToPath(new URL("../models/schema.json", import.meta.url));

export function modelJsonSchema(): unknown {
  return z.toJSONSchema(modelSchema, { io: "input" });
}

if (import.meta.main) {
  writeFileSync(schemaPath, JSON.stringify(modelJsonSchema(), null, 2));
  execFileSync("npx", ["biome", "format", "--write", schemaPath], { stdio: "inherit" });
}
