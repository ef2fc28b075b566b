/** The router's own pages: open to everybody, complete, and without a byte or an instruction from anywhere else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import dallE3 from "../../models/openai-dall-e-3.json" with { type: "json" };
import { errorTable } from "../../src/errors.ts";
import type { OpenApiDocument } from "../../src/http/openapi.ts";
import { startRouter, type TestRouter } from "../router.ts";

const nasty = `<script>alert("1")</script><img src=x onerror=alert(2)> & 'more'`;
let router: TestRouter;
let models: string;

beforeAll(async () => {
  models = mkdtempSync(join(tmpdir(), "arouter-models-"));
  writeFileSync(join(models, "nasty.json"), JSON.stringify({ ...dallE3, id: "acme/nasty", description: nasty }));
  router = await startRouter({ env: { AROUTER_MODELS: models } });
});
afterAll(async () => {
  await router.remove();
  rmSync(models, { recursive: true });
});

const page = (path: string) => fetch(router.url + path, { headers: { accept: "text/html" } });

describe.each(["/", "/docs"])("%s", (path) => {
  test("is HTML without a key", async () => {
    const response = await page(path);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toMatch(/^text\/html; ?charset=utf-8$/i);
    expect(await response.text()).toStartWith("<!doctype html>");
  });

  test("lets nothing in from elsewhere, and says so to the browser", async () => {
    const response = await page(path);
    const policy = response.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|\*|https?:/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    const html = await response.text();
    expect(html).not.toMatch(
      /<script|<iframe|<link (?!rel="icon" href="data:)|@import|url\((?!#sky)| on\w+=(?!alert)/i,
    );
    // The one image is drawn in the page itself.
    expect(html).not.toMatch(/<img/i);
    for (const [, target = ""] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
      expect(target).toMatch(new RegExp(`^(#|\\.$|openapi\\.json$|data:image/svg|${router.url}/)`));
    }
  });

  test("allows exactly the style that it carries", async () => {
    const response = await page(path);
    const style = /<style>([\s\S]*?)<\/style>/.exec(await response.text())?.[1] ?? "";
    const hash = new Bun.CryptoHasher("sha256").update(style).digest("base64");
    expect(response.headers.get("content-security-policy")).toContain(`style-src 'sha256-${hash}'`);
  });

  test("is readable on a phone, and dark where the reader likes it dark", async () => {
    const html = await (await page(path)).text();
    expect(html).toContain('name="viewport" content="width=device-width, initial-scale=1"');
    expect(html).toContain("prefers-color-scheme:dark");
  });

  test("answers other methods 405 in the envelope", async () => {
    const response = await fetch(router.url + path, { method: "POST" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD");
    expect(((await response.json()) as { code: string }).code).toBe("method_not_allowed");
  });
});

describe("the landing page", () => {
  test("tells state, version, models and a curl line without a key", async () => {
    const html = await (await page("/")).text();
    for (const words of ["● ready", "version 0.", "openai/dall-e-3", "Bearer $AROUTER_API_KEY", `${router.url}/v1`]) {
      expect(html).toContain(words);
    }
    expect(html).not.toMatch(/lr_(test|live|mgmt)_\w{8}/);
  });

  test("is JSON for a program that does not ask for HTML", async () => {
    for (const accept of ["*/*", "application/json"]) {
      const response = await fetch(router.url, { headers: { accept } });
      expect(response.headers.get("vary")).toContain("accept");
      expect(await response.json()).toMatchObject({ name: "arouter", status: "ready", base_url: `${router.url}/v1` });
    }
  });

  test("leaves nothing executable of a strange Host header", async () => {
    const response = await fetch(router.url, { headers: { accept: "text/html", host: 'a"><script>x' } }).catch(
      () => null,
    );
    expect((await response?.text()) ?? "").not.toContain("<script");
  });
});

describe("the reference", () => {
  test("shows every path, model, parameter and error code of the description", async () => {
    const html = await (await page("/docs")).text();
    const document = (await (await fetch(`${router.url}/openapi.json`)).json()) as OpenApiDocument;
    for (const path of Object.keys({ ...document.paths, ...document.webhooks }))
      expect(html).toContain(`<code>${path}</code>`);
    for (const media of ["multipart/form-data", "text/event-stream"]) expect(html).toContain(`<code>${media}</code>`);
    for (const model of ["openai/gpt-image-2", "black-forest-labs/flux-2-pro"])
      expect(html).toContain(`id="edit-${model}"`);
    for (const code of Object.keys(errorTable)) expect(html).toContain(`<code>${code}</code>`);
    for (const name of [
      ...["negative_prompt", "aspect_ratio", "style", "image_prompt", "acme/nasty"],
      ...["partial_images", "image[]", "mask", "fallback_on_refusal", "webhook_url", "output_compression"],
    ])
      expect(html).toContain(name);
    for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) expect(html).toContain(`id="${target}"`);
  });

  test("shows an operator's words as words, whatever they are", async () => {
    const html = await (await page("/docs")).text();
    expect(html).toContain("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;");
    expect(html).not.toContain("<img src=x");
  });
});

test("/openapi.json may be read by tools on other origins, and holds no origin of ours", async () => {
  const response = await fetch(`${router.url}/openapi.json`);
  expect(response.headers.get("access-control-allow-origin")).toBe("*");
  expect(response.headers.get("x-content-type-options")).toBe("nosniff");
  expect(((await response.json()) as OpenApiDocument).servers).toEqual([{ url: "/" }]);
});

test("a public URL set by the operator is the origin of everything", async () => {
  const public_ = await startRouter({ env: { AROUTER_PUBLIC_URL: "https://images.example/router/" } });
  const facts = await (await fetch(public_.url)).json();
  expect(facts).toMatchObject({
    base_url: "https://images.example/router/v1",
    docs: "https://images.example/router/docs",
  });
  const document = (await (await fetch(`${public_.url}/openapi.json`)).json()) as OpenApiDocument;
  expect(document.servers).toEqual([{ url: "https://images.example/router" }]);
  const html = await (await fetch(public_.url, { headers: { accept: "text/html" } })).text();
  expect(html).toContain("curl https://images.example/router/v1/images/generations");
  await public_.remove();
});
