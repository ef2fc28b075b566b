/** Credentials: how they are presented, what each kind may do, how they end, and that nobody keeps them. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startRouter } from "../router.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import { runArouter, startProcess } from "./process.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  flux,
  imagesOf,
  jsonOf,
  makeKey,
  rowsOf,
  seedModels,
  startUpstreams,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

const upstreams = startUpstreams();
let router: HeldRouter;
beforeAll(async () => {
  router = await startHeldRouter({ env: upstreams.env });
});
afterAll(async () => {
  await router.remove();
  await upstreams.stop();
});

const ask = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
const body = JSON.stringify(ask);
const upstreamCalls = () => upstreams.all.reduce((sum, { requests }) => sum + requests.length, 0);

describe("presenting a key", () => {
  const ways: Array<[string, (key: string) => [path: string, headers: Record<string, string>]]> = [
    ["Authorization: Bearer", (key) => ["", { authorization: `Bearer ${key}` }]],
    ["authorization: bearer, in any case", (key) => ["", { authorization: `bearer ${key}` }]],
    ["X-Api-Key", (key) => ["", { "x-api-key": key }]],
    ["?key=", (key) => [`?key=${key}`, {}]],
  ];
  for (const [name, present] of ways) {
    test(name, async () => {
      const send = (key: string) => {
        const [query, headers] = present(key);
        return Promise.all([
          fetch(`${router.url}/v1/models${query}`, { headers }),
          fetch(`${router.url}/v1/images/generations${query}`, {
            method: "POST",
            headers: { ...headers, "content-type": "application/json" },
            body,
          }),
        ]);
      };
      for (const response of await send(router.keys.test)) expect(response.status).toBe(200);
      for (const response of await send(`${router.keys.test}x`)) await expectError(response, "invalid_api_key");
    });
  }

  test("what is none of the three is refused", async () => {
    const key = router.keys.test;
    const wrong: Array<Record<string, string>> = [
      { authorization: key },
      { authorization: `Basic ${btoa(`${key}:`)}` },
      { authorization: "Bearer" },
      { authorization: "Bearer " },
      { authorization: `Bearer ${key} ${key}` },
      { "x-api-key": "" },
      { "x-api-key": `Bearer ${key}` },
      { cookie: `key=${key}` },
    ];
    for (const headers of wrong) {
      await expectError(await fetch(`${router.url}/v1/models`, { headers }), "invalid_api_key");
    }
    await expectError(await fetch(`${router.url}/v1/models?key=`), "invalid_api_key");
    await expectError(await fetch(`${router.url}/v1/models?api_key=${key}`), "invalid_api_key");
  });

  test("the hash of a key is no key", async () => {
    const hash = createHash("sha256").update(router.keys.live).digest("hex");
    await expectError(await router.get("/v1/models", hash), "invalid_api_key");
  });
});

describe("kinds", () => {
  test("management keys cannot generate, whatever the body is", async () => {
    const before = upstreamCalls();
    for (const sent of [ask, "{", { ...ask, n: 0 }]) {
      await expectError(await router.generate(sent, { key: router.keys.management }), "wrong_key_type");
    }
    expect(upstreamCalls()).toBe(before);
  });

  test("any kind lists models", async () => {
    for (const key of Object.values(router.keys)) expect((await router.get("/v1/models", key)).status).toBe(200);
  });

  test("lr_test_ reaches only the sandbox, for every model, with every provider configured", async () => {
    const before = upstreamCalls();
    for (const model of seedModels) {
      const response = await router.generate({ model, prompt: "a lighthouse" }, { key: router.keys.test });
      expect(response.status).toBe(200);
      expect(response.headers.get("x-arouter-provider")).toBe("sandbox");
      expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    }
    expect(upstreamCalls()).toBe(before);
  });

  test("lr_live_ reaches the provider and never the sandbox", async () => {
    const before = upstreamCalls();
    const response = await router.generate({ ...ask, prompt: "[[error]] is a word for the sandbox only" });
    expect(response.headers.get("x-arouter-provider")).toBe("openai");
    expect(upstreamCalls()).toBe(before + 1);
  });

  test("lr_live_ without a provider is told which variable to set; lr_test_ does not care", async () => {
    const lone = await startHeldRouter();
    const variables: Record<string, RegExp> = { [dallE3]: /OPENAI_API_KEY/, [flux]: /REPLICATE_API_TOKEN/ };
    variables["stability/stable-diffusion-3-large"] = /STABILITY_API_KEY/;
    for (const [model, message] of Object.entries(variables)) {
      await expectError(await lone.generate({ model, prompt: "x" }), "provider_not_configured", { message });
    }
    expect((await lone.generate(ask, { key: lone.keys.test })).status).toBe(200);
    await lone.remove();
  });

  test("a model that its vendor has ended is refused without a call, naming date, successor and setting", async () => {
    // The vendor's default base URL: nothing may be sent there, and from here nothing could be.
    const legacy = await startHeldRouter({ env: { OPENAI_API_KEY: "sk-nobody" } });
    const response = await legacy.generate({ model: dallE3, prompt: "x" });
    const { error } = await expectError(response, "model_unavailable", { param: "model" });
    for (const word of ["2026-05-12", "openai/gpt-image-2", "AROUTER_LEGACY"]) expect(error.message).toContain(word);
    expect(rowsOf(legacy.dataFolder, "SELECT id FROM generations")).toEqual([]);
    await legacy.remove();
  });
});

describe("the end of a key", () => {
  const refused = async (key: string, code: string) => {
    await expectError(await router.get("/v1/models", key), code);
    await expectError(await router.generate(ask, { key }), code);
  };

  test("expired: at its moment, not before", async () => {
    const expiresAt = router.now() + 60_000;
    const key = await makeKey(router.dataFolder, "live", { expiresAt });
    router.advance(59_999);
    expect((await router.get("/v1/models", key)).status).toBe(200);
    router.advance(1);
    await refused(key, "key_expired");
  });

  test("disabled and deleted by the command, at once, while the server runs", async () => {
    const env = { AROUTER_DATA: router.dataFolder };
    const made = JSON.parse(await runArouter(["keys", "create", "--name", "to disable", "--json"], env));
    expect(made.key).toMatch(/^lr_live_\w{32}$/);
    expect(made.hash).toBe(createHash("sha256").update(made.key).digest("hex"));
    expect((await router.generate(ask, { key: made.key })).status).toBe(200);
    await runArouter(["keys", "disable", made.hash], env);
    await refused(made.key, "key_disabled");
    await runArouter(["keys", "delete", "to disable"], env);
    await refused(made.key, "invalid_api_key");
  });
});

describe("the first keys", () => {
  const folders: string[] = [];
  const newFolder = () => {
    const folder = mkdtempSync(join(tmpdir(), "arouter-keys-"));
    folders.push(folder);
    return folder;
  };
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true });
  });
  const secrets = (printed: string) => [...new Set(printed.match(/lr_(test|live|mgmt)_\w+/g))].sort();

  test("one of each kind, printed at the first start and never again", async () => {
    const dataFolder = newFolder();
    const first = await startRouter({ dataFolder });
    expect(secrets(first.printed).map((secret) => secret.slice(0, 8))).toEqual(["lr_live_", "lr_mgmt_", "lr_test_"]);
    await first.stop();
    const second = await startRouter({ dataFolder, keys: first.keys });
    expect(secrets(second.printed)).toEqual([]);
    for (const key of Object.values(first.keys)) expect((await second.get("/v1/models", key)).status).toBe(200);
    await second.stop();
  });

  test("not again when all of them are gone", async () => {
    const dataFolder = newFolder();
    await (await startRouter({ dataFolder })).stop();
    for (const name of rowsOf<{ name: string }>(dataFolder, "SELECT name FROM keys").map((row) => row.name)) {
      await runArouter(["keys", "delete", name], { AROUTER_DATA: dataFolder });
    }
    const second = await startRouter({ dataFolder });
    expect(secrets(second.printed)).toEqual([]);
    await second.stop();
  });

  test("none on a database on which somebody has made a key already", async () => {
    const dataFolder = newFolder();
    const key = await makeKey(dataFolder, "live");
    const server = await startRouter({ dataFolder });
    expect(secrets(server.printed)).toEqual([]);
    expect((await server.get("/v1/models", key)).status).toBe(200);
    await server.stop();
  });

  test("none with AROUTER_BOOTSTRAP_KEYS=off", async () => {
    const dataFolder = newFolder();
    const server = await startRouter({ dataFolder, env: { AROUTER_BOOTSTRAP_KEYS: "off" } });
    expect(server.printed).not.toContain("lr_");
    expect(rowsOf(dataFolder, "SELECT hash FROM keys")).toEqual([]);
    await server.stop();
  });

  test("one set, when several copies start at the same moment on the same database", async () => {
    const dataFolder = newFolder();
    const copies = await Promise.all([1, 2, 3].map(() => startProcess({ AROUTER_DATA: dataFolder })));
    const printed = copies.map(({ output }) => secrets(output()));
    expect(printed.filter((list) => list.length > 0).map((list) => list.length)).toEqual([3]);
    for (const { url } of copies) {
      for (const key of printed.flat()) {
        const response = await fetch(`${url}/v1/models`, { headers: { "x-api-key": key } });
        expect(response.status).toBe(200);
      }
    }
    await Promise.all(copies.map(({ stop }) => stop()));
  });

  test("only hashes are kept: no file holds a secret", async () => {
    const dataFolder = newFolder();
    const server = await startRouter({ dataFolder });
    expect((await imagesOf(await server.generate(ask, { key: server.keys.test }))).data).toHaveLength(1);
    const rows = rowsOf<{ hash: string; label: string }>(dataFolder, "SELECT * FROM keys");
    const hashes = Object.values(server.keys).map((key) => createHash("sha256").update(key).digest("hex"));
    expect(rows.map(({ hash }) => hash).sort()).toEqual(hashes.sort());
    const files = readdirSync(dataFolder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) {
      const content = readFileSync(join(file.parentPath, file.name), "latin1");
      for (const key of Object.values(server.keys)) expect(content.includes(key.slice("lr_live_".length))).toBeFalse();
    }
    await server.stop();
  });
});

test("a key says in its errors what to do", async () => {
  const { error } = await expectError(await fetch(`${router.url}/v1/models`), "invalid_api_key");
  expect(error.message).toContain("Authorization: Bearer");
  expect(at(Object.keys(await jsonOf(await router.get("/v1/models"))))).toBe("object");
});
