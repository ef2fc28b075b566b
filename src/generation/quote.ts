/** What a request would cost and what would be tried for it, in order: everything but admission, and nothing is spent. */
import type { Key } from "../accounts/keys.ts";
import { PublicError } from "../errors.ts";
import type { Nanos } from "../money.ts";
import { readWebhookUrl } from "../webhooks/url.ts";
import { sentBody } from "./attempts.ts";
import type { Context } from "./context.ts";
import { checkModels, type GenerationRequest, planPorts } from "./generate.ts";
import { type Plan, planGeneration } from "./plan.ts";
import { upstreamOf } from "./providers.ts";

export interface QuotedRequest {
  plan: Plan;
  /** In the order in which they would be tried. */
  routes: QuotedRoute[];
}

export interface QuotedRoute {
  provider: string;
  model: string;
  /** The provider's name of the model. */
  upstreamModel: string;
  /** The most that it can cost this way. */
  quoteNanos: Nanos;
  priceRule: string;
  /** The body of every upstream call, as it would be sent. */
  sent: unknown[];
}

/**
 * Limits and credit are admission's to decide, at its moment: they are not looked at.
 * @param now Unix milliseconds: prices and the state of routes at this moment
 * @throws PublicError as the request itself would be refused
 */
export function quoteRequest(context: Context, key: Key, request: GenerationRequest, now: number): QuotedRequest {
  if (key.kind === "management") {
    throw new PublicError("wrong_key_type", "Management keys cannot generate images. Use an lr_live_ or lr_test_ key.");
  }
  const { models, preferences } = checkModels(context, request);
  readWebhookUrl(request.body.webhook_url, context.config.webhookOrigins);
  const plan = planGeneration(key, models, preferences, planPorts(context, now));
  const routes = plan.candidates.map(({ checked, provider, baseUrl, calls, quote }): QuotedRoute => {
    // What a body says does not depend on the credential.
    const upstream = upstreamOf(provider, baseUrl, "");
    return {
      provider: provider.adapter.id,
      model: checked.model.id,
      upstreamModel: calls[0]?.job.model ?? "",
      quoteNanos: quote.totalNanos,
      priceRule: quote.rule,
      sent: calls.map(({ job }) => sentBody(upstream, job)),
    };
  });
  return { plan, routes };
}
