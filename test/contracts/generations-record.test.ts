/** The generation object and the report: in every state, for those who may see them, also after the client has left. */
import { afterAll, afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { startRouter, type TestRouter } from "../router.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  flux,
  type GenerationObject,
  imagesOf,
  type Json,
  jsonOf,
  makeKey,
  rowsOf,
  startUpstreams,
  until,
  urlOf,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
const { openai, replicate } = upstreams;
let router: HeldRouter;
let unhurried: TestRouter;
beforeAll(async () => {
  router = await startHeldRouter({ env: upstreams.env });
  unhurried = await startRouter({ env: upstreams.env });
});
afterEach(() => upstreams.clear());
afterAll(async () => {
  await router.remove();
  await unhurried.remove();
  await upstreams.stop();
});

const ask = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
const idOf = (response: Response) => response.headers.get("x-arouter-generation-id") ?? "";
const recordOf = async (id: string, key = router.keys.live) =>
  jsonOf<GenerationObject>(await router.get(`/v1/images/generations/${id}`, key));
const running = (folder: string) =>
  rowsOf<{ id: string }>(folder, "SELECT id FROM generations WHERE status = 'running'")[0]?.id;

describe("the generation object", () => {
  test("succeeded: everything the contract lists", async () => {
    const response = await router.generate({ ...ask, n: 2, user: "someone" });
    const record = await recordOf(idOf(response));
    const { data } = await imagesOf(response);
    const now = Math.floor(router.now() / 1000);
    expect(record).toMatchObject({
      id: idOf(response),
      object: "image.generation",
      status: "succeeded",
      created: now,
      finished: now,
      model: dallE2,
      provider: "openai",
      requested: { ...ask, n: 2, user: "someone" },
      sent: openai.lastRequest?.body as Json,
      error: null,
      warnings: [],
      usage: null,
      cost_usd: 0.032,
    });
    expect(record.data).toHaveLength(2);
    for (const [position, image] of record.data.entries()) {
      const bytes = await (await fetch(urlOf(image))).bytes();
      expect(image).toEqual({
        url: urlOf(at(data, position)),
        size: "256x256",
        bytes: bytes.length,
        content_type: "image/png",
        expires_at: now + 3600,
      });
    }
    expect(record.attempts).toHaveLength(1);
    expect(at(record.attempts)).toMatchObject({
      provider: "openai",
      model: "dall-e-2",
      status: "succeeded",
      started: now,
      finished: now,
      upstream_id: expect.stringMatching(/^req_/),
      error: null,
    });
  });

  test("of a job upstream names it, and has one attempt for each picture", async () => {
    const record = await recordOf(idOf(await router.generate({ model: flux, prompt: "x", n: 2, size: "256x256" })));
    const ids = record.attempts.map(({ upstream_id: id }) => id ?? "");
    expect(ids.toSorted()).toEqual(replicate.predictionIds.slice(-2).sort());
    expect(at(record.data).content_type).toBe("image/webp");
  });

  test("has the revised prompt where the upstream gave one", async () => {
    const record = await recordOf(idOf(await router.generate({ model: dallE3, prompt: "x" })));
    expect(at(record.data).revised_prompt).toBe("x, in rich detail");
  });

  test("running: no result yet, and no end", async () => {
    openai.next({ kind: "delay", ms: 1000 });
    const response = router.generate(ask);
    await openai.arrived(openai.requestsAt("create").length + 1);
    const id = await until(() => running(router.dataFolder));
    const record = await recordOf(id);
    expect(record).toMatchObject({ id, status: "running", finished: null, data: [], error: null, cost_usd: 0 });
    expect(at(record.attempts)).toMatchObject({ status: "running", finished: null });
    const report = await jsonOf(await router.get(`/api/v1/generation?id=${id}`));
    expect(report).toMatchObject({ id, latency_ms: null });
    expect((await response).status).toBe(200);
    expect((await recordOf(id)).status).toBe("succeeded");
  });

  test("failed: the error that the client was told", async () => {
    const response = await router.generate({ ...ask, prompt: "[[moderate]]" });
    const record = await recordOf(idOf(response));
    const { error } = await expectError(response, "content_policy_violation");
    expect(record).toMatchObject({ status: "failed", data: [], cost_usd: 0, warnings: [] });
    expect(record.finished).toBeNumber();
    expect(record.error).toMatchObject({ code: error.code, message: error.message, param: error.param });
    expect(at(record.attempts)).toMatchObject({ status: "failed" });
    expect(at(record.attempts).error).not.toBeNull();
  });

  test("expired: a succeeded one whose bytes are gone, with its figures and without links", async () => {
    const response = await router.generate(ask);
    router.advance(3_599_000);
    expect((await recordOf(idOf(response))).status).toBe("succeeded");
    router.advance(1_000);
    const record = await recordOf(idOf(response));
    expect(record).toMatchObject({ status: "expired", cost_usd: 0.016, error: null });
    expect(record.data).toHaveLength(1);
    expect(at(record.data).url).toBeUndefined();
    expect(at(record.data)).toMatchObject({ size: "256x256", content_type: "image/png" });
  });

  test("is expired, too, when its owner has deleted the bytes; with one of two left it is not", async () => {
    const response = await router.generate({ ...ask, n: 2 });
    const { data } = await imagesOf(response);
    const remove = async (position: number) => {
      const headers = { "x-api-key": router.keys.live };
      expect((await fetch(urlOf(at(data, position)), { method: "DELETE", headers })).status).toBe(200);
      return recordOf(idOf(response));
    };
    const half = await remove(0);
    expect(half.status).toBe("succeeded");
    expect(half.data.map(({ url }) => url === undefined)).toEqual([true, false]);
    expect((await remove(1)).status).toBe("expired");
  });

  test("gives fresh links whenever it is asked, from where it is asked", async () => {
    const id = idOf(await router.generate(ask));
    const response = await fetch(`${router.url}/v1/images/generations/${id}`, {
      headers: { "x-api-key": router.keys.live, host: "pictures.example" },
    });
    const { url = "" } = at((await jsonOf<GenerationObject>(response)).data);
    expect(url).toStartWith("http://pictures.example/v1/images/files/");
    expect((await fetch(url.replace("http://pictures.example", router.url))).status).toBe(200);
  });
});

describe("the report", () => {
  test("is flat, with cost and images", async () => {
    const headers = { "HTTP-Referer": "https://app.example", "X-Title": "An app" };
    const response = await router.generate({ ...ask, n: 3, user: "someone" }, { headers });
    const report = await jsonOf(await router.get(`/api/v1/generation?id=${idOf(response)}`));
    expect(report).toMatchObject({
      id: idOf(response),
      model: dallE2,
      provider: "openai",
      created_at: new Date(router.now()).toISOString(),
      latency_ms: 0,
      usage: { cost: 0.048, images: 3 },
    });
    for (const word of ["https://app.example", "An app", "someone"]) expect(Object.values(report)).toContain(word);
  });

  test("without an id is 400", async () => {
    const response = await router.get("/api/v1/generation");
    await expectError(response, "missing_required_parameter", { param: "id" });
  });
});

describe("who may see it", () => {
  test("the key that made it and management keys; to others it does not exist", async () => {
    const id = idOf(await router.generate(ask, { key: router.keys.test }));
    const strangers = [
      router.keys.live,
      await makeKey(router.dataFolder, "test"),
      await makeKey(router.dataFolder, "live"),
    ];
    for (const path of [`/v1/images/generations/${id}`, `/api/v1/generation?id=${id}`]) {
      const seen = await Promise.all(
        [router.keys.test, router.keys.management].map(async (key) => jsonOf(await router.get(path, key))),
      );
      expect(at(seen)).toMatchObject({ id });
      expect(at(seen, 1)).toEqual(at(seen));
      const unknown = await expectError(await router.get(path.replace(id, "gen-unknown")), "not_found");
      for (const key of strangers) expect(await expectError(await router.get(path, key), "not_found")).toEqual(unknown);
      await expectError(await fetch(router.url + path), "invalid_api_key");
    }
  });
});

describe("a client that hangs up does not stop the job", () => {
  const hangUp = async (model: string, key: string, arrived: Promise<unknown>) => {
    const body = JSON.stringify({
      model,
      prompt: "[[slow:1.5]] a lighthouse",
      ...(model === dallE2 ? { size: "256x256" } : {}),
    });
    const { hostname, port, host } = new URL(unhurried.url);
    const socket = connect(Number(port), hostname);
    socket.on("error", () => {});
    const head = `POST /v1/images/generations HTTP/1.1\r\nHost: ${host}\r\nContent-Type: application/json`;
    socket.write(`${head}\r\nX-Api-Key: ${key}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    await arrived;
    const id = await until(() => running(unhurried.dataFolder));
    socket.destroy();
    return id;
  };
  const fetched = async (id: string, key: string) => {
    const record = await until(async () => {
      const seen = await jsonOf<GenerationObject>(await unhurried.get(`/v1/images/generations/${id}`, key));
      return seen.status === "running" ? undefined : seen;
    });
    expect(record.status).toBe("succeeded");
    const { status, headers } = await fetch(urlOf(at(record.data)));
    expect(status).toBe(200);
    expect(headers.get("content-type")).toBe("image/png");
    return record;
  };

  test("in the sandbox", async () => {
    const key = unhurried.keys.test;
    const id = await hangUp(dallE2, key, Promise.resolve());
    expect(await fetched(id, key)).toMatchObject({ provider: "sandbox", cost_usd: 0 });
  });

  test("at a provider, which is paid for a picture that is then there", async () => {
    openai.next({ kind: "delay", ms: 1000 });
    const key = unhurried.keys.live;
    const id = await hangUp(dallE2, key, openai.arrived(openai.requestsAt("create").length + 1));
    expect(await fetched(id, key)).toMatchObject({ provider: "openai", cost_usd: 0.016 });
    expect(openai.requestsAt("create").at(-1)?.outcome).toBe("answered");
  });
});
