/** Every route's refusals: the envelope, its headers, methods, bodies of every wrong kind. CONTRACT.md "Errors", "Headers". */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { startRouter, type TestRouter } from "../router.ts";
import { dallE2, expectError, expectErrorHeaders, imagesOf, rowsOf, until } from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

let router: TestRouter;
beforeAll(async () => {
  router = await startRouter();
});
afterAll(() => router.remove());

const ask = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
const sandbox = (body: unknown, headers: Record<string, string> = {}) =>
  router.generate(body, { key: router.keys.test, headers });

/** Path, allowed methods, and whether it is open without a key. */
const routes: Array<[path: string, allowed: string[], open?: "open"]> = [
  ["/healthz", ["GET", "HEAD"], "open"],
  ["/readyz", ["GET", "HEAD"], "open"],
  ["/v1/models", ["GET", "HEAD"]],
  ["/v1/models/dall-e-3", ["GET", "HEAD"]],
  ["/v1/models/openai/dall-e-3", ["GET", "HEAD"]],
  ["/v1/models/openai/dall-e-3/endpoints", ["GET", "HEAD"]],
  ["/v1/images/generations", ["POST"]],
  ["/v1/images/generations/gen-1", ["DELETE", "GET", "HEAD"]],
  ["/api/v1/generation", ["GET", "HEAD"]],
  ["/v1/images/files/img-1.png", ["DELETE", "GET", "HEAD", "OPTIONS"], "open"],
];

describe("methods", () => {
  for (const [path, allowed] of routes) {
    test(`${path} takes ${allowed.join(", ")} and answers the others with 405 and Allow`, async () => {
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]) {
        const response = await fetch(router.url + path, {
          method,
          headers: { authorization: `Bearer ${router.keys.test}` },
        });
        expect(response.headers.get("x-request-id")).toBeString();
        if (allowed.includes(method)) {
          expect(response.status).not.toBe(405);
          await response.arrayBuffer();
          continue;
        }
        expect(response.headers.get("allow")?.split(", ").sort()).toEqual(allowed);
        if (method !== "HEAD") await expectError(response, "method_not_allowed", { param: null });
        else {
          expect(response.status).toBe(405);
          expectErrorHeaders(response, false);
        }
      }
    });
  }
});

describe("credentials", () => {
  for (const [path, allowed, open] of routes) {
    test(`${path} is ${open === undefined ? "closed" : "open"} without a key`, async () => {
      for (const method of allowed.filter((name) => name === "GET" || name === "POST")) {
        const response = await fetch(router.url + path, { method });
        if (open === undefined) await expectError(response, "invalid_api_key");
        else expect(response.status).not.toBe(401);
      }
    });
  }

  test("a wrong key is told nothing but that it is wrong", async () => {
    const first = await expectError(await router.get("/v1/models", `lr_live_${"0".repeat(32)}`), "invalid_api_key");
    const second = await expectError(await router.get("/v1/models", "sk-anything"), "invalid_api_key");
    expect(first).toEqual(second);
  });
});

describe("paths that are nothing", () => {
  const paths = [
    "/v1",
    "/v1/",
    "/v1/images",
    "/v1/nothing",
    "/V1/models",

    "/v1/models/",
    "/%zz",
    "/%00",
  ];
  for (const path of paths) {
    test(path, async () => {
      for (const method of ["GET", "POST", "DELETE"]) {
        const response = await fetch(router.url + path, { method, headers: { "x-api-key": router.keys.test } });
        await expectError(response, "not_found", { param: null });
      }
    });
  }

  test("ids that cannot be", async () => {
    for (const id of ["gen-", "%zz", "%00", "x".repeat(3000), "..%2f..%2fetc%2fpasswd", "'; drop table generations"]) {
      const response = await router.get(`/v1/images/generations/${id}`, router.keys.test);
      await expectError(response, "not_found");
      await expectError(await router.get(`/api/v1/generation?id=${id}`, router.keys.test), "not_found");
      await expectError(await fetch(`${router.url}/v1/images/files/${id}`), "invalid_link");
    }
  });
});

