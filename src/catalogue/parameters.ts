/** One parameter: its rule in words, and the check of a value against it. Nothing is clamped, nothing is coerced. */

import type { Parameter, ParameterExtras } from "./model.ts";
import type { ParameterFile } from "./schema.ts";
import type { ObjectField } from "./schema-parameters.ts";
import { checkSizeRule, sizeRuleInWords } from "./size-rule.ts";
import {
  integerAbove,
  integerBelow,
  invalidType,
  invalidValue,
  notInList,
  numberOutside,
  shown,
  tooLong,
  unknownParameter,
} from "./wording.ts";

/** A parameter of a model file, made ready for checking. */
export function toParameter<File extends ParameterFile>(
  name: string,
  file: File,
  excludedBy: readonly string[] = [],
): File & ParameterExtras {
  return { ...file, name, rule: ruleInWords(file), excludedBy };
}

/** The rule in words, derived from the data so that the two cannot disagree. */
function ruleInWords(parameter: ParameterFile | ObjectField): string {
  switch (parameter.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio": {
      const values = acceptedWords(parameter);
      return `${values.length === 1 ? "only" : "one of"} ${values.join(", ")}`;
    }
    case "integer":
      return parameter.minimum === parameter.maximum
        ? `only ${parameter.minimum}`
        : `integer from ${parameter.minimum} to ${parameter.maximum}`;
    case "number":
      return `number from ${parameter.minimum} to ${parameter.maximum}`;
    case "boolean":
      return "true or false";
    case "string":
      return parameter.max_length === undefined ? "string" : `string of at most ${parameter.max_length} characters`;
    case "image_url":
      return "https URL";
    case "seed": {
      const random = parameter.random_value === undefined ? "" : `; ${parameter.random_value} means random`;
      return `integer from 0 to ${parameter.maximum}; picture i of n uses seed + i, counted from 0${random}`;
    }
    case "size_rule":
      return `${parameter.auto === true ? "auto, or " : ""}WIDTHxHEIGHT; ${sizeRuleInWords(parameter)}`;
    case "object": {
      const fields = Object.entries(parameter.fields).map(([name, field]) => `${name} (${ruleInWords(field)})`);
      return `object with ${fields.join(", ")}`;
    }
  }
}

/** The words that a parameter with a list takes. */
function acceptedWords(parameter: Extract<ParameterFile, { values: unknown }>): readonly string[] {
  return "auto" in parameter && parameter.auto === true ? [...parameter.values, "auto"] : parameter.values;
}

/** Checks a given value (not null, not undefined); throws the `PublicError` to answer with. */
export function checkValue(parameter: Parameter, value: unknown): void {
  checkAs(parameter.name, parameter, value);
}

function checkAs(name: string, rule: ParameterFile | ObjectField, value: unknown): void {
  switch (rule.type) {
    case "enum":
    case "format":
    case "size":
    case "aspect_ratio": {
      const text = asString(name, value);
      const values = acceptedWords(rule);
      if (!values.includes(text)) throw notInList(name, text, values);
      return;
    }
    case "integer":
      checkInteger(name, value, rule.minimum, rule.maximum);
      return;
    case "seed":
      checkInteger(name, value, 0, rule.maximum);
      return;
    case "number":
      checkNumber(name, value, rule.minimum, rule.maximum);
      return;
    case "boolean":
      if (typeof value !== "boolean") throw invalidType(name, "a boolean", value);
      return;
    case "string":
      checkLength(name, asString(name, value), rule.max_length);
      return;
    case "image_url":
      checkImageUrl(name, asString(name, value));
      return;
    case "size_rule":
      checkSizeRule(name, rule, asString(name, value));
      return;
    case "object":
      checkObject(name, rule.fields, value);
      return;
  }
}

/** Strict about names; null is the same as leaving a field out. */
function checkObject(name: string, fields: Readonly<Record<string, ObjectField>>, value: unknown): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalidType(name, "an object", value);
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(fields, key)) throw unknownParameter(`${name}.${key}`);
  }
  for (const [key, rule] of Object.entries(fields)) {
    const inner = (value as Record<string, unknown>)[key];
    if (inner !== undefined && inner !== null) checkAs(`${name}.${key}`, rule, inner);
  }
}

export function asString(name: string, value: unknown): string {
  if (typeof value !== "string") throw invalidType(name, "a string", value);
  return value;
}

/** `maxLength` in Unicode code points. */
export function checkLength(name: string, text: string, maxLength: number | undefined): void {
  // A code point takes one or two UTF-16 units: a text no longer than the limit in units needs no counting.
  if (maxLength === undefined || text.length <= maxLength) return;
  let length = 0;
  for (const _codePoint of text) length += 1;
  if (length > maxLength) throw tooLong(name, maxLength, length);
}

function checkInteger(name: string, value: unknown, minimum: number, maximum: number): void {
  if (typeof value !== "number" || !Number.isInteger(value)) throw invalidType(name, "an integer", value);
  if (value < minimum) throw integerBelow(name, minimum, value);
  if (value > maximum) throw integerAbove(name, maximum, value);
}

function checkNumber(name: string, value: unknown, minimum: number, maximum: number): void {
  if (typeof value !== "number" || Number.isNaN(value)) throw invalidType(name, "a number", value);
  if (value < minimum || value > maximum) throw numberOutside(name, minimum, maximum, value);
}

function checkImageUrl(name: string, text: string): void {
  if (!URL.canParse(text) || new URL(text).protocol !== "https:") {
    throw invalidValue(name, `Invalid value: '${shown(text)}'. Expected an https URL.`);
  }
}
