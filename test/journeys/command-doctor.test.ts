/** `arouter doctor`: what is configured, what is reachable, what to do next. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadCatalogue, type Model } from "../../src/catalogue/index.ts";
import type { Check } from "../../src/commands/doctor-check.ts";
import { checkProvider } from "../../src/commands/doctor-providers.ts";
import type { Provider } from "../../src/generation/providers.ts";
import { adapters } from "../../src/providers/index.ts";
import { type OpenAiDouble, startOpenAi } from "../doubles/openai.ts";
import { type ReplicateDouble, startReplicate } from "../doubles/replicate.ts";
import { type StabilityDouble, startStability } from "../doubles/stability.ts";
import { startRouter } from "../router.ts";
import { emptyFolder, run } from "./child.ts";

// Every command is a process of its own, and the machine may be busy.
setDefaultTimeout(60_000);

interface DoctorJson {
  status: Check["status"];
  version: string;
  runtime: string;
  checks: Check[];
}

async function examine(cwd: string, env: Record<string, string> = {}) {
  // PORT=0: what else runs on this machine plays no part.
  const { code, stdout, stderr } = await run(["doctor", "--json"], { cwd, env: { PORT: "0", ...env } });
  expect(stderr).toBe("");
  const report = JSON.parse(stdout) as DoctorJson;
  const check = (id: string) => report.checks.find((candidate) => candidate.id === id);
  return { code, report, check, text: stdout };
}

/** docs/guides/add-your-own-model-file.md has it with more in it. */
const photon = {
  id: "luma/photon-flash",
  name: "Photon Flash",
  description: "A quick image model.",
  owned_by: "luma",
  created: 1_733_097_600,
  aliases: [],
  operations: ["generate"],
  prompt: {},
  max_n: 4,
  response_format: "url",
  parameters: {},
  lifecycle: { end_date: null, successor: null, note: null },
  routes: [
    {
      provider: "replicate",
      provider_name: "Replicate",
      model: "luma/photon-flash",
      max_images_per_call: 1,
      fields: { prompt: "prompt", user: null },
      constants: {},
      price: { unit: "image", rows: [{ usd: "0.01" }], source: "test", checked: "2026-11-22" },
    },
  ],
};

