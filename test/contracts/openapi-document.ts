/** The OpenAPI description of the built-in catalogue, its operations, and validators for the schemas inside it. */
import Ajv2020 from "ajv/dist/2020";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { type OpenApiDocument, type Operation, openApiDocument } from "../../src/http/openapi.ts";

export const catalogue = loadCatalogue();
export const made = openApiDocument(catalogue, "1.2.3", undefined);

// Unknown keywords are errors. `discriminator` is OpenAPI's: it helps tools and decides nothing here, the `oneOf` does.
export const ajv = new Ajv2020({ strictSchema: true, validateFormats: false });
ajv.addVocabulary(["discriminator"]);
// The whole document is one schema resource, so that its own references resolve.
ajv.addVocabulary(["openapi", "info", "servers", "security", "tags", "paths", "components", "x-arouter-errors"]);
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
