/**
 * Which routes serve a checked request, in what order, with what parameters and at what price. Only routes that honour
 * the whole request are candidates; a route that is failing now is left out as long as it is.
 */
import { checkModelAllowed, mayUseModel, mayUseProvider } from "../accounts/allowed.ts";
import type { Key } from "../accounts/keys.ts";
import type { CheckedRequest } from "../catalogue/index.ts";
import { invalidValue } from "../catalogue/wording.ts";
import { PublicError } from "../errors.ts";
import type { Nanos } from "../money.ts";
import type { Random } from "../ports.ts";
import {
  type Candidate,
  type Excluded,
  isExcluded,
  type RouteSettings,
  routesOf,
  sandboxCandidate,
} from "./candidates.ts";
import { unavailableMessage } from "./failures.ts";
import type { Health } from "./health.ts";
import type { Preferences, Sort } from "./preferences.ts";

/** What will be tried for a request, in order. */
export interface Plan {
  /** The request as the client made it, checked against the first model that can honour it. */
  asked: CheckedRequest;
  candidates: readonly [Candidate, ...Candidate[]];
  /** The dearest candidate's quote: what is held. */
  holdNanos: Nanos;
  fallbackOnRefusal: boolean;
}

/** One of the models that a request names, checked against it. */
export interface CheckedModel {
  checked: CheckedRequest;
  sort: Sort | null;
}

export interface PlanPorts extends RouteSettings {
  health: Health;
  random: Random;
}

/** Reasons why a route is out, from the farthest to the nearest to being used: the nearest is what a client is told. */
const ranks = [
  "not_configured",
  "ended",
  "not_allowed",
  "not_preferred",
  "not_honoured",
  "price_unknown",
  "too_dear",
  "unavailable",
] as const;
type Reason = (typeof ranks)[number];

interface Out extends Omit<Excluded, "reason"> {
  reason: Reason;
  waitMs?: number;
}

/**
 * @param models the models that the request names and that can honour it, in the client's order; at least one
 * @throws PublicError model_not_allowed, provider_not_configured, model_unavailable, provider_not_allowed, price_unknown,
 *   no_available_provider, invalid_value
 */
export function planGeneration(
  key: Key,
  models: readonly [CheckedModel, ...CheckedModel[]],
  preferences: Preferences,
  ports: PlanPorts,
): Plan {
  // Before the routes: how a model is served here is nobody's business who may not use it.
  const allowed = models.filter(({ checked }) => mayUseModel(key, checked.model));
  if (allowed.length === 0) checkModelAllowed(key, models[0].checked.model);
  if (key.kind === "test") {
    const drawn = allowed.map(({ checked }) => sandboxCandidate(checked, ports.providers.sandbox));
    return planOf(models[0].checked, drawn, preferences);
  }
  const candidates: Candidate[] = [];
  const out: Out[] = [];
  for (const { checked, sort } of allowed) {
    const usable: Candidate[] = [];
    for (const found of routesOf(checked, ports)) {
      const reason = isExcluded(found) ? found : whyOut(found, key, preferences, ports);
      if (reason === null) usable.push(found as Candidate);
      else out.push(reason);
    }
    candidates.push(...inOrder(usable, checked, sort ?? preferences.sort, preferences.order, ports));
  }
  if (candidates.length === 0) throw explain(out, models[0].checked);
  return planOf(models[0].checked, candidates, preferences);
}

function planOf(
  asked: CheckedRequest,
  candidates: Candidate[],
  { allowFallbacks, fallbackOnRefusal }: Preferences,
): Plan {
  const [first, ...others] = candidates;
  if (first === undefined) throw new Error("a plan needs a candidate");
  const tried: Plan["candidates"] = [first, ...(allowFallbacks ? others : [])];
  const holdNanos = tried.reduce<Nanos>(
    (most, { quote }) => (quote.totalNanos > most ? quote.totalNanos : most),
    first.quote.totalNanos,
  );
  return { asked, candidates: tried, holdNanos, fallbackOnRefusal };
}

function whyOut(candidate: Candidate, key: Key, preferences: Preferences, ports: PlanPorts): Out | null {
  const { checked, provider, quote, route } = candidate;
  const id = provider.adapter.id;
  const out = (reason: Reason): Out => ({ reason, checked, route: route ?? checked.model.routes[0], provider });
  if (!mayUseProvider(key, id)) return out("not_allowed");
  if (preferences.only !== null && !preferences.only.includes(id)) return out("not_preferred");
  if (preferences.ignore.includes(id)) return out("not_preferred");
  if (preferences.maxPriceNanos !== null && quote.totalNanos > preferences.maxPriceNanos * BigInt(checked.n))
    return out("too_dear");
  const address = addressOf(candidate);
  if (ports.health.state(address, provider.credentials) !== "unavailable") return null;
  return { ...out("unavailable"), waitMs: ports.health.waitMs(address, provider.credentials) };
}