describe("this machine", () => {
  test("before the first start nothing is broken, nothing is made, and every gap says how to fill it", async () => {
    const cwd = emptyFolder();
    const { code, report } = await examine(cwd);
    expect(code).toBe(0);
    expect(report).toMatchObject({ status: "ok", version: expect.any(String), runtime: `Bun ${Bun.version}` });
    expect(report.checks.map(({ id, status }) => [id, status])).toEqual([
      ["runtime", "ok"],
      ["settings", "ok"],
      ["data_folder", "ok"],
      ["images", "ok"],
      ["database", "ok"],
      ["link_secret", "ok"],
      ["port", "ok"],
      ["models", "ok"],
      ...adapters.map(({ id }) => [`provider.${id}`, "ok"]),
    ]);
    for (const { id, settings } of adapters) {
      const check = report.checks.find((candidate) => candidate.id === `provider.${id}`);
      if (settings === null) continue;
      expect(check?.facts).toMatchObject({ configured: false, keys: 0, base_url: settings.defaultBaseUrl });
      const needed = [
        ...(settings.keyIsOptional ? [] : [settings.keyVariable]),
        ...(settings.defaultBaseUrl === null ? [settings.baseUrlVariable] : []),
      ];
      expect(check?.message).toBe(`not set up; to use it, set ${needed.join(" and ")}`);
    }
    for (const check of report.checks) {
      expect(Object.keys(check)).toEqual(["id", "name", "status", "message", "next", "facts"]);
      expect(check.next === null).toBe(check.status === "ok");
    }
    expect(readdirSync(cwd)).toEqual([]);
  });

  test.each<[string, string, string]>([
    ["is no JSON", "{", "own/mine.json: expected JSON: "],
    ["misses what it needs", "{}", "own/mine.json: id: "],
    [
      "names no provider that there is",
      JSON.stringify({ ...photon, routes: [{ ...photon.routes[0], provider: "nobody" }] }),
      "luma/photon-flash: route to 'nobody': expected one of the providers",
    ],
  ])(
    "a model file that %s stops the start with a line for its author, and doctor says the same",
    async (_title, text, words) => {
      const cwd = emptyFolder();
      mkdirSync(join(cwd, "own"));
      writeFileSync(join(cwd, "own", "mine.json"), text);
      const env = { PORT: "0", AROUTER_MODELS: "own" };
      const [start, { code, check }] = await Promise.all([run(["serve"], { cwd, env }), examine(cwd, env)]);
      expect([start.code, code]).toEqual([1, 1]);
      expect(start.stderr).toStartWith(`arouter: ${words}`);
      expect(start.stderr).not.toContain("    at ");
      expect(check("models")).toMatchObject({ status: "broken", message: expect.stringContaining(words) });
    },
  );

  test("people get aligned lines with marks, each problem followed by its next step, without colour in a pipe", async () => {
    const cwd = emptyFolder();
    const env = { PORT: "0", AROUTER_LINK_SECRET: "short", AZURE_OPENAI_API_KEY: "x" };
    const { code, stdout } = await run(["doctor"], { cwd, env });
    expect(code).toBe(0);
    expect(stdout).not.toContain("\x1b");
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^ARouter \S+ on Bun \S+ \(\S+ \S+\)$/);
    expect(lines).toContain("! Link secret        AROUTER_LINK_SECRET is short enough to be guessed");
    expect(lines).toContain("✓ ARouter sandbox    built in, free, every model");
    const at = lines.indexOf("! Azure OpenAI       a key, but no address");
    expect(lines[at + 1]).toBe(
      "                     → Set AZURE_OPENAI_ENDPOINT, in the environment or in a .env file.",
    );
    expect(lines.at(-2)).toBe("Works; 2 to look at.");
    // However many providers there are, the report stays a screenful.
    expect(lines.length).toBeLessThan(32);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(120);
  });

  test("a running server, its keys and its port are found; no secret is shown", async () => {
    const router = await startRouter();
    const cwd = emptyFolder();
    const env = { AROUTER_DATA: router.dataFolder, PORT: new URL(router.url).port };
    try {
      const { code, check, text } = await examine(cwd, env);
      expect(code).toBe(0);
      expect(check("port")).toMatchObject({ status: "ok", facts: { state: "arouter" } });
      expect(check("database")?.facts).toMatchObject({ schema: "current", keys: { live: 1, test: 1, management: 1 } });
      for (const secret of [...Object.values(router.keys), "lr_"]) expect(text).not.toContain(secret);
    } finally {
      await router.stop();
    }
    chmodSync(join(router.dataFolder, "link-secret"), 0o644);
    const stopped = await examine(cwd, env);
    expect(stopped.check("port")).toMatchObject({ status: "ok", facts: { state: "free" } });
    expect(stopped.check("link_secret")).toMatchObject({
      status: "warning",
      next: expect.stringContaining("chmod 600"),
    });
    await router.remove();
  });

  test("what is broken is named, with exit code 1", async () => {
    const cwd = emptyFolder();
    writeFileSync(join(cwd, "file"), "");
    const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") });
    mkdirSync(join(cwd, "damaged"));
    writeFileSync(
      join(cwd, "damaged", "arouter.db"),
      "this is not a database, but long enough to be read as one".repeat(9),
    );
    writeFileSync(join(cwd, "damaged", "link-secret"), "");
    const [settings, folder, damaged] = await Promise.all([
      examine(cwd, { AROUTER_KEEP_PROMPTS: "sometimes" }),
      examine(cwd, { AROUTER_DATA: "file", PORT: String(other.port) }),
      examine(cwd, { AROUTER_DATA: "damaged", AROUTER_MODELS: "missing" }),
    ]);
    await other.stop();
    expect([settings.code, folder.code, damaged.code]).toEqual([1, 1, 1]);
    expect(settings.check("settings")).toMatchObject({
      status: "broken",
      message: expect.stringContaining("AROUTER_KEEP_PROMPTS"),
    });
    expect(folder.check("data_folder")).toMatchObject({
      status: "broken",
      next: expect.stringContaining("AROUTER_DATA"),
    });
    expect(folder.check("port")).toMatchObject({ status: "broken", facts: { state: "taken" } });
    for (const id of ["database", "link_secret", "models"]) {
      expect(damaged.check(id)).toMatchObject({ status: "broken", next: expect.any(String) });
    }
  });
});

