/** A link's one hour: to the millisecond, over restarts and changes of the secret; whose origin it has; bytes gone after it. */
import { afterAll, afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  type GenerationObject,
  imagesOf,
  jsonOf,
  rowsOf,
  until,
  urlOf,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const folders: string[] = [];
const servers: HeldRouter[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
});
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "arouter-links-"));
  folders.push(folder);
  return folder;
}

async function start(options: Parameters<typeof startHeldRouter>[0] = {}): Promise<HeldRouter> {
  const server = await startHeldRouter({ dataFolder: newFolder(), ...options });
  servers.push(server);
  return server;
}

const ask = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
async function makeLink(router: HeldRouter, headers: Record<string, string> = {}): Promise<string> {
  return urlOf(at((await imagesOf(await router.generate(ask, { key: router.keys.test, headers }))).data));
}
/** The same link at a server that has come up on another port. */
const moved = (link: string, router: HeldRouter) => link.replace(/^https?:\/\/[^/]+/, router.url);
const filesOf = (folder: string) => readdirSync(join(folder, "images")).filter((name) => name.startsWith("img-"));

describe("the hour", () => {
  test("to the millisecond, from the second of created", async () => {
    // Half a second into it: the hour begins with the whole second that `created` names.
    const router = await start({ startAtMs: Date.UTC(2026, 0, 1, 12, 0, 0, 500) });
    const link = await makeLink(router);
    expect(new URL(link).searchParams.get("expires")).toBe(String(Date.UTC(2026, 0, 1, 13) / 1000));
    router.advance(3_599_000);
    expect((await fetch(link)).status).toBe(200);
    router.advance(499);
    expect((await fetch(link)).status).toBe(200);
    router.advance(1);
    await expectError(await fetch(link), "image_expired");
    expect((await fetch(link, { method: "HEAD" })).status).toBe(410);
    router.advance(1e12);
    await expectError(await fetch(link), "image_expired");
  });

  test("a forged link is 403 also when its hour is over", async () => {
    const router = await start();
    const link = await makeLink(router);
    router.advance(3_600_000);
    await expectError(await fetch(link.replace(/signature=.*/, "signature=x")), "invalid_link");
  });

  test("begins when the pictures are ready, not when they were asked for", async () => {
    const router = await start();
    const response = router.generate({ ...ask, prompt: "[[slow:1]]" }, { key: router.keys.test });
    await until(() => rowsOf(router.dataFolder, "SELECT id FROM generations WHERE status = 'running'")[0]);
    router.advance(100_000);
    const answer = await imagesOf(await response);
    expect(answer.created).toBe(Math.floor(router.now() / 1000));
    expect(new URL(urlOf(at(answer.data))).searchParams.get("expires")).toBe(String(answer.created + 3600));
  });

  test("bounds what a cache may keep", async () => {
    const router = await start({ startAtMs: Date.UTC(2026, 0, 1) });
    const link = await makeLink(router);
    const maxAge = async (headers = {}) => {
      const cacheControl = (await fetch(link, { headers })).headers.get("cache-control") ?? "";
      return Number(/max-age=(\d+)/.exec(cacheControl)?.[1]);
    };
    expect(await maxAge()).toBe(3600);
    router.advance(3_000_001);
    expect(await maxAge()).toBeLessThanOrEqual(599);
    expect(await maxAge({ range: "bytes=0-9" })).toBeLessThanOrEqual(599);
    expect(await maxAge({ "if-none-match": "*" })).toBeLessThanOrEqual(599);
    router.advance(599_998);
    expect(await maxAge()).toBe(0);
  });

  test("links that the generation object makes later end at the same moment", async () => {
    const router = await start();
    const response = await router.generate(ask, { key: router.keys.test });
    const id = response.headers.get("x-arouter-generation-id");
    const first = urlOf(at((await imagesOf(response)).data));
    router.advance(1_800_000);
    const later = await jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`, router.keys.test));
    expect(at(later.data).url).toBe(first);
  });
});

describe("the bytes", () => {
  test("are gone from the disk soon after the hour, and only then", async () => {
    const router = await start();
    await makeLink(router);
    router.advance(1_800_000);
    await makeLink(router);
    expect(filesOf(router.dataFolder)).toHaveLength(2);
    router.advance(1_799_999 - (router.now() % 1000));
    await Bun.sleep(200); // several sweeps of this router's quick clock
    expect(filesOf(router.dataFolder)).toHaveLength(2);
    router.advance(1_000);
    await until(() => (filesOf(router.dataFolder).length === 1 ? true : undefined));
    router.advance(1_800_000);
    await until(() => (filesOf(router.dataFolder).length === 0 ? true : undefined));
  });

  test("are gone after the next start, when the hour ended while nothing ran", async () => {
    const router = await start();
    const link = await makeLink(router);
    await router.stop();
    const { dataFolder, keys } = router;
    const next = await start({ dataFolder, keys, startAtMs: router.now() + 3_600_000 });
    await until(() => (filesOf(dataFolder).length === 0 ? true : undefined));
    await expectError(await fetch(moved(link, next)), "image_expired");
  });
});

describe("a restart", () => {
  test("on the same folder keeps links, generations and the secret, which only its owner can read", async () => {
    const router = await start();
    const link = await makeLink(router);
    const bytes = await (await fetch(link)).bytes();
    await router.stop();
    const { dataFolder, keys } = router;
    const next = await start({ dataFolder, keys, startAtMs: router.now() + 3_599_000 });
    expect(await (await fetch(moved(link, next))).bytes()).toEqual(bytes);
    expect((await fetch(moved(await makeLink(next), next))).status).toBe(200);
    const secretFile = readdirSync(dataFolder).filter((name) => /secret/.test(name));
    expect(secretFile).toHaveLength(1);
    expect(statSync(join(dataFolder, at(secretFile))).mode & 0o777).toBe(0o600);
  });

  test("another folder has another secret", async () => {
    const [one, other] = [await start(), await start()];
    await expectError(await fetch(moved(await makeLink(one), other)), "invalid_link");
  });
});

describe("AROUTER_LINK_SECRET", () => {
  test("the first signs, all verify: a secret can be replaced without breaking a link", async () => {
    const dataFolder = newFolder();
    const withSecrets = async (secrets: string, previous?: HeldRouter) => {
      await previous?.stop();
      const kept = previous === undefined ? {} : { keys: previous.keys, startAtMs: previous.now() };
      return start({ dataFolder, env: { AROUTER_LINK_SECRET: secrets }, ...kept });
    };
    const first = await withSecrets("old-secret");
    const old = await makeLink(first);
    const second = await withSecrets("new-secret, old-secret", first);
    expect((await fetch(moved(old, second))).status).toBe(200);
    const fresh = await makeLink(second);
    const third = await withSecrets("new-secret", second);
    expect((await fetch(moved(fresh, third))).status).toBe(200);
    await expectError(await fetch(moved(old, third)), "invalid_link");
    // A secret that was set is nowhere on the disk.
    expect(existsSync(join(dataFolder, "link-secret"))).toBeFalse();
  });
});

describe("the origin of links", () => {
  test("is AROUTER_PUBLIC_URL where it is set, whatever the Host says", async () => {
    const router = await start({ env: { AROUTER_PUBLIC_URL: "https://pictures.example/" } });
    const link = await makeLink(router, { host: "other.example" });
    expect(link).toStartWith("https://pictures.example/v1/images/files/img-");
    expect((await fetch(moved(link, router))).status).toBe(200);
    expect(router.printed).toContain("https://pictures.example");
  });

  test("else the request's Host", async () => {
    const router = await start();
    expect(await makeLink(router, { host: "localhost:8787" })).toStartWith("http://localhost:8787/v1/images/files/");
    expect(await makeLink(router)).toStartWith(`${router.url}/v1/images/files/`);
  });

  test("else http://HOST:PORT, for a request without a Host or with one that is none", async () => {
    const router = await start();
    const { hostname, port } = new URL(router.url);
    for (const [version, host] of [
      ["1.0", ""],
      ["1.1", "Host: a b/c\r\n"],
    ]) {
      const body = JSON.stringify(ask);
      const head = `POST /v1/images/generations HTTP/${version}\r\n${host}X-Api-Key: ${router.keys.test}`;
      const { promise, resolve } = Promise.withResolvers<string>();
      let answer = "";
      const socket = connect(Number(port), hostname, () => {
        socket.write(`${head}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      });
      socket.on("data", (chunk) => {
        answer += chunk.toString();
        if (answer.includes("}")) socket.end();
      });
      socket.on("close", () => resolve(answer));
      const [, json = ""] = (await promise).split("\r\n\r\n");
      expect(answer).toStartWith("HTTP/1.1 200 ");
      const link = urlOf(at((JSON.parse(json) as { data: Array<{ url: string }> }).data));
      expect(link).toStartWith(`${router.url}/v1/images/files/`);
      expect((await fetch(link)).status).toBe(200);
    }
  });
});

test("a dall-e-3 answer's link holds a picture of the size asked", async () => {
  const router = await start();
  const { data } = await imagesOf(
    await router.generate({ model: dallE3, prompt: "x", size: "1024x1792" }, { key: router.keys.test }),
  );
  const { width, height } = await new Bun.Image(await (await fetch(urlOf(at(data)))).bytes()).metadata();
  expect([width, height]).toEqual([1024, 1792]);
});
