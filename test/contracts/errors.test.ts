/** CONTRACT.md "Errors": the table itself, and one real answer for every code that this version can give. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type ErrorCode, errorTable, PublicError } from "../../src/errors.ts";
import { openAiFault } from "../doubles/openai.ts";
import { stabilityFault } from "../doubles/stability.ts";
import { type ErrorPromise, promisedErrors } from "./error-table.ts";
import { type HeldRouter, startHeldRouter } from "./held-router.ts";
import {
  at,
  dallE2,
  dallE3,
  expectError,
  imagesOf,
  makeKey,
  stableDiffusion,
  startUpstreams,
  urlOf,
} from "./support.ts";

// A busy machine is slow, not wrong.
setDefaultTimeout(60_000);

describe("the table", () => {
  // `shared/` lies beside the checkout here and in CI; a lone clone has only the copy in error-table.ts.
  const contract = resolve(import.meta.dir, "../../../shared/CONTRACT.md");

  test.skipIf(!existsSync(contract))("of CONTRACT.md is the copy in error-table.ts", () => {
    const rows: Record<string, ErrorPromise> = {};
    const lines = readFileSync(contract, "utf8").split("\n");
    const head = lines.findIndex((line) => line.startsWith("| code | HTTP |"));
    for (const line of lines.slice(head + 2, lines.indexOf("", head))) {
      const [, codes = "", status = "", type = "", retry = ""] = line.split("|").map((cell) => cell.trim());
      for (const [, code = ""] of codes.matchAll(/`([a-z_]+)`/g)) {
        rows[code] = { status: Number(status), type, retry: retry === "true" };
      }
    }
    expect(Object.keys(rows).length).toBeGreaterThan(40);
    expect(rows).toEqual({ ...promisedErrors });
  });

  test("of src/errors.ts is the promised one: no row missing, none more, none different", () => {
    expect<Record<string, ErrorPromise>>({ ...errorTable }).toEqual({ ...promisedErrors });
  });

  test("makes every code's envelope with four keys and the code at the top", () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      const envelope: unknown = JSON.parse(JSON.stringify(new PublicError(code, "words").toEnvelope()));
      const { type } = errorTable[code];
      expect(envelope).toEqual({ error: { message: "words", type, param: null, code }, code });
    }
  });
});

describe("on the wire", () => {
  const upstreams = startUpstreams();
  const models = mkdtempSync(join(tmpdir(), "arouter-models-"));
  let router: HeldRouter;
  const ask = { model: dallE2, prompt: "a lighthouse", size: "256x256" };
  const withPrompt = (prompt: string) => ({ ...ask, prompt });
  const sandbox = (body: unknown) => router.generate(body, { key: router.keys.test });

  beforeAll(async () => {
    const priceless = JSON.parse(readFileSync(join(import.meta.dir, "../../models/openai-dall-e-2.json"), "utf8"));
    priceless.id = "acme/priceless";
    priceless.routes[0].price.rows = [{ size: "256x256", usd: "0.01" }];
    writeFileSync(join(models, "priceless.json"), JSON.stringify(priceless));
    const env = {
      ...upstreams.env,
      REPLICATE_API_TOKEN: "",
      AROUTER_MODELS: models,
    };
    router = await startHeldRouter({ env });
  });
  afterAll(async () => {
    await router.remove();
    await upstreams.stop();
    rmSync(models, { recursive: true });
  });

  /** Failures of an upstream, played by the OpenAI double. */
  const upstream = (play: (double: typeof upstreams.openai) => void) => async () => {
    play(upstreams.openai);
    const response = await router.generate(ask);
    upstreams.clear();
    return response;
  };

  const causes: Record<string, () => Promise<Response>> = {
    invalid_json: () => router.generate("{"),
    missing_required_parameter: () => router.generate({ model: dallE2 }),
    unknown_parameter: () => router.generate({ ...ask, foo: 1 }),
    invalid_type: () => router.generate([]),
    invalid_value: () => router.generate({ ...ask, size: "1x1" }),
    integer_below_min_value: () => router.generate({ ...ask, n: 0 }),
    integer_above_max_value: () => router.generate({ ...ask, n: 11 }),
    empty_string: () => router.generate(withPrompt("")),
    string_above_max_length: () => router.generate(withPrompt("x".repeat(1001))),
    content_policy_violation: () => router.generate(withPrompt("[[moderate]]")),
    invalid_api_key: () => router.generate(ask, { key: "lr_live_nonsense" }),
    key_expired: async () => {
      const expiresAt = router.now();
      return router.generate(ask, { key: await makeKey(router.dataFolder, "live", { expiresAt }) });
    },
    wrong_key_type: () => router.generate(ask, { key: router.keys.management }),
    invalid_link: () => fetch(`${router.url}/v1/images/files/img-00000000000000000000000000.png?expires=1&signature=x`),
    model_not_found: () => router.generate({ ...ask, model: "openai/dall-e-9" }),
    not_found: () => router.get("/v1/nothing/here"),
    model_unavailable: upstream((double) => {
      double.next({
        kind: "answer",
        status: 400,
        body: {
          error: { message: "gone", type: "image_generation_user_error", param: "model", code: "invalid_value" },
        },
      });
    }),
    method_not_allowed: () => fetch(`${router.url}/v1/models`, { method: "PUT" }),
    image_expired: async () => {
      const { data } = await imagesOf(await sandbox(ask));
      router.advance(3_600_000);
      return fetch(urlOf(at(data)));
    },
    payload_too_large: () => router.generate(" ".repeat(11 << 20)),
    unsupported_media_type: () => router.generate("x", { headers: { "content-type": "text/plain" } }),
    provider_rate_limited: () => sandbox(withPrompt("[[rate_limit]]")),
    internal_error: async () => {
      // A file where a folder should be: the picture cannot be stored, which is a fault of ours.
      const unfinished = join(router.dataFolder, "images/unfinished");
      renameSync(unfinished, `${unfinished}.away`);
      const response = await sandbox(ask);
      renameSync(`${unfinished}.away`, unfinished);
      return response;
    },
    upstream_error: upstream((double) => double.next(openAiFault("server_error"))),
    upstream_outcome_unknown: upstream((double) => double.next({ kind: "cut" })),
    provider_contract_changed: upstream((double) => double.next({ kind: "text" })),
    provider_auth_failed: async () => {
      upstreams.stability.next(stabilityFault("unauthorized"));
      return router.generate({ model: stableDiffusion, prompt: "x" });
    },
    price_unknown: () => router.generate({ model: "acme/priceless", prompt: "x", size: "512x512" }),
    provider_not_configured: () => router.generate({ model: "black-forest-labs/flux-1-pro", prompt: "x" }),
    provider_quota_exhausted: () => router.generate({ ...ask, model: dallE3, size: "1024x1024", prompt: "[[402]]" }),
    upstream_timeout: async () => {
      const hasty = await startHeldRouter({ env: { AROUTER_UPSTREAM_TIMEOUT_MS: "100" } });
      const response = await hasty.generate(withPrompt("[[timeout]]"), { key: hasty.keys.test });
      await hasty.remove();
      return response;
    },
  };

  for (const [code, cause] of Object.entries(causes)) {
    test(code, async () => {
      await expectError(await cause(), code);
    });
  }

  test("an upstream's 401, 402 and 403 never reach the client as such", async () => {
    for (const status of [401, 402, 403]) {
      upstreams.openai.next({ kind: "answer", status, body: { error: { message: "sk-secret refused" } } });
      const response = await router.generate(ask);
      expect(response.status).toBeGreaterThanOrEqual(502);
      await expectError(response, status === 402 ? "provider_quota_exhausted" : "provider_auth_failed");
    }
  });

  test("429 says how long to wait, in seconds and in milliseconds, as the provider said", async () => {
    upstreams.openai.next(openAiFault("rate_limit_exceeded", { "retry-after-ms": "2300" }));
    const response = await router.generate(ask);
    expect(response.headers.get("retry-after-ms")).toBe("2300");
    expect(response.headers.get("retry-after")).toBe("3");
    await expectError(response, "provider_rate_limited");
    // In words only (§2.6 [M]: "Please try again in 12s"), and not at all.
    const worded = await router.generate(withPrompt("[[429]]"));
    expect(worded.headers.get("retry-after")).toBe("12");
    upstreams.openai.next({ kind: "answer", status: 429, body: { error: { message: "slow down" } } });
    await expectError(await router.generate(ask), "provider_rate_limited");
  });

  test("what is refused before a job exists costs 0 and says so; so does a failed job", async () => {
    for (const body of ["{", { ...ask, n: 0 }, withPrompt("[[moderate]]"), withPrompt("[[500]]")]) {
      const response = await router.generate(body);
      expect(response.ok).toBeFalse();
      expect(response.headers.get("x-arouter-cost-usd")).toBe("0");
    }
  });
});
