/** Replicate (upstream-apis.md §4): submit, then poll the prediction until it ends. */
import { z } from "zod";
import { ownCall } from "./own-call.ts";
import type { Adapter, Reply, Step } from "./provider.ts";
import {
  describe,
  describeReply,
  failed,
  failedByStatus,
  linkSchema,
  nameOf,
  optional,
  retryAfterMs,
  secondsToMs,
} from "./replies.ts";

/** §4.1. The id goes into URLs, so it is held to a safe alphabet. */
const predictionSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  status: z.string(),
  output: z.unknown(),
  error: optional(z.string()),
  data_removed: optional(z.boolean()),
  urls: optional(z.object({ get: optional(z.string()), cancel: optional(z.string()) })),
});
type Prediction = z.infer<typeof predictionSchema>;

/** §4.3: some models answer one link, others a list; a list may be shorter than asked (§4.2: flagged ones are dropped). */
const outputSchema = z.union([linkSchema.transform((url) => [url]), z.array(linkSchema)]);

/** §4.2. */
const errorSchema = z.object({
  title: optional(z.string()),
  detail: optional(z.string()),
  retry_after: optional(z.union([z.number(), z.string()])),
  invalid_fields: optional(
    z.array(z.object({ field: optional(z.string()), description: optional(z.string()), type: optional(z.string()) })),
  ),
});

/** The official client's interval (§4.1); the transport lengthens it. */
const pollAfterMs = 500;
const refusal = /E005|flagged as sensitive|NSFW/i;
const spendLimit = /monthly spend limit/i;
const missingModel = /does not exist \(or perhaps you don.t have permission/i;

export const replicate: Adapter = {
  id: "replicate",
  name: "Replicate",
  settings: {
    keyVariable: "REPLICATE_API_TOKEN",
    baseUrlVariable: "REPLICATE_BASE_URL",
    defaultBaseUrl: "https://api.replicate.com/v1",
  },
  authorize: (credential) => ({ authorization: `Bearer ${credential}` }),
  inlineImageFields: [],

  submit: (job) => ({
    method: "POST",
    url: `/models/${job.model.split("/").map(encodeURIComponent).join("/")}/predictions`,
    // `input` alone: other keys are rejected. The client's pictures stand in it as data URLs, alone or in a list; how many
    // pictures to make is the route's `count_field`. No `Prefer: wait`: the id must be on disk before the waiting begins.
    body: { kind: "json", value: { input: { ...job.parameters } } },
  }),

  // Replicate's documentation; upstream-apis.md does not list it.
  probe: () => ({ method: "GET", url: "/account" }),

  // 200, 201 and 202 carry the same object; its `status` says how far it is, not the HTTP status.
  read(reply, _job, context) {
    if (reply.status < 200 || reply.status > 202) return readFailure(reply);
    const parsed = predictionSchema.safeParse(reply.body.kind === "json" ? reply.body.value : undefined);
    if (parsed.success) return readPrediction(parsed.data, context.baseUrl);
    const where = reply.body.kind === "json" ? ` (at ${parsed.error.issues[0]?.path.join(".") || "the top"})` : "";
    return failed(
      "contract_changed",
      `Replicate answered ${reply.status} without a readable prediction${where}: ${describe(reply.body)}.`,
    );
  },
};

function readPrediction(prediction: Prediction, baseUrl: string): Step {
  const { id, status, urls } = prediction;
  switch (status) {
    case "starting":
    case "processing":
      return {
        kind: "pending",
        upstreamId: id,
        poll: ownCall(replicate, "GET", urls?.get, `/predictions/${id}`, baseUrl),
        cancel: ownCall(replicate, "POST", urls?.cancel, `/predictions/${id}/cancel`, baseUrl),
        afterMs: pollAfterMs,
      };
    case "succeeded":
      return readOutput(prediction);
    case "failed": {
      const message = prediction.error || "The prediction failed; Replicate gives no reason.";
      const failureClass = refusal.test(message) ? "refused" : spendLimit.test(message) ? "quota" : "upstream_error";
      return failed(failureClass, message, { upstreamId: id });
    }
    case "canceled":
    case "aborted":
      return failed("upstream_error", prediction.error || `The prediction was ${status} at Replicate.`, {
        upstreamId: id,
      });
    default:
      return failed("contract_changed", `Replicate reports a prediction status ${nameOf(status)}.`, { upstreamId: id });
  }
}

function readOutput({ id, output, data_removed }: Prediction): Step {
  if (data_removed)
    return failed("outcome_unknown", "Replicate has deleted the prediction's output already", { upstreamId: id });
  if (output === null || output === undefined || output === "") return { kind: "done", images: [], upstreamId: id };
  const links = outputSchema.safeParse(output);
  if (links.success) return { kind: "done", images: links.data.map((url) => ({ source: { url } })), upstreamId: id };
  const shape = Array.isArray(output) ? "an array" : typeof output === "object" ? "an object" : `a ${typeof output}`;
  const message = `Replicate's prediction succeeded with ${shape} as output that is not http(s) links.`;
  return failed("contract_changed", message, { upstreamId: id });
}

/** A failed HTTP call. On a poll it says nothing about the job itself, which runs on: the transport asks again. */
function readFailure(reply: Reply): Step {
  const { status, headers, body } = reply;
  const error = body.kind === "json" ? errorSchema.safeParse(body.value).data : undefined;
  const message = error?.detail || error?.title || describeReply(reply);
  const retryMs =
    secondsToMs(error?.retry_after) ?? retryAfterMs(headers) ?? secondsToMs(error?.detail?.match(/~(\d+)s/)?.[1]);

  if (spendLimit.test(message)) return failed("quota", message);
  if (missingModel.test(message)) return failed("model_unavailable", message);
  if (status === 404) {
    // Polling, it is the prediction that is missing. It may have been made and billed, so nothing may be resent.
    if (reply.purpose === "poll")
      return failed("contract_changed", `Replicate does not know its own prediction: ${describeReply(reply)}`);
    if (error?.detail) return failed("model_unavailable", message);
    return failed("contract_changed", `${describeReply(reply)}; is the base URL right (it ends in /v1)?`);
  }
  if (error && (status === 400 || status === 422)) {
    const first = error.invalid_fields?.[0];
    // A missing field is reported on its parent: `{"type":"required","field":"input","description":"prompt is required"}`.
    const missing = first?.type === "required" ? first.description?.match(/^([\w.-]+) is required/)?.[1] : undefined;
    return failed("invalid_request", message, { param: missing ?? first?.field?.replace(/^input\./, "") });
  }
  return failedByStatus(reply, message, { retryAfterMs: retryMs });
}
