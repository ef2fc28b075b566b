/** Which route serves a checked request, with what parameters and at what price. */
import type { Key } from "../accounts/keys.ts";
import {
  type CheckedRequest,
  isEnded,
  mapParameters,
  priceDelivered,
  type Quote,
  quote,
  type Route,
} from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import type { Nanos } from "../money.ts";
import type { ProviderJob } from "../providers/provider.ts";
import { unavailableMessage } from "./failures.ts";
import type { Provider, Providers } from "./providers.ts";

/** One way to run this request, decided before anything is spent. */
export interface Plan {
  checked: CheckedRequest;
  provider: Provider;
  /** What each upstream call will be, in the order of its pictures. */
  calls: PlannedCall[];
  quote: Quote;
  /** What delivered pictures cost, never above the quote. */
  price(delivered: ReadonlyArray<{ width: number; height: number }>): Nanos;
}

export interface PlannedCall {
  /** Position of this call's first picture within the generation. */
  offset: number;
  job: ProviderJob;
}

/**
 * @param today ISO date, for end dates
 * @throws PublicError provider_not_configured, model_unavailable, price_unknown
 */
export function planGeneration(
  checked: CheckedRequest,
  keyKind: Key["kind"],
  providers: Providers,
  today: string,
): Plan {
  if (keyKind === "test") return sandboxPlan(checked, providers.sandbox);
  const { model } = checked;
  const route = model.routes[0];
  const provider = route === undefined ? undefined : providers.find(route.provider);
  if (route === undefined || provider === undefined || provider.credentials.length === 0) {
    const variable = provider?.adapter.settings?.keyVariable;
    throw new PublicError(
      "provider_not_configured",
      `No provider of '${model.id}' is configured. Set ${variable ?? "its credential"} in the environment of the router and restart it, or use an lr_test_ key to reach the sandbox.`,
    );
  }
  if (isEnded(model, today) && !provider.ownBaseUrl) {
    throw new PublicError("model_unavailable", unavailableMessage(model, provider.adapter.id), { param: "model" });
  }
  return routePlan(checked, route, provider);
}

function routePlan(checked: CheckedRequest, route: Route, provider: Provider): Plan {
  const quoted = quote(route, checked);
  if (quoted === null) {
    throw new PublicError(
      "price_unknown",
      `No price is known for this request to '${checked.model.id}', so it was not sent.`,
    );
  }
  return {
    checked,
    provider,
    calls: split(checked.n, route.maxImagesPerCall, (offset, count) => ({
      model: route.model,
      parameters: mapParameters(route, checked, offset),
      count,
    })),
    quote: quoted,
    price: (delivered) => priceDelivered(route, checked, delivered),
  };
}

/** The sandbox draws one picture a call, for every model, and costs nothing. */
function sandboxPlan(checked: CheckedRequest, provider: Provider): Plan {
  const { size, aspectRatio, format, prompt, n, model } = checked;
  const { seed, style } = checked.parameters;
  const free = 0n as Nanos;
  return {
    checked,
    provider,
    calls: split(n, 1, (offset, count) => ({
      model: model.id,
      count,
      parameters: {
        prompt,
        ...(size ?? sizeForRatio(aspectRatio)),
        format: format ?? "png",
        seed: typeof seed === "number" ? seed : 0,
        style: typeof style === "string" ? style : "",
        position: offset,
        of: n,
      },
    })),
    quote: { unitNanos: free, totalNanos: free, rule: "sandbox" },
    price: () => free,
  };
}

/** The largest picture of exactly this shape within a megapixel. */
function sizeForRatio(ratio: { width: number; height: number } | null): { width: number; height: number } {
  const { width, height } = ratio ?? { width: 1, height: 1 };
  const scale = Math.floor(Math.sqrt((1024 * 1024) / (width * height)));
  return { width: width * scale, height: height * scale };
}

function split(n: number, most: number, job: (offset: number, count: number) => ProviderJob): PlannedCall[] {
  const calls: PlannedCall[] = [];
  for (let offset = 0; offset < n; offset += most) calls.push({ offset, job: job(offset, Math.min(most, n - offset)) });
  return calls;
}
