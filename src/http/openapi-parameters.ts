/** Parameters of operations, as the OpenAPI description writes them. */
import type { Parameter } from "./openapi.ts";
import type { Schema } from "./openapi-schemas.ts";

export const path = (name: string, description: string): Parameter => ({
  name,
  in: "path",
  required: true,
  description,
  schema: { type: "string" },
});
export const query = (name: string, description: string, schema: Schema, required = false): Parameter => ({
  name,
  in: "query",
  required,
  description,
  schema,
});
export const header = (name: string, description: string, schema: Schema = { type: "string" }): Parameter => ({
  name,
  in: "header",
  description,
  schema,
});
