/**
 * `arouter generate` in its own process, on the data folder that a server may be serving at the same time. The
 * generation is as durable as a server's: if this program is killed, the next ARouter on the folder brings it to its end.
 */
import { join } from "node:path";
import { commandLineKey } from "../accounts/keys.ts";
import type { Model } from "../catalogue/index.ts";
import type { FinishedGeneration } from "../generation/finished.ts";
import { checkModels, generate } from "../generation/generate.ts";
import { keepLeases } from "../generation/lease.ts";
import { isConfigured } from "../generation/providers.ts";
import { sweepImages, sweepPrompts } from "../generation/retention.ts";
import { newId } from "../ids.ts";
import { formatUsd } from "../money.ts";
import type { Parts } from "../parts.ts";
import { CommandError } from "./failure.ts";
import { exitCodeOf, type OnStop, onStopSignal } from "./interrupt.ts";
import type { Picture } from "./output.ts";
import type { Progress } from "./progress.ts";
import { withParts } from "./store.ts";

/** A generation that has delivered. */
export interface Delivery {
  id: string;
  model: string;
  provider: string;
  /** US dollars as a decimal string. */
  cost: string;
  warnings: string[];
  pictures: Picture[];
  /** Where the pictures are for the next hour, should the files not be written. */
  kept: string;
}

export interface HereOptions {
  /** `--live` or `--sandbox`; absent: live where the model's provider is configured. */
  force: "live" | "sandbox" | undefined;
  progress: Progress;
  /** Does what is to be done with the pictures; the data folder stays open meanwhile. */
  deliver(delivery: Delivery): Promise<void>;
}

/** @throws PublicError for everything that a server would answer with an error */
export async function generateHere(body: Record<string, unknown>, options: HereOptions): Promise<void> {
  const { progress, deliver } = options;
  await withParts(async (parts) => {
    const { model } = checkModels(parts, { body }).models[0].checked;
    const kind = chooseKind(parts, model, options);
    const over = new AbortController();
    const leases = keepLeases(parts, over.signal);
    const state = { sent: false };
    const stopListening = onStopSignal(stopping(parts, progress, state));
    try {
      const key = await commandLineKey(parts.database, kind, parts.clock);
      const requestId = newId("req", parts.clock, parts.random);
      const attribution = { requestId, referer: null, title: "command line", origin: null };
      const { id, plan, finished } = await generate(parts, key, { body }, attribution);
      state.sent = true;
      const quote = plan?.holdNanos ?? 0n;
      const most = quote === 0n ? "free" : `at most $${formatUsd(quote)}`;
      progress.show(
        `Generating with ${model.id} at ${plan?.candidates[0].provider.adapter.id ?? "sandbox"}, ${most}, ${id}`,
      );
      const end = await finished;
      if (end.error !== null) {
        progress.end(`Failed after ${progress.elapsed()}, nothing was charged: ${id}`);
        throw end.error;
      }
      await deliver(deliveryOf(parts, end));
    } finally {
      stopListening();
      progress.clear();
      await parts.jobs.drain(parts.config.drainTimeoutMs);
      over.abort();
      await leases;
      // Where no server ever runs on this folder, nobody else would remove what has had its hour.
      await sweepImages(parts).catch(() => {});
      await sweepPrompts(parts).catch(() => {});
    }
  });
}

function chooseKind({ providers }: Parts, model: Model, { force, progress }: HereOptions): "live" | "test" {
  if (force !== undefined) return force === "live" ? "live" : "test";
  const upstreams = model.routes.flatMap((route) => {
    const provider = providers.find(route.provider);
    return provider === undefined ? [] : [{ provider, baseUrl: route.baseUrl }];
  });
  if (upstreams.some(({ provider, baseUrl }) => isConfigured(provider, baseUrl))) return "live";
  const variables = upstreams.flatMap(({ provider }) => provider.adapter.settings?.keyVariable ?? []);
  progress.note(`Sandbox picture: no provider of ${model.id} is configured; set ${variables.join(" or ")}.`);
  return "test";
}

/** Once the request is sent the provider bills it, whoever leaves: the first signal then waits for the picture. */
function stopping({ jobs, config, clock }: Parts, progress: Progress, state: { sent: boolean }): OnStop {
  return (signal, again) => {
    const code = exitCodeOf(signal);
    const leave = (): void => {
      if (jobs.size === 0) return;
      progress.note(
        `Left ${jobs.ids().join(", ")} unfinished. The next ARouter on this data folder ends it: a job that the provider has taken is fetched, a call without an answer counts as failed and is not charged here.`,
      );
      process.exit(code);
    };
    if (jobs.size === 0 && !state.sent) process.exit(code);
    process.exitCode = code;
    if (again) leave();
    else if (signal === "SIGINT") {
      progress.note("Waiting for the picture, as the provider may bill it anyway. Ctrl-C again leaves it.");
    } else {
      progress.note(`${signal}: waiting at most ${config.drainTimeoutMs / 1000} s for the picture.`);
      void clock.sleep(config.drainTimeoutMs).then(leave);
    }
  };
}

function deliveryOf({ images, config }: Parts, finished: FinishedGeneration): Delivery {
  const { id, model, provider, warnings } = finished;
  return {
    id,
    model,
    provider,
    warnings,
    cost: formatUsd(finished.cost),
    pictures: finished.images.map((image) => ({
      contentType: image.contentType,
      async bytes() {
        const blob = await images.open(image.id);
        if (blob === null) throw new CommandError("The picture's bytes are gone already.", "image_expired");
        return blob.bytes();
      },
    })),
    kept: finished.images.map((image) => join(config.dataFolder, "images", image.id)).join(", "),
  };
}