describe("bodies", () => {
  test("that are not JSON", async () => {
    const bodies = [
      "",
      " ",
      "{",
      "{'model': 1}",
      '{"a":1}x',
      "prompt=x",
      "NaN",
      '{"prompt":"\u0001"}',
      "[".repeat(2e5),
    ];
    for (const body of bodies) await expectError(await sandbox(body), "invalid_json", { param: null });
    const latin1 = new Uint8Array([...Buffer.from('{"prompt":"'), 0xe9, ...Buffer.from('"}')]);
    const response = await fetch(`${router.url}/v1/images/generations?key=${router.keys.test}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: latin1,
    });
    await expectError(response, "invalid_json");
  });

  test("that are JSON, but not an object", async () => {
    for (const body of ["null", "1", '"text"', "true", "[]", '[{"model":"dall-e-3"}]']) {
      await expectError(await sandbox(body), "invalid_type", { param: null });
    }
  });

  test("of another content type", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "json"]) {
      await expectError(await sandbox(JSON.stringify(ask), { "content-type": type }), "unsupported_media_type");
    }
    expect((await sandbox(ask, { "content-type": "Application/JSON; charset=utf-8" })).status).toBe(200);
  });

  test("without a content type are read as JSON", async () => {
    const body = JSON.stringify(ask);
    const head = `POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${router.keys.test}\r\nConnection: close`;
    const answer = await exchange(router, [`${head}\r\nContent-Length: ${body.length}\r\n\r\n${body}`]);
    expect(answer).toStartWith("HTTP/1.1 200 ");
    const broken = await exchange(router, [`${head}\r\nContent-Length: 1\r\n\r\n{`]);
    expect(broken).toContain('"invalid_json"');
  });

  test("up to 10 MB are read, larger ones are answered 413", async () => {
    const padded = (bytes: number) => JSON.stringify(ask).padEnd(bytes, " ");
    expect((await sandbox(padded(10_000_000))).status).toBe(200);
    await expectError(await sandbox(padded((10 << 20) + 1)), "payload_too_large", { param: null });
    await expectError(await sandbox(padded(40 << 20)), "payload_too_large");
  });

  test("too large without a length are answered 413, too", async () => {
    const piece = new Uint8Array(1 << 20).fill(0x20);
    let pieces = 0;
    const body = new ReadableStream({
      pull(controller) {
        pieces += 1;
        if (pieces > 11) controller.close();
        else controller.enqueue(piece);
      },
    });
    const response = await fetch(`${router.url}/v1/images/generations`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-api-key": router.keys.test },
      body,
    });
    await expectError(response, "payload_too_large");
  });

  test("announced as too large are answered although the client has only begun to send", async () => {
    const head = `POST /v1/images/generations HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${router.keys.test}`;
    // The 11 MB that are read at most; the other 89 never come.
    const answer = await exchange(router, [
      `${head}\r\nContent-Length: ${100 << 20}\r\nConnection: close\r\n\r\n`,
      ...Array.from({ length: 12 }, () => " ".repeat(1 << 20)),
    ]);
    expect(answer).toStartWith("HTTP/1.1 413 ");
    expect(answer).toContain('"payload_too_large"');
  });
});

test("every answer has a request id of its own, good ones too", async () => {
  const paths = ["/healthz", "/readyz", "/v1/models", "/nothing"];
  const ids = await Promise.all(paths.map(async (path) => (await router.get(path)).headers.get("x-request-id")));
  expect(new Set(ids).size).toBe(paths.length);
  const { headers } = await sandbox(ask);
  expect(headers.get("x-request-id")).toMatch(/^req-/);
});

test("a server that stops finishes what runs and answers 503 shutting_down to what is new", async () => {
  const stopping = await startRouter();
  const key = stopping.keys.test;
  const running = stopping.generate({ ...ask, prompt: "[[slow:2]]" }, { key });
  await until(() => rowsOf(stopping.dataFolder, "SELECT id FROM generations WHERE status = 'running'")[0]);
  const stopped = stopping.stop();
  const refused = await stopping.generate(ask, { key });
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  await expectError(refused, "shutting_down");
  const notReady = await stopping.get("/readyz");
  expect(notReady.status).toBe(503);
  expect((await imagesOf(await running)).data).toHaveLength(1);
  await stopped;
  await stopping.remove();
});

/** Writes pieces to a raw socket and gives everything that comes back until the server closes, or has answered. */
function exchange(to: TestRouter, pieces: string[]): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const { hostname, port } = new URL(to.url);
  let answer = "";
  const socket = connect(Number(port), hostname, () => {
    for (const piece of pieces) socket.write(piece);
  });
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
  });
  socket.on("error", () => {}); // a server may close while we are still sending
  socket.on("close", () => resolve(answer));
  return promise;
}
