/** Figures for Prometheus. Every program counts for itself; what is read from the database is the same on all of them. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Metrics, Watched } from "../ports.ts";

/** From a cached answer to a slow model with retries. */
const seconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300];

/** Of the runtime's figures, those that tell nothing here: they describe another engine, or are always 0. */
const empty = /^nodejs_(heap_space_|active_|gc_)|^process_heap_bytes$/;

const methods = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export function createMetrics(watched: Watched): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  for (const { name } of registry.getMetricsAsArray()) if (empty.test(name)) registry.removeSingleMetric(name);

  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const histogram = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Histogram({ name, help, labelNames, registers, buckets: seconds });

  const requests = counter("arouter_http_requests_total", "HTTP requests answered.", [
    "method",
    "route",
    "status",
    "code",
  ]);
  const requestSeconds = histogram("arouter_http_request_seconds", "From a request to the beginning of its answer.", [
    "route",
  ]);
  const generations = counter("arouter_generations_total", "Generations that have ended.", [
    "model",
    "provider",
    "operation",
    "status",
    "code",
  ]);
  const generationSeconds = histogram("arouter_generation_seconds", "From admission to the end on record.", [
    "model",
    "provider",
  ]);
  const images = counter("arouter_images_total", "Images delivered.", ["model", "provider"]);
  const cost = counter("arouter_cost_usd_total", "Charged for delivered images, in US dollars.", ["model", "provider"]);
  const attempts = counter("arouter_upstream_attempts_total", "Upstream calls by what came of them.", [
    "provider",
    "model",
    "outcome",
  ]);
  const attemptSeconds = histogram("arouter_upstream_attempt_seconds", "Upstream calls, waiting for a place aside.", [
    "provider",
    "model",
  ]);
  const queueSeconds = histogram("arouter_upstream_queue_seconds", "Waiting for a place at a provider.", ["provider"]);
  const retries = counter("arouter_retries_total", "Rounds of calls made again on the same route.", [
    "provider",
    "model",
  ]);
  const fallbacks = counter("arouter_fallbacks_total", "Generations that went on to their next route.", [
    "from_provider",
    "to_provider",
    "to_model",
  ]);
  const streams = new Gauge({ name: "arouter_streams_open", help: "Event streams being sent.", registers });
  watch(watched, registers);

  return {
    requestEnded({ method, route, status, code, durationMs }) {
      const known = methods.has(method) ? method : "other";
      requests.inc({ method: known, route, status: String(status), code: code ?? "" });
      requestSeconds.observe({ route }, durationMs / 1000);
    },
    generationEnded({ model, provider, operation, status, code, durationMs, images: count, costNanos }) {
      generations.inc({ model, provider, operation, status, code: code ?? "" });
      generationSeconds.observe({ model, provider }, durationMs / 1000);
      images.inc({ model, provider }, count);
      cost.inc({ model, provider }, usd(costNanos));
    },
    attemptEnded({ provider, model, outcome, durationMs, queuedMs }) {
      attempts.inc({ provider, model, outcome });
      attemptSeconds.observe({ provider, model }, durationMs / 1000);
      queueSeconds.observe({ provider }, queuedMs / 1000);
    },
    retried: ({ provider, model }) => retries.inc({ provider, model }),
    fellBack: ({ fromProvider, toProvider, toModel }) =>
      fallbacks.inc({ from_provider: fromProvider, to_provider: toProvider, to_model: toModel }),
    streamOpened() {
      streams.inc();
      let ended = false;
      return () => {
        if (!ended) streams.dec();
        ended = true;
      };
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

/** Gauges of what others know, looked up when they are read. */
function watch(watched: Watched, registers: Registry[]): void {
  const { version, clock, credentials, generationsRunning, heldNanos, webhooksPending } = watched;
  const gauge = <Label extends string>(
    name: string,
    help: string,
    labelNames: Label[],
    look: (set: (labels: Partial<Record<Label, string>>, value: number) => void) => void | Promise<void>,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        // What is gone since the last look is not shown any more, and what cannot be looked up is not 0.
        this.reset();
        if (labelNames.length === 0) this.remove();
        await look((labels, value) => this.set(labels as Record<Label, string>, value));
      },
    });
  /** A server that needs no key has a credential without a label. */
  const named = ({ provider, credential }: { provider: string; credential: string }) => ({
    provider,
    credential: credential === "" ? "none" : credential,
  });

  gauge("arouter_build_info", "1, with the version.", ["version"], (set) => set({ version }, 1));
  gauge("arouter_generations_running", "Generations that run in this program.", [], (set) =>
    set({}, generationsRunning()),
  );
  gauge("arouter_held_usd", "Held for running generations on this database, in US dollars.", [], async (set) => {
    const nanos = await heldNanos();
    if (nanos !== null) set({}, usd(nanos));
  });
  gauge("arouter_webhooks_pending", "Webhook deliveries that are due or wait for another attempt.", [], async (set) => {
    const pending = await webhooksPending();
    if (pending !== null) set({}, pending);
  });
  const each = (name: string, help: string, value: (credential: ReturnType<typeof credentials>[number]) => number) =>
    gauge(name, help, ["provider", "credential"], (set) => {
      for (const credential of credentials()) set(named(credential), value(credential));
    });
  each("arouter_credential_running", "Upstream calls under way.", ({ running }) => running);
  each("arouter_credential_waiting", "Calls waiting for a place.", ({ waiting }) => waiting);
  gauge(
    "arouter_credential_parked_seconds",
    "How much longer a credential is left alone, and why.",
    ["provider", "credential", "reason"],
    (set) => {
      for (const credential of credentials()) {
        const { parked } = credential;
        if (parked === null) continue;
        set({ ...named(credential), reason: parked.reason }, Math.max(0, parked.untilMs - clock.now()) / 1000);
      }
    },
  );
  gauge(
    "arouter_breaker_state",
    "1 for the state in which a credential's breaker for an upstream model is.",
    ["provider", "credential", "model", "state"],
    (set) => {
      for (const credential of credentials()) {
        for (const { model, state } of credential.routes) set({ ...named(credential), model, state }, 1);
      }
    },
  );
}

/** To a figure on a dashboard, a float is exact enough; accounts are never kept with it. */
const usd = (nanos: bigint): number => Number(nanos) / 1e9;
