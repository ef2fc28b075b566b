import { expect, test } from "bun:test";
import { loadCatalogue } from "../../src/catalogue/index.ts";
import { explainFailure } from "../../src/generation/failures.ts";

test.each([
  ["The response was filtered", "The response was filtered. Categories: sexual, hate."],
  ["Refused.", "Refused. Categories: sexual, hate."],
  ["Refused: safety_violations=[sexual].", "Refused: safety_violations=[sexual]. Categories: hate."],
  ["Refused for sexual and hate", "Refused for sexual and hate"],
])("a refusal keeps the vendor's words and adds the categories that they do not name: %s", (message, told) => {
  const model = loadCatalogue().find("gpt-image-2");
  if (model === undefined) throw new Error("no such model");
  const error = explainFailure({ class: "refused", message, categories: ["sexual", "hate"] }, model, "azure");
  expect([error.code, error.message]).toEqual(["content_policy_violation", told]);
});