describe("providers", () => {
  let openai: OpenAiDouble;
  let stability: StabilityDouble;
  let replicate: ReplicateDouble;
  let env: Record<string, string>;
  beforeAll(() => {
    [openai, stability, replicate] = [startOpenAi(), startStability(), startReplicate()];
    env = {
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      STABILITY_API_KEY: stability.key,
      STABILITY_BASE_URL: stability.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
    };
  });
  afterAll(async () => {
    for (const double of [openai, stability, replicate]) await double.stop();
  });

  test("up, with good keys: asked once, for nothing", async () => {
    // Replicate's answer as its documentation has it; the double knows no accounts.
    replicate.always({ kind: "answer", status: 200, body: { type: "user", username: "x" } }, { on: "other" });
    const { code, report, check } = await examine(emptyFolder(), env);
    replicate.clear();
    expect([code, report.status]).toEqual([0, "ok"]);
    expect(check("provider.fal")).toMatchObject({ status: "ok", facts: { configured: false } });
    for (const id of ["openai", "stability", "replicate"]) {
      expect(check(`provider.${id}`)).toMatchObject({
        status: "ok",
        facts: { configured: true, keys: 1, accepted_keys: 1, reachable: true, own_base_url: true },
      });
    }
    const asked = [openai, stability, replicate].map(({ requests }) =>
      requests.map(({ method, path }) => `${method} ${path}`),
    );
    expect(asked).toEqual([["GET /v1/models"], ["GET /v1/user/balance"], ["GET /v1/account"]]);
    expect(openai.billed + stability.billed + replicate.billed).toBe(0);
  });

  test("wrong keys, one bad key of a pool", async () => {
    const bad = "sk-bad-key-0123456789";
    const { code, check, text } = await examine(emptyFolder(), {
      ...env,
      OPENAI_API_KEY: `${openai.key},${bad}`,
      STABILITY_API_KEY: bad,
      REPLICATE_API_TOKEN: bad,
    });
    expect(code).toBe(1);
    expect(check("provider.openai")).toMatchObject({
      status: "broken",
      message: expect.stringMatching(/^2 keys, http\S+: key 2 \(\w{8}\): key not accepted \(HTTP 401\)$/),
      next: expect.stringContaining("OPENAI_API_KEY"),
      facts: { keys: 2, accepted_keys: 1, reachable: true },
    });
    for (const id of ["stability", "replicate"]) {
      expect(check(`provider.${id}`)).toMatchObject({
        status: "broken",
        message: expect.stringContaining("key not accepted"),
        facts: { accepted_keys: 0 },
      });
    }
    for (const secret of [bad, openai.key, stability.key, replicate.key]) expect(text).not.toContain(secret);
  });

  test("down, silent, failing", async () => {
    openai.next({ kind: "hang" }, { on: "other" });
    replicate.next({ kind: "htmlBadGateway" }, { on: "other" });
    const began = performance.now();
    const { code, check } = await examine(emptyFolder(), {
      ...env,
      STABILITY_BASE_URL: "http://user:hush@127.0.0.1:9",
    });
    expect(code).toBe(1);
    expect(performance.now() - began).toBeGreaterThan(4_500);
    expect(check("provider.openai")).toMatchObject({
      status: "broken",
      message: expect.stringContaining("no answer within 5 s"),
      facts: { reachable: false },
    });
    expect(check("provider.stability")).toMatchObject({
      status: "broken",
      message: "1 key, http://127.0.0.1:9: no connection (ECONNREFUSED)",
      next: expect.stringContaining("STABILITY_BASE_URL"),
    });
    expect(check("provider.replicate")).toMatchObject({ status: "broken", facts: { reachable: true } });
  });

  test.each([
    [404, "", "warning", "HTTP 404"],
    [403, { error: { message: "Missing scopes: api.model.read" } }, "warning", "may not ask"],
    [429, { error: { message: "Rate limit reached", code: "rate_limit_exceeded" } }, "warning", "limiting requests"],
    [429, { error: { message: "You are out.", code: "insufficient_quota" } }, "broken", "out of funds"],
    [200, "<html>welcome to this hotel</html>", "broken", "not like OpenAI"],
    [500, { error: { message: "bad KEY", type: "server_error" } }, "broken", "bad [key]"],
  ])("a %d answer with %j is a %s", async (status, body, expected, message) => {
    openai.next({ kind: "answer", status, body }, { on: "other" });
    const check = await checkOpenAi({ credentials: ["KEY"], baseUrl: openai.url, ownBaseUrl: true });
    expect(check).toMatchObject({ status: expected, message: expect.stringContaining(message) });
  });

  test("models past their end date are a warning only at the vendor's own address", async () => {
    const there = { credentials: [openai.key], baseUrl: openai.url };
    const vendor = await checkOpenAi({ ...there, ownBaseUrl: false });
    expect(vendor).toMatchObject({
      status: "warning",
      message: expect.stringContaining(
        "past their end date: openai/dall-e-2 (2026-05-12), openai/dall-e-3 (2026-05-12)",
      ),
      next: expect.stringContaining("OPENAI_BASE_URL to an upstream that still serves them"),
    });
    expect(vendor.facts.models).toContainEqual({ id: "openai/dall-e-3", end_date: "2026-05-12", ended: true });
    expect(await checkOpenAi({ ...there, ownBaseUrl: true })).toMatchObject({ status: "ok", next: null });
  });

  test("half of what a provider needs is something to look at", async () => {
    const check = await examine(emptyFolder(), {
      STABILITY_BASE_URL: stability.url,
      AZURE_OPENAI_API_KEY: "az-secret",
    });
    expect(check.code).toBe(0);
    expect(check.check("provider.stability")).toMatchObject({
      status: "warning",
      message: "an address, but no key",
      next: expect.stringContaining("STABILITY_API_KEY"),
    });
    expect(check.check("provider.azure")).toMatchObject({
      status: "warning",
      message: "a key, but no address",
      next: expect.stringContaining("AZURE_OPENAI_ENDPOINT"),
    });
    expect(check.text).not.toContain("az-secret");
  });

  describe("a server of one's own", () => {
    const asked: Array<string | null> = [];
    let answer = () => Response.json({ data: [] });
    const server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch(request) {
        asked.push(request.headers.get("authorization"));
        return answer();
      },
    });
    afterAll(() => server.stop(true));
    const url = `http://127.0.0.1:${server.port}`;

    test("needs an address only, and is asked without a key", async () => {
      const { code, check } = await examine(emptyFolder(), { SD_SERVER_BASE_URL: `${url}/v1` });
      expect([code, asked.splice(0)]).toEqual([0, [null]]);
      expect(check("provider.sd-server")).toMatchObject({
        status: "ok",
        message: `${url}/v1: reachable`,
        facts: { configured: true, keys: 0, reachable: true },
      });
    });

    test("that wants a key after all says so", async () => {
      answer = () => Response.json({ error: { message: "who are you" } }, { status: 401 });
      const { code, check } = await examine(emptyFolder(), { VLLM_BASE_URL: `${url}/v1` });
      answer = () => Response.json({ data: [] });
      asked.splice(0);
      expect(code).toBe(1);
      expect(check("provider.vllm")).toMatchObject({
        status: "broken",
        message: `${url}/v1: asks for a key (HTTP 401)`,
        next: expect.stringContaining("VLLM_API_KEY"),
      });
    });

    test("is found in a model file as well, beside the provider's own address", async () => {
      const address = `${url}/elsewhere/v1`;
      const catalogueOf = (provider: string) => ({ models: [ownModel(provider, address)], find: () => undefined });
      const check = (id: string, config: Pick<Provider, "credentials" | "baseUrl" | "ownBaseUrl">) =>
        checkProvider({ adapter: adapterOf(id), ...config }, catalogueOf(id), "2026-11-22");
      expect(await check("sd-server", { credentials: [""], baseUrl: null, ownBaseUrl: false })).toMatchObject({
        status: "ok",
        message: `${address}: reachable`,
      });
      const both = { credentials: ["k"], baseUrl: "http://127.0.0.1:9", ownBaseUrl: true };
      expect(await check("sd-server", both)).toMatchObject({
        status: "broken",
        message: `1 key, http://127.0.0.1:9: no connection (ECONNREFUSED); 1 key, ${address}: reachable, key accepted`,
        next: expect.stringContaining("http://127.0.0.1:9"),
        facts: { accepted_keys: 0, reachable: false },
      });
      const keyless = { credentials: [], baseUrl: "https://api.openai.com/v1", ownBaseUrl: false };
      expect(await check("openai", keyless)).toMatchObject({ status: "warning", message: "an address, but no key" });
    });
  });

  /** A model of an operator's, at an address that only its file names. */
  function ownModel(provider: string, baseUrl: string): Model {
    const [base] = loadCatalogue().models;
    if (base === undefined) throw new Error("an empty catalogue");
    return { ...base, id: "mine/own", routes: [{ ...base.routes[0], provider, baseUrl }] };
  }

  function adapterOf(id: string) {
    const adapter = adapters.find((candidate) => candidate.id === id);
    if (adapter === undefined) throw new Error("no such adapter");
    return adapter;
  }

  function checkOpenAi(config: Pick<Provider, "credentials" | "baseUrl" | "ownBaseUrl">): Promise<Check> {
    return checkProvider({ adapter: adapterOf("openai"), ...config }, loadCatalogue(), "2026-11-22");
  }
});
