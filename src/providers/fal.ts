/** fal's queue (upstream-apis.md §6.1): submit, ask for the status until it is `COMPLETED`, then fetch the result. */
import { z } from "zod";
import { ownCall } from "./own-call.ts";
import type { Adapter, DeliveredImage, PendingStep, ProviderJob, Reply, Step } from "./provider.ts";
import {
  describe,
  describeReply,
  failed,
  failedByStatus,
  linkSchema,
  nameOf,
  optional,
  retryAfterMs,
} from "./replies.ts";

const idPattern = /^[\w-]{1,128}$/;

/** The submission and the status. The id goes into URLs, so it is held to a safe alphabet. */
const requestSchema = z.object({
  request_id: optional(z.string().regex(idPattern)),
  status: optional(z.string()),
  status_url: optional(z.string()),
  response_url: optional(z.string()),
  cancel_url: optional(z.string()),
});
type FalRequest = z.infer<typeof requestSchema>;

/** Most models answer `images`, some a single `image`. What is no http(s) link (a data URI of `sync_mode`) is not for us. */
const pictureSchema = z.object({ url: linkSchema });
const resultSchema = z.union([
  z.object({ images: z.array(pictureSchema) }),
  z.object({ image: pictureSchema }).transform(({ image }) => ({ images: [image] })),
]);
const resultFactsSchema = z.object({
  has_nsfw_concepts: optional(z.union([z.array(z.unknown()), z.boolean().transform((flag) => [flag])])),
  prompt: optional(z.string()),
});

/** `detail` is a list for a model's own errors, and a sentence (with `error_type`) for those of the platform. */
const errorSchema = z.object({
  detail: z.union([
    z.string(),
    z.array(
      z.object({
        loc: optional(z.array(z.union([z.string(), z.number()]))),
        msg: optional(z.string()),
        type: optional(z.string()),
      }),
    ),
  ]),
});

/** Typed errors of 4xx that the request is not to blame for (fal's error reference; upstream-apis.md does not list them). */
const downstreamTypes = ["downstream_service_error", "downstream_service_unavailable", "internal_server_error"];
const outOfMoney = /exhausted balance|user is locked/i;
const stillRunning = /still in progress/i;
const pollAfterMs = 500;

export const fal: Adapter = {
  id: "fal",
  name: "fal",
  settings: { keyVariable: "FAL_KEY", baseUrlVariable: "FAL_BASE_URL", defaultBaseUrl: "https://queue.fal.run" },
  authorize: (credential) => ({ authorization: `Key ${credential}` }),
  inlineImageFields: [],

  submit: (job) => ({
    method: "POST",
    url: `/${job.model.split("/").map(encodeURIComponent).join("/")}`,
    body: { kind: "json", value: { ...job.parameters } },
  }),

  // No `probe`: the queue has no call that costs nothing and needs the key.

  read(reply, job, context) {
    if (reply.status < 200 || reply.status > 202) {
      if (reply.purpose === "poll" && reply.pending !== undefined && !isAboutTheJob(reply))
        return { ...reply.pending, afterMs: retryAfterMs(reply.headers) ?? pollAfterMs };
      return readFailure(reply);
    }
    const value = reply.body.kind === "json" ? reply.body.value : undefined;
    const result = resultSchema.safeParse(value);
    if (result.success) return readResult(result.data.images, reply, job);
    const request = requestSchema.safeParse(value).data ?? {};
    if (request.status || request.request_id) return readStatus(request, reply, job, context.baseUrl);
    return failed("contract_changed", `fal answered ${reply.status} without pictures: ${describe(reply.body)}.`, {
      upstreamId: idOf(reply),
    });
  },
};

/** The submission, or a look at the status; a running request is answered with 202. */
function readStatus(request: FalRequest, reply: Reply, job: ProviderJob, baseUrl: string): Step {
  const upstreamId = request.request_id ?? idOf(reply);
  const status = request.status ?? (reply.purpose === "submit" ? "IN_QUEUE" : "");
  if (!upstreamId) return failed("contract_changed", `fal's request has no readable id: ${describe(reply.body)}.`);
  // Status, result and cancelation live below the application, without the endpoint's own path (`fal-ai/flux`, not `…/schnell`).
  const path = `/${job.model.split("/").slice(0, 2).map(encodeURIComponent).join("/")}/requests/${upstreamId}`;
  switch (status) {
    case "IN_QUEUE":
    case "IN_PROGRESS":
      return (
        reply.pending ?? {
          kind: "pending",
          upstreamId,
          poll: ownCall(fal, "GET", request.status_url, `${path}/status`, baseUrl),
          cancel: ownCall(fal, "PUT", request.cancel_url, `${path}/cancel`, baseUrl),
          afterMs: pollAfterMs,
          finalStatuses: true,
        }
      );
    // A failed request is completed too: the result's HTTP status and body are those of the failure.
    case "COMPLETED":
      return {
        kind: "pending",
        upstreamId,
        poll: ownCall(fal, "GET", request.response_url, path, baseUrl),
        afterMs: 0,
        finalStatuses: true,
      };
    default:
      return failed("contract_changed", `fal reports a request status ${nameOf(status)}.`, { upstreamId });
  }
}

