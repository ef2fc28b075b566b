/** Every way in which a checked request could be served: the routes of its model, and those of its successor. */
import {
  type Catalogue,
  type CheckedRequest,
  cannotHonour,
  checkRequest,
  imagesPerCall,
  isEnded,
  type Model,
  mapParameters,
  type Quote,
  quote,
  type Route,
} from "../catalogue/index.ts";
import type { Nanos } from "../money.ts";
import type { ProviderJob } from "../providers/provider.ts";
import { baseUrlOf, isConfigured, type Provider, type Providers } from "./providers.ts";

/** One way to run a request, decided before anything is spent. */
export interface Candidate {
  /** The request as this candidate's model was asked for it. */
  checked: CheckedRequest;
  /** The model that the client named: another one where a successor serves it. */
  named: Model;
  /** Null in the sandbox, which serves every model. */
  route: Route | null;
  provider: Provider;
  baseUrl: string;
  /** What each upstream call will be, in the order of its pictures. */
  calls: PlannedCall[];
  /** The upper bound, and what delivered pictures cost. */
  quote: Quote;
  /** Delivered pictures are scaled down to this, where the vendor cannot make them so small. */
  scaleTo: { width: number; height: number } | null;
}

export interface PlannedCall {
  /** Position of this call's first picture within the generation. */
  offset: number;
  job: ProviderJob;
}

/** Why a route is not a candidate; the later ones in `ranks` are nearer to being one. */
export interface Excluded {
  reason: "not_configured" | "ended" | "not_honoured" | "price_unknown";
  checked: CheckedRequest;
  route: Route;
  provider: Provider | undefined;
  /** What the route cannot honour. */
  param?: string;
}

export interface RouteSettings {
  catalogue: Catalogue;
  providers: Providers;
  legacy: "refuse" | "successor";
  /** ISO date, for end dates and prices. */
  today: string;
}

/** Every route of the request's model, and of its successor where the operator wants that, in the catalogue's order. */
export function routesOf(checked: CheckedRequest, settings: RouteSettings): Array<Candidate | Excluded> {
  const own = checked.model.routes.map((route) => routeOf(checked, checked.model, route, settings, null));
  const successor = successorOf(checked, settings);
  if (successor === null) return own;
  if ("reason" in successor) return [...own, successor];
  // With a base URL set by the operator the old model may still be served: it is tried first.
  const { routes } = successor.checked.model;
  const others = routes.map((route) => routeOf(successor.checked, checked.model, route, settings, successor.scaleTo));
  return [...own, ...others];
}

export const isExcluded = (found: Candidate | Excluded): found is Excluded => "reason" in found;

function routeOf(
  checked: CheckedRequest,
  named: Model,
  route: Route,
  { providers, today }: RouteSettings,
  scaleTo: Candidate["scaleTo"],
): Candidate | Excluded {
  const provider = providers.find(route.provider);
  const excluded = (reason: Excluded["reason"], param?: string): Excluded => ({
    reason,
    checked,
    route,
    provider,
    ...(param === undefined ? {} : { param }),
  });
  const baseUrl = provider === undefined ? null : baseUrlOf(provider, route.baseUrl);
  if (provider === undefined || baseUrl === null || !isConfigured(provider, route.baseUrl))
    return excluded("not_configured");
  const param = cannotHonour(route, checked);
  if (param !== null) return excluded("not_honoured", param);
  if (isEnded(checked.model, today) && !provider.ownBaseUrl && route.baseUrl === undefined) return excluded("ended");
  const quoted = quote(route, checked, today);
  if (quoted === null) return excluded("price_unknown");
  const { operation, stream, partialImages } = checked;
  const streamed = stream && route.streams ? { stream: { partialImages } } : {};
  const model = operation === "edit" ? (route.editModel ?? route.model) : route.model;
  const calls = split(checked.n, imagesPerCall(route, checked), (offset, count) => ({
    operation,
    model,
    parameters: mapParameters(route, checked, offset, count),
    count,
    ...streamed,
  }));
  const objection = calls.map(({ job }) => provider.adapter.objection?.(job)).find((found) => found !== undefined);
  if (objection !== undefined) return excluded("not_honoured", objection);
  // The picture that the client gets has the size it asked for, whatever size the vendor makes.
  const asked = scaleTo === null ? checked : { ...checked, size: scaleTo };
  return { checked: asked, named, route, provider, baseUrl, calls, quote: quoted, scaleTo };
}

interface Successor {
  checked: CheckedRequest;
  scaleTo: Candidate["scaleTo"];
}

/** The same request in the words of the model's successor (CONTRACT.md "Legacy successor"); null where there is none. */
function successorOf(
  checked: CheckedRequest,
  { catalogue, legacy, today }: RouteSettings,
): Successor | Excluded | null {
  const { model, requested, parameters } = checked;
  const { successor, mapping } = model.lifecycle;
  if (legacy !== "successor" || successor === null || mapping === null || !isEnded(model, today)) return null;
  const param = mapping.refused.find((name) => requested[name] !== undefined);
  if (param !== undefined) {
    return { reason: "not_honoured", checked, route: model.routes[0], provider: undefined, param };
  }
  const { models: _models, provider: _provider, route: _route, webhook_url: _webhook, ...body } = requested;
  const translated: Record<string, unknown> = { ...body, model: successor, response_format: checked.responseFormat };
  for (const [name, words] of Object.entries(mapping.values)) {
    const value = parameters[name];
    if (typeof value === "string") translated[name] = words[value] ?? value;
  }
  if (typeof parameters.size === "string") translated.size ??= parameters.size;
  const successorChecked = checkRequest(catalogue, translated);
  const scaled = translated.size !== parameters.size && checked.size !== null;
  return { checked: { ...successorChecked, requested }, scaleTo: scaled ? checked.size : null };
}

/** The sandbox draws one picture a call, for every model, and costs nothing. */
export function sandboxCandidate(checked: CheckedRequest, provider: Provider): Candidate {
  const { size, aspectRatio, format, prompt, n, model, operation, stream, partialImages, inputs } = checked;
  const { seed, style, frame_count, frame_duration_ms } = checked.parameters;
  const free = 0n as Nanos;
  return {
    checked,
    named: model,
    route: null,
    provider,
    baseUrl: provider.baseUrl ?? "",
    calls: split(n, 1, (offset, count) => ({
      operation,
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
        ...(frame_count === undefined ? {} : { frame_count }),
        ...(frame_duration_ms === undefined ? {} : { frame_duration_ms }),
        ...(inputs === null ? {} : { inputs: inputs.images.map(({ sha256 }) => sha256) }),
      },
      ...(stream && partialImages > 0 ? { stream: { partialImages } } : {}),
    })),
    quote: { unitNanos: free, totalNanos: free, rule: "sandbox", charge: () => free },
    scaleTo: null,
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
