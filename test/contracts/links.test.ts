/** Signed links as a file server: methods, ranges, validators, headers, tampering. CONTRACT.md "Links". */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  dallE2,
  expectError,
  expectErrorHeaders,
  flux,
  imagesOf,
  type Json,
  makeKey,
  pictureOf,
  stableDiffusion,
  urlOf,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let router: HeldRouter;
let link: string;
let bytes: Uint8Array;

async function makeLink(extra: Json = {}, key = router.keys.test): Promise<string> {
  const ask = { model: dallE2, prompt: "a lighthouse", ...extra };
  const { data } = await imagesOf(await router.generate(ask, { key }));
  return urlOf(at(data));
}

beforeAll(async () => {
  router = await startHeldRouter();
  link = await makeLink({ size: "256x256" });
  bytes = await (await fetch(link)).bytes();
});
afterAll(() => router.remove());

const get = (headers: Record<string, string> = {}, method = "GET") => fetch(link, { method, headers });

describe("a link", () => {
  test("has the promised form and ends 3,600 s after created", async () => {
    const answer = await imagesOf(await router.generate({ model: dallE2, prompt: "x" }, { key: router.keys.test }));
    const url = new URL(urlOf(at(answer.data)));
    expect(url.origin).toBe(router.url);
    expect(url.pathname).toMatch(/^\/v1\/images\/files\/img-[a-z0-9]+\.png$/);
    expect([...url.searchParams.keys()]).toEqual(["expires", "signature"]);
    expect(url.searchParams.get("expires")).toBe(String(answer.created + 3600));
    expect(url.searchParams.get("signature")).toMatch(/^[\w-]{22,}$/);
  });

  test("needs no key and gives the whole picture", async () => {
    const response = await get();
    expect(response.status).toBe(200);
    expect(await pictureOf(await response.bytes())).toBe("256x256 png");
    expect(bytes.length).toBeGreaterThan(1000);
  });

  test("carries the headers of a file to show, keep and save", async () => {
    const { headers } = await get();
    expect(headers.get("content-type")).toBe("image/png");
    expect(headers.get("content-length")).toBe(String(bytes.length));
    expect(headers.get("accept-ranges")).toBe("bytes");
    expect(headers.get("etag")).toMatch(/^"[^"]+"$/);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-disposition")).toMatch(/filename="img-[a-z0-9]+\.png"/);
    expect(headers.get("access-control-allow-origin")).toBe("*");
    expect(headers.get("x-request-id")).toBeString();
  });

  test("has the type and the name's ending of what was delivered", async () => {
    const size = { size: "256x256" };
    const kinds: Array<[Json, string, string]> = [
      [{ model: flux, ...size }, "image/webp", "webp"],
      [{ model: flux, ...size, output_format: "jpeg" }, "image/jpeg", "jpe?g"],
      [{ model: stableDiffusion, output_format: "png" }, "image/png", "png"],
    ];
    for (const [extra, type, ending] of kinds) {
      const url = await makeLink(extra);
      expect(new URL(url).pathname).toMatch(new RegExp(`\\.${ending}$`));
      const { headers } = await fetch(url);
      expect(headers.get("content-type")).toBe(type);
      expect(headers.get("content-disposition")).toMatch(new RegExp(`\\.${ending}"$`));
    }
  });

  test("HEAD says the same without the bytes", async () => {
    const [head, full] = await Promise.all([get({}, "HEAD"), get()]);
    expect(head.status).toBe(200);
    expect((await head.bytes()).length).toBe(0);
    for (const name of ["content-type", "content-length", "etag", "cache-control", "accept-ranges"]) {
      expect(head.headers.get(name)).toBe(full.headers.get(name));
    }
  });

  test("answers a page's preflight", async () => {
    const response = await get(
      { origin: "https://page.example", "access-control-request-headers": "range" },
      "OPTIONS",
    );
    expect(response.ok).toBeTrue();
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    expect(response.headers.get("access-control-allow-methods")).toContain("GET");
    expect(response.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("range");
  });
});

describe("ranges", () => {
  const ranges: Array<[range: string, from: number, to: (size: number) => number]> = [
    ["bytes=0-0", 0, () => 1],
    ["bytes=0-99", 0, () => 100],
    ["bytes=100-199", 100, () => 200],
    ["bytes=500-", 500, (size) => size],
    ["bytes=-1", -1, (size) => size],
    ["bytes=-100", -100, (size) => size],
    ["bytes=10-999999999", 10, (size) => size],
    ["bytes=-999999999", 0, (size) => size],
  ];
  for (const [range, from, to] of ranges) {
    test(range, async () => {
      const response = await get({ range });
      const start = from < 0 ? bytes.length + from : from;
      const end = to(bytes.length);
      expect(response.status).toBe(206);
      expect(response.headers.get("content-range")).toBe(`bytes ${start}-${end - 1}/${bytes.length}`);
      expect(response.headers.get("content-length")).toBe(String(end - start));
      expect(response.headers.get("content-type")).toBe("image/png");
      expect(await response.bytes()).toEqual(bytes.slice(start, end));
    });
  }

  test("beyond the end: 416 with the size", async () => {
    for (const range of [`bytes=${bytes.length}-`, "bytes=999999999-", "bytes=-0"]) {
      const response = await get({ range });
      expect(response.status).toBe(416);
      expect(response.headers.get("content-range")).toBe(`bytes */${bytes.length}`);
      expect(response.headers.get("x-should-retry")).toBe("false");
    }
  });

  test("that make no sense, or several, count as none (RFC 9110)", async () => {
    for (const range of ["bytes=", "bytes=-", "bytes=a-b", "bytes=9-1", "pages=1-2", "bytes=0-1,5-6"]) {
      const response = await get({ range });
      expect(response.status).toBe(200);
      expect(await response.bytes()).toEqual(bytes);
    }
  });

  test("If-Range: the range for the same picture, all of it for another", async () => {
    const etag = (await get()).headers.get("etag") ?? "";
    expect((await get({ range: "bytes=0-9", "if-range": etag })).status).toBe(206);
    for (const other of ['"another"', `W/${etag}`, "Sun, 22 Nov 2026 00:00:00 GMT"]) {
      const response = await get({ range: "bytes=0-9", "if-range": other });
      expect(response.status).toBe(200);
      expect(await response.bytes()).toEqual(bytes);
    }
  });
});

