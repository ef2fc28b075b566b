/** The OpenAPI description: a valid document that names the registered routes and no others. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { readConfig } from "../../src/config.ts";
import { type ErrorCode, errorTable } from "../../src/errors.ts";
import { createApp } from "../../src/http/app.ts";
import { createLinks } from "../../src/images/links.ts";
import { createLogger } from "../../src/observe/log.ts";
import { openParts } from "../../src/parts.ts";
import { escaped, made, operations, validator } from "./openapi-document.ts";

describe("the document", () => {
  test("is valid OpenAPI 3.1", async () => {
    const { valid, errors } = await new Validator().validate(
      structuredClone(made) as unknown as Record<string, unknown>,
    );
    expect(errors ?? []).toEqual([]);
    expect(valid).toBe(true);
  });

  test("holds only schemas that compile", () => {
    for (const name of Object.keys(made.components.schemas)) {
      expect(() => validator(`/components/schemas/${escaped(name)}`)).not.toThrow();
    }
  });

  test("names every operation once, each with a summary and a tag that exists", () => {
    const ids = operations(made).map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = made.tags.map(({ name }) => name);
    for (const { operation } of operations(made)) {
      expect(operation.summary).not.toBe("");
      expect(operation.tags.every((tag) => tags.includes(tag))).toBe(true);
    }
  });

  test("declares the variables of every path", () => {
    for (const { path, operation } of operations(made)) {
      const declared = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === "path")
        .map(({ name }) => name);
      expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ""));
    }
  });

  test("lists every error code, and each only under its own status", () => {
    expect(made.components.schemas.ErrorCode?.enum).toEqual(Object.keys(errorTable));
    expect(made["x-arouter-errors"]).toEqual(errorTable);
    for (const { operation } of operations(made)) {
      for (const [status, { description }] of Object.entries(operation.responses)) {
        if (!/^`\w+`(, `\w+`)*$/.test(description)) continue;
        for (const [, code] of description.matchAll(/`(\w+)`/g)) {
          expect(String(errorTable[code as ErrorCode].status)).toBe(status);
        }
      }
    }
  });

  test("describes every registered route and method, and nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "arouter-openapi-"));
    const parts = await openParts(readConfig({ AROUTER_DATA: folder }), { logger: createLogger("silent") });
    const app = createApp({ ...parts, links: createLinks(["secret"]), version: "1.2.3", isDraining: () => false });
    await parts.close();
    rmSync(folder, { recursive: true });
    const registered = app.routes
      .filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`);
    // HEAD is answered through GET; where it is worth describing, there has to be a GET.
    const described = operations(made).map(({ method, path }) => `${method === "HEAD" ? "GET" : method} ${path}`);
    expect(registered.length).toBeGreaterThan(10);
    expect([...new Set(described)].sort()).toEqual([...new Set(registered)].sort());
  });
});
