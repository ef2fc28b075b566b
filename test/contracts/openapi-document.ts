/** The OpenAPI description of the built-in catalogue, its operations, and validators for the schemas inside it. */
import Ajv2020 from "ajv/dist/2020";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { type OpenApiDocument, type Operation, openApiDocument } from "../../src/http/openapi.ts";
import type { Schema } from "../../src/http/openapi-schemas.ts";

export const catalogue = loadCatalogue();
export const made = openApiDocument(catalogue, "1.2.3", undefined);

// Unknown keywords are errors. `discriminator` is OpenAPI's: it helps tools and decides nothing here, the `oneOf` does.
export const ajv = new Ajv2020({ strictSchema: true, validateFormats: false });
ajv.addVocabulary(["discriminator"]);
// The whole document is one schema resource, so that its own references resolve.
ajv.addVocabulary([
  "openapi",
  "info",
  "servers",
  "security",
  "tags",
  "paths",
  "webhooks",
  "components",
  "x-arouter-errors",
]);
ajv.addSchema({ ...made, $id: "document" });
export const validator = (pointer: string) => {
  const validate = ajv.getSchema(`document#${pointer}`);
  if (validate === undefined) throw new Error(`no schema at ${pointer}`);
  return validate;
};
export const escaped = (name: string) => encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));

export function operations(document: OpenApiDocument): Array<{ method: string; path: string; operation: Operation }> {
  return Object.entries(document.paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation })),
  );
}

/** Places in a value that its schema does not name, such as `data.0.latency`. Objects without named fields are free. */
export function undescribed(schema: Schema, value: unknown, at = ""): string[] {
  const schemas = flattened(schema);
  if (Array.isArray(value)) {
    const items = schemas.flatMap((one) => (one.items === undefined ? [] : [one.items]));
    if (items.length === 0) return [];
    return value.flatMap((item, index) => undescribed({ anyOf: items }, item, `${at}${index}.`));
  }
  if (typeof value !== "object" || value === null) return [];
  const named = schemas.filter((one) => one.properties !== undefined || one.additionalProperties !== undefined);
  if (named.length === 0) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    const own = named.flatMap(({ properties = {} }) => {
      const property = properties[name];
      return property === undefined ? [] : [property];
    });
    const others = named.flatMap((one) => (isSchema(one.additionalProperties) ? [one.additionalProperties] : []));
    const found = own.length > 0 ? own : others;
    return found.length === 0 ? [`${at}${name}`] : undescribed({ anyOf: found }, inner, `${at}${name}.`);
  });
}

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;

function flattened(schema: Schema): Schema[] {
  const name = schema.$ref?.split("/").at(-1);
  const target = name === undefined ? [] : flattened(made.components.schemas[name] ?? {});
  const parts = [...(schema.allOf ?? []), ...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].flatMap(flattened);
  return [schema, ...target, ...parts];
}