describe("validators", () => {
  test("If-None-Match: 304 without bytes for what the client has, 200 for anything else", async () => {
    const etag = (await get()).headers.get("etag") ?? "";
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      const response = await get({ "if-none-match": known });
      expect(response.status).toBe(304);
      expect(response.headers.get("etag")).toBe(etag);
      expect((await response.bytes()).length).toBe(0);
    }
    expect((await get({ "if-none-match": '"other"' })).status).toBe(200);
    expect((await get({ "if-none-match": etag }, "HEAD")).status).toBe(304);
  });

  test("two pictures have two tags", async () => {
    const other = await fetch(await makeLink({ size: "256x256" }));
    expect(other.headers.get("etag")).not.toBe((await get()).headers.get("etag"));
  });
});

describe("anything altered is 403", () => {
  const altered: Array<[what: string, pattern: RegExp, by: string | ((part: string) => string)]> = [
    ["a letter of the name", /.(?=\.png)/, (letter) => (letter === "0" ? "1" : "0")],
    ["another ending", /\.png/, ".webp"],
    ["no ending", /\.png/, ""],
    ["a later expiry", /(?<=expires=)\d+/, (seconds) => String(Number(seconds) + 1)],
    ["an earlier expiry", /(?<=expires=)\d+/, "1"],
    ["an expiry written otherwise", /(?<=expires=)/, "0"],
    ["an expiry that is no number", /(?<=expires=)\d+/, "never"],
    ["no expiry", /expires=\d+&/, ""],
    ["a letter of the signature", /(?<=signature=)./, (letter) => (letter === "A" ? "B" : "A")],
    ["the last letter of the signature", /.$/, (letter) => (letter === "A" ? "B" : "A")],
    ["a shorter signature", /.$/, ""],
    ["a longer signature", /$/, "A"],
    ["an empty signature", /(?<=signature=).*/, ""],
    ["a signature that is no text", /(?<=signature=).*/, "%00%F0%9F%97%BC"],
    ["no signature", /&signature=.*/, ""],
    ["no query", /\?.*/, ""],
    ["a parameter more", /$/, "&size=large"],
    ["an expiry more", /$/, "&expires=9999999999"],
    ["a signature more", /$/, "&signature=A"],
  ];

  for (const [what, pattern, by] of altered) {
    test(what, async () => {
      const url = typeof by === "string" ? link.replace(pattern, by) : link.replace(pattern, by);
      expect(url).not.toBe(link);
      await expectError(await fetch(url), "invalid_link");
      const head = await fetch(url, { method: "HEAD" });
      expect(head.status).toBe(403);
      expectErrorHeaders(head, false);
      await expectError(await fetch(url, { headers: { range: "bytes=0-9", "if-none-match": "*" } }), "invalid_link");
    });
  }

  test("the signature of another picture", async () => {
    const other = new URL(await makeLink({ size: "256x256" }));
    other.pathname = new URL(link).pathname;
    await expectError(await fetch(other), "invalid_link");
  });
});

describe("DELETE", () => {
  test("by the owner's key removes the bytes at once: then 410, for good", async () => {
    const url = await makeLink({ size: "256x256" });
    // The path names the picture; the signature plays no part, with or without it.
    const path = url.split("?")[0] ?? "";
    const response = await fetch(path, { method: "DELETE", headers: { "x-api-key": router.keys.test } });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ deleted: true });
    expect(await Bun.file(`${router.dataFolder}/images/${/img-[a-z0-9]+/.exec(path)?.[0]}`).exists()).toBeFalse();
    for (const method of ["GET", "HEAD"]) expect((await fetch(url, { method })).status).toBe(410);
    await expectError(await fetch(url), "image_expired");
    const again = await fetch(url, { method: "DELETE", headers: { "x-api-key": router.keys.test } });
    await expectError(again, "image_expired");
  });

  test("by a management key, too", async () => {
    const url = await makeLink({ size: "256x256" });
    const headers = { authorization: `Bearer ${router.keys.management}` };
    expect((await fetch(url, { method: "DELETE", headers })).status).toBe(200);
    await expectError(await fetch(url), "image_expired");
  });

  test("by another key is 404, without a key 401, and the picture stays", async () => {
    for (const key of [router.keys.live, await makeKey(router.dataFolder, "test")]) {
      await expectError(await fetch(link, { method: "DELETE", headers: { "x-api-key": key } }), "not_found");
    }
    await expectError(await fetch(link, { method: "DELETE" }), "invalid_api_key");
    const nothing = `${router.url}/v1/images/files/img-${"0".repeat(26)}.png`;
    await expectError(
      await fetch(nothing, { method: "DELETE", headers: { "x-api-key": router.keys.test } }),
      "not_found",
    );
    expect((await get()).status).toBe(200);
  });
});