export const addressOf = ({ provider, baseUrl, calls }: Candidate) => ({
  provider: provider.adapter.id,
  baseUrl,
  model: calls[0]?.job.model ?? "",
});

/**
 * The routes of one model: those that the client puts first, then as it sorts them; without a wish by chance, weighted by
 * the inverse square of the price. Routes that fail or are limited at the moment go to the end.
 */
function inOrder(
  usable: Candidate[],
  { model }: CheckedRequest,
  sort: Sort | null,
  order: readonly string[],
  { health, random }: PlanPorts,
): Candidate[] {
  if (usable.length < 2) return usable;
  const position = (candidate: Candidate): number => {
    const index = order.indexOf(candidate.provider.adapter.id);
    return index < 0 ? order.length : index;
  };
  const known = usable.map((candidate) => {
    const address = addressOf(candidate);
    return {
      candidate,
      position: position(candidate),
      // A successor stands in for a model that is still served elsewhere.
      successor: candidate.checked.model.id === model.id ? 0 : 1,
      trouble: health.state(address, candidate.provider.credentials) === "healthy" ? 0 : 1,
      weight: sort === null ? -chance(candidate.quote.totalNanos, random) : weightOf(candidate, sort, health),
    };
  });
  known.sort(
    (one, other) =>
      one.position - other.position ||
      one.successor - other.successor ||
      one.trouble - other.trouble ||
      one.weight - other.weight,
  );
  return known.map(({ candidate }) => candidate);
}

function weightOf(candidate: Candidate, sort: Sort, health: Health): number {
  if (sort === "price") return Number(candidate.quote.totalNanos);
  // A route that has not been measured yet may be the fastest: it is tried, and measured.
  return health.latencyMs(addressOf(candidate)) ?? 0;
}

/** A random order in which a route comes first with a probability in proportion to 1 / price². */
function chance(priceNanos: Nanos, random: Random): number {
  const [high = 0, middle = 0, low = 0] = random.bytes(3);
  const uniform = ((high << 16) | (middle << 8) | low | 1) / 2 ** 24;
  // Efraimidis and Spirakis: sorted by u^(1/weight), i.e. by ln(u) / weight, the greatest first.
  const price = Math.max(Number(priceNanos), 1) / 1e9;
  return Math.log(uniform) * price * price;
}

function explain(out: readonly Out[], checked: CheckedRequest): PublicError {
  const nearest = out.reduce<Out | undefined>(
    (best, found) => (best === undefined || ranks.indexOf(found.reason) > ranks.indexOf(best.reason) ? found : best),
    undefined,
  );
  const { model } = checked;
  if (nearest === undefined) throw new Error(`${model.id} has no route`);
  const { reason, provider, param = "model" } = nearest;
  const names = [...new Set(out.map(({ route }) => route.provider))].join(", ");
  switch (reason) {
    case "not_configured": {
      const variable = provider?.adapter.settings?.keyVariable;
      return new PublicError(
        "provider_not_configured",
        `No provider of '${model.id}' is configured. Set ${variable ?? "its credential"} in the environment of the router and restart it, or use an lr_test_ key to reach the sandbox.`,
      );
    }
    case "ended":
      return new PublicError("model_unavailable", unavailableMessage(model, provider?.adapter.id ?? ""), {
        param: "model",
      });
    case "not_allowed":
      return new PublicError("provider_not_allowed", `This key may not use the provider '${provider?.adapter.id}'.`);
    case "not_preferred":
      return invalidValue(
        "provider",
        `Invalid 'provider': it leaves no provider of '${model.id}'. Its providers here: ${names}.`,
      );
    case "not_honoured":
      return invalidValue(
        param,
        `Invalid '${param}': no provider of '${model.id}' that is configured here can honour it as asked.`,
      );
    case "price_unknown":
      return new PublicError(
        "price_unknown",
        `No price is known for this request to '${model.id}', so it was not sent.`,
      );
    case "too_dear":
      return invalidValue(
        "provider.max_price",
        `Invalid 'provider.max_price': every provider of '${model.id}' may take more for this request.`,
      );
    case "unavailable": {
      const waits = out.flatMap(({ waitMs }) => waitMs ?? []);
      return new PublicError(
        "no_available_provider",
        `No provider of '${model.id}' answers at the moment. Please try again later.`,
        {
          retryAfterMs: Math.max(1_000, Math.min(...waits)),
        },
      );
    }
  }
}
