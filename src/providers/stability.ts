/** Stability AI v2beta (upstream-apis.md §3). One picture a call, as the raw body; answers at once. */
import { z } from "zod";
import { InputFile } from "./input.ts";
import { type Adapter, InlineImage, type ProviderJob, type Reply, type Step } from "./provider.ts";
import {
  describe,
  describeReply,
  failed,
  failedByStatus,
  nameOf,
  optional,
  requestId,
  retryAfterMs,
} from "./replies.ts";

/** The JSON mode's success (content type `application/json; type=image/png`), should a server not honour `accept: image/*`. */
const successSchema = z.object({ image: z.instanceof(InlineImage).nullish(), finish_reason: z.string().nullish() });

/** v2beta `{id,name,errors}`; v1 endpoints answer `{id,message,name}`. */
const errorSchema = z.object({
  name: optional(z.string()),
  errors: optional(z.array(z.string())),
  message: optional(z.string()),
});

/** "You have been timed out for 60 seconds"; no `retry-after` is documented. */
const lockoutMs = 60_000;

export const stability: Adapter = {
  id: "stability",
  name: "Stability AI",
  settings: {
    keyVariable: "STABILITY_API_KEY",
    baseUrlVariable: "STABILITY_BASE_URL",
    defaultBaseUrl: "https://api.stability.ai",
  },
  authorize: (credential) => ({ authorization: `Bearer ${credential}` }),
  inlineImageFields: ["image"],

  submit: (job) => ({
    method: "POST",
    url: `/v2beta/stable-image/generate/${endpointOf(job)}`,
    headers: { accept: "image/*" },
    // Multipart always, also without a file; JSON bodies are rejected.
    body: { kind: "multipart", fields: fieldsOf(job) },
  }),

  // §3.
  probe: () => ({ method: "GET", url: "/v1/user/balance" }),

  read: (reply) => (reply.status === 200 ? readSuccess(reply) : readFailure(reply)),
};

/** `sd3.5-large` and its sisters share the `sd3` endpoint; `ultra` and `core` are endpoints of their own. */
const endpointOf = (job: ProviderJob): string => (job.model.startsWith("sd3") ? "sd3" : encodeURIComponent(job.model));

/** The client's picture goes as a file part; `mode` and `strength`, which it needs, are the route's to set. */
function fieldsOf(job: ProviderJob): Record<string, string | InputFile | InputFile[]> {
  const fields: Record<string, string | InputFile | InputFile[]> =
    endpointOf(job) === "sd3" ? { model: job.model } : {};
  for (const [name, value] of Object.entries(job.parameters)) {
    if (value === null || value === undefined) continue;
    if (value instanceof InputFile || isFiles(value)) fields[name] = value;
    else fields[name] = typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return fields;
}

const isFiles = (value: unknown): value is InputFile[] =>
  Array.isArray(value) && value.length > 0 && value.every((item) => item instanceof InputFile);

function readSuccess(reply: Reply): Step {
  const { headers, body } = reply;
  const upstreamId = requestId(headers);
  const parsed = body.kind === "json" ? successSchema.safeParse(body.value).data : undefined;
  const image = body.kind === "image" ? body.image : parsed?.image;

  // A header in raw mode, a field in JSON mode. CONTENT_FILTERED comes with a blurred picture, and charged.
  const reasons = [headers["finish-reason"], parsed?.finish_reason].flatMap((reason) => reason?.trim() || []);
  if (reasons.includes("CONTENT_FILTERED"))
    return failed("refused", "The picture was withheld by Stability's content filter (CONTENT_FILTERED).", {
      upstreamId,
    });
  const unknown = reasons.find((reason) => reason !== "SUCCESS");
  if (unknown !== undefined)
    return failed("contract_changed", `Stability answered 200 with a finish reason ${nameOf(unknown)}.`, {
      upstreamId,
    });
  if (!image)
    return failed("contract_changed", `Stability answered 200 without a picture: ${describe(body)}.`, { upstreamId });
  return { kind: "done", images: [{ source: image }], ...(upstreamId && { upstreamId }) };
}

function readFailure(reply: Reply): Step {
  const { status, headers, body } = reply;
  const error = body.kind === "json" ? errorSchema.safeParse(body.value).data : undefined;
  const name = error?.name;
  const upstreamId = requestId(headers);
  const message = error?.errors?.join("; ") || error?.message || describeReply(reply);
  /** `some-field: is required`. */
  const param = message.match(/^([\w.-]+): /)?.[1];

  if (name === "content_moderation") return failed("refused", message, { upstreamId });
  // The likeness of a person is a matter of content; the language is the client's to change, so it is a parameter's fault.
  if (name === "public_figure") return failed("refused", message, { categories: ["public_figure"], upstreamId });
  if (name === "invalid_language") return failed("invalid_request", message, { param: "prompt", upstreamId });
  if (status === 401 || name === "unauthorized") return failed("auth", message, { upstreamId });
  if (status === 402 || name === "payment_required") return failed("quota", message, { upstreamId });
  if (status === 429 || name === "rate_limit_exceeded")
    return failed("rate_limited", message, { retryAfterMs: retryAfterMs(headers) ?? lockoutMs, upstreamId });
  if (name && (status === 400 || status === 422)) {
    // The route fixes `model`, never the client: a complaint about it means that the vendor has let the model go.
    return param === "model"
      ? failed("model_unavailable", message, { upstreamId })
      : failed("invalid_request", message, { param, upstreamId });
  }
  if (status === 404)
    return failed("contract_changed", `${describeReply(reply)}; is the base URL right, or has the endpoint gone?`, {
      upstreamId,
    });
  // Also a 403 that is no moderation (auth), 413 payload_too_large (the whole body, no parameter), 5xx.
  return failedByStatus(reply, message, { retryAfterMs: retryAfterMs(headers), upstreamId });
}