/** A picture that fal took for unsafe comes as a black one with its flag set: it is no picture, and the others are. */
function readResult(pictures: { url: string }[], reply: Reply, job: ProviderJob): Step {
  const facts = reply.body.kind === "json" ? resultFactsSchema.safeParse(reply.body.value).data : undefined;
  const upstreamId = idOf(reply);
  const flags = facts?.has_nsfw_concepts ?? [];
  const kept = pictures.filter((_, index) => flags[index] !== true);
  if (kept.length === 0 && pictures.length > 0) {
    const what = pictures.length === 1 ? "The picture was" : "All pictures were";
    return failed("refused", `${what} withheld by fal's safety checker (has_nsfw_concepts).`, { upstreamId });
  }
  // The prompt really used; most models repeat the one they were sent.
  const revised = facts?.prompt && facts.prompt !== job.parameters.prompt ? { revisedPrompt: facts.prompt } : {};
  const images: DeliveredImage[] = kept.map(({ url }) => ({ source: { url }, ...revised }));
  return { kind: "done", images, ...(upstreamId && { upstreamId }) };
}

/** The request's name, from the step that asked or from the header that every reply has. */
function idOf(reply: Reply): string | undefined {
  const header = reply.headers["x-fal-request-id"];
  return reply.pending?.upstreamId ?? (header !== undefined && idPattern.test(header) ? header : undefined);
}

/**
 * Whether a poll's failure is the job's own, told at the result (or that the job is gone). The rest (a bad gateway, a rate
 * limit, a key or a balance that has run out in the meantime) says nothing about the job: its pictures may be there and
 * billed, so the poll is made again.
 */
function isAboutTheJob(reply: Reply): boolean {
  const error = reply.body.kind === "json" ? errorSchema.safeParse(reply.body.value).data : undefined;
  if (error === undefined) return false;
  if (reply.status === 404) return true;
  if (isStatusCall(reply.pending)) return false;
  if (typeof error.detail === "string" && stillRunning.test(error.detail)) return false;
  return reply.status >= 500 || [400, 422, 499].includes(reply.status);
}

const isStatusCall = (pending: PendingStep | undefined): boolean => /\/status(?:\?|$)/.test(pending?.poll.url ?? "");

function readFailure(reply: Reply): Step {
  const { status, headers, body } = reply;
  const detail = body.kind === "json" ? errorSchema.safeParse(body.value).data?.detail : undefined;
  const items = Array.isArray(detail) ? detail : [];
  const message =
    (Array.isArray(detail) ? items.flatMap(({ msg }) => msg || []).join("; ") : detail) || describeReply(reply);
  const upstreamId = idOf(reply);
  const types = items.flatMap(({ type }) => type || []);

  if (types.includes("content_policy_violation")) return failed("refused", message, { upstreamId });
  // 403 is fal's answer for an empty account; any other 403 is about the key.
  if (status === 402 || (status === 403 && outOfMoney.test(message))) return failed("quota", message, { upstreamId });
  if (status === 404) {
    // The job may have been made and billed, so nothing may be resent.
    if (reply.purpose === "poll")
      return failed("contract_changed", `fal does not know its own request: ${describeReply(reply)}`, { upstreamId });
    return detail === undefined
      ? failed("contract_changed", `${describeReply(reply)}; is the base URL right?`, { upstreamId })
      : failed("model_unavailable", message, { upstreamId });
  }
  if (detail !== undefined && (status === 400 || status === 422)) {
    // fal's own word on it: the very same request might succeed.
    const isTransient =
      headers["x-fal-retryable"] === "true" ||
      headers["x-fal-needs-retry"] === "true" ||
      types.some((type) => downstreamTypes.includes(type));
    if (isTransient) return failed("upstream_error", message, { retryAfterMs: retryAfterMs(headers), upstreamId });
    const field = items[0]?.loc?.find((part) => part !== "body");
    return failed("invalid_request", message, { param: field === undefined ? undefined : String(field), upstreamId });
  }
  // A request that was canceled.
  if (status === 499) return failed("upstream_error", message, { upstreamId });
  return failedByStatus(reply, message, { retryAfterMs: retryAfterMs(headers), upstreamId });
}
