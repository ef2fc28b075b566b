/** A router in front of several upstream doubles, each of which counts its calls and what it bills. */
import { Database } from "bun:sqlite";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkLedger } from "../../src/accounts/check.ts";
import { openSqlite } from "../../src/storage/sqlite.ts";
import { startOpenAi } from "../doubles/openai.ts";
import { startReplicate } from "../doubles/replicate.ts";
import { startStability } from "../doubles/stability.ts";
import { startRouter, type TestRouterOptions } from "../router.ts";

/** One model with three routes, dearest last; the vendors' own models behind it make what is asked. */
export const threeRoutes = {
  id: "test/three-routes",
  name: "Three routes",
  description: "A model that three providers serve, for tests.",
  owned_by: "test",
  created: 1_700_000_000,
  aliases: [],
  operations: ["generate"],
  prompt: {},
  max_n: 4,
  response_format: "url",
  parameters: { seed: { type: "seed", description: "Makes a result repeatable.", maximum: 1_000_000 } },
  lifecycle: { end_date: null, successor: null, note: null },
  routes: [
    route("openai", "dall-e-2", "0.02", { seed: false }, { response_format: "b64_json", size: "1024x1024" }, 10),
    route("stability", "sd3.5-large", "0.03", { seed: "seed" }, { output_format: "png" }),
    route("replicate", "black-forest-labs/flux-schnell", "0.05", { seed: "seed" }, { output_format: "png" }),
  ],
};

function route(
  provider: string,
  model: string,
  usd: string,
  fields: Record<string, string | false>,
  constants: Record<string, string>,
  most = 1,
) {
  return {
    provider,
    provider_name: provider,
    model,
    max_images_per_call: most,
    fields: { prompt: "prompt", user: null, ...fields },
    constants,
    price: { unit: "image", rows: [{ usd }], source: "test", checked: "2026-11-22" },
  };
}

export interface Generation {
  id: string;
  status: string;
  model: string;
  provider: string;
  price_rule: string;
  cost_usd: number;
  attempts: Array<{ provider: string; status: string; error: { class: string } | null }>;
}

export async function startRouting(options: TestRouterOptions = {}) {
  const openai = startOpenAi();
  const stability = startStability();
  const replicate = startReplicate({ fileOrigin: "same" });
  const doubles = { openai, stability, replicate };
  const models = mkdtempSync(join(tmpdir(), "arouter-models-"));
  mkdirSync(models, { recursive: true });
  writeFileSync(join(models, "three-routes.json"), JSON.stringify(threeRoutes));
  const router = await startRouter({
    ...options,
    env: {
      AROUTER_MODELS: models,
      OPENAI_API_KEY: openai.key,
      OPENAI_BASE_URL: openai.url,
      STABILITY_API_KEY: stability.key,
      STABILITY_BASE_URL: stability.url,
      REPLICATE_API_TOKEN: replicate.key,
      REPLICATE_BASE_URL: replicate.url,
      ...options.env,
    },
  });
  return {
    router,
    ...doubles,
    /** In the order of the model's routes: calls that create, and pictures billed. */
    calls: () => [openai, stability, replicate].map((double) => double.requestsAt("create").length),
    billed: () => [openai, stability, replicate].map((double) => double.billed),
    async generation(answer: Response): Promise<Generation> {
      const id = answer.headers.get("x-arouter-generation-id") ?? "";
      return (await (await router.get(`/v1/images/generations/${id}`)).json()) as Generation;
    },
    sql<T>(query: string): T[] {
      const file = new Database(join(router.dataFolder, "arouter.db"));
      try {
        return file.query(query).all() as T[];
      } finally {
        file.close();
      }
    },
    /** Throws when the ledger's own check finds anything wrong after what the test has done. */
    async stop() {
      await router.stop();
      const { database, close } = await openSqlite(join(router.dataFolder, "arouter.db"));
      const deviations = await checkLedger(database);
      await close();
      await router.remove();
      for (const double of Object.values(doubles)) await double.stop();
      rmSync(models, { recursive: true, force: true });
      if (deviations.length > 0) throw new Error(`the ledger deviates: ${JSON.stringify(deviations)}`);
    },
  };
}

export type Routing = Awaited<ReturnType<typeof startRouting>>;
