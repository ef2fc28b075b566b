/** Black Forest Labs' own API (upstream-apis.md §5): submit, then poll the task until it ends. One picture a call. */
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

/**
 * A submission (`id`, `polling_url`, `cost`) and a look at the task (`id`, `status`, `result`, `details`). The id goes into
 * URLs, so it is held to a safe alphabet. BFL's agent guide shows looks without an id, and `error` beside an `Error`.
 */
const taskSchema = z.object({
  id: optional(z.string().regex(/^[\w-]{1,128}$/)),
  polling_url: optional(z.string()),
  status: optional(z.string()),
  cost: optional(z.number()),
  result: optional(z.object({ sample: optional(linkSchema) })),
  details: z.unknown().optional(),
  error: optional(z.string()),
});
type Task = z.infer<typeof taskSchema>;

const moderationSchema = z.object({ "Moderation Reasons": z.array(z.string()) });
const wordsSchema = z.union([
  z.string(),
  z.object({ message: z.string() }).transform(({ message }) => message),
  z.object({ error: z.string() }).transform(({ error }) => error),
]);

/** Two families, by source: FastAPI's `detail`, and the agent guide's `error`, `message`, `details`. */
const errorSchema = z.object({
  detail: optional(
    z.union([
      z.string(),
      z.array(z.object({ loc: optional(z.array(z.union([z.string(), z.number()]))), msg: optional(z.string()) })),
    ]),
  ),
  error: optional(z.string()),
  message: optional(z.string()),
  retry_after: optional(z.union([z.number(), z.string()])),
  details: optional(z.object({ retry_after: optional(z.union([z.number(), z.string()])) })),
});

/** "0.5–2 s with backoff"; the transport lengthens it. */
const pollAfterMs = 500;

export const bfl: Adapter = {
  id: "bfl",
  name: "Black Forest Labs",
  settings: {
    keyVariable: "BFL_API_KEY",
    baseUrlVariable: "BFL_BASE_URL",
    defaultBaseUrl: "https://api.bfl.ai/v1",
  },
  authorize: (credential) => ({ "x-key": credential }),
  inlineImageFields: [],
  // A task is polled at the cluster that runs it, e.g. `api.us1.bfl.ai`. Pictures come from other hosts, without the key.
  ownOrigins: ["https://*.bfl.ai"],
  maxConcurrent: (model) => (model === "flux-kontext-max" ? 6 : 24),

  submit: (job) => ({
    method: "POST",
    url: `/${encodeURIComponent(job.model)}`,
    body: { kind: "json", value: { ...job.parameters } },
  }),

  probe: () => ({ method: "GET", url: "/credits" }),

  // Refusals and failed tasks are answered with 200 as well: the task's `status` decides.
  read(reply, _job, context) {
    const task: Task = taskSchema.safeParse(reply.body.kind === "json" ? reply.body.value : undefined).data ?? {};
    if (reply.status >= 200 && reply.status <= 202) return readTask(task, reply, context.baseUrl);
    if (reply.purpose === "submit" || reply.pending === undefined) return readFailure(reply);
    // With which status BFL answers for a task that it does not have is not documented.
    if (task.status === "Task not found") return readTask(task, reply, context.baseUrl);
    // Anything else says nothing about the task, which runs on.
    return { ...reply.pending, afterMs: retryAfterMs(reply.headers) ?? pollAfterMs };
  },
};

function readTask(task: Task, reply: Reply, baseUrl: string): Step {
  const upstreamId = task.id ?? reply.pending?.upstreamId;
  switch (task.status ?? (task.polling_url ? "Pending" : undefined)) {
    case "Pending":
      return readPending(task, reply, baseUrl);
    case "Ready": {
      const url = task.result?.sample;
      if (url) return { kind: "done", images: [{ source: { url } }], ...(upstreamId && { upstreamId }) };
      const message = `BFL's task is ready without a link to its picture: ${describe(reply.body)}.`;
      return failed("contract_changed", message, { upstreamId });
    }
    case "Request Moderated":
      return refused("Black Forest Labs' moderation refused the request (Request Moderated).", task, upstreamId);
    case "Content Moderated":
      return refused("Black Forest Labs' moderation withheld the picture (Content Moderated).", task, upstreamId);
    case "Error": {
      const message = task.error || wordsSchema.safeParse(task.details).data || "The task failed; BFL gives no reason.";
      return failed("upstream_error", message, { upstreamId });
    }
    // Results are kept for a short time only: the picture may have been made and billed, so nothing may be resent.
    case "Task not found":
      return failed("contract_changed", "BFL does not know its own task (Task not found).", { upstreamId });
    case undefined: {
      const message = `BFL answered ${reply.status} without a readable task: ${describe(reply.body)}.`;
      return failed("contract_changed", message, { upstreamId });
    }
    default:
      return failed("contract_changed", `BFL reports a task status ${nameOf(task.status ?? "")}.`, { upstreamId });
  }
}

function readPending(task: Task, reply: Reply, baseUrl: string): Step {
  // A look at the task names no URL: the same call once more.
  if (reply.pending !== undefined) return reply.pending;
  const { id } = task;
  if (!id) return failed("contract_changed", `BFL's task has no readable id: ${describe(reply.body)}.`);
  const costUsd = usdOf(task.cost);
  return {
    kind: "pending",
    upstreamId: id,
    poll: ownCall(bfl, "GET", task.polling_url, `/get_result?id=${id}`, baseUrl),
    afterMs: pollAfterMs,
    finalStatuses: true,
    ...(costUsd !== undefined && { costUsd }),
  };
}

function refused(message: string, task: Task, upstreamId: string | undefined): Step {
  const categories = moderationSchema.safeParse(task.details).data?.["Moderation Reasons"];
  return failed("refused", message, { categories, upstreamId });
}

/** One credit is one cent. Exact to the nano-dollar; a JSON number's own noise beyond that is rounded away. */
function usdOf(credits: number | null | undefined): string | undefined {
  const nanos = Math.round((credits ?? Number.NaN) * 1e7);
  if (!Number.isSafeInteger(nanos) || nanos < 0) return undefined;
  const digits = String(nanos).padStart(10, "0");
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`.replace(/\.?0+$/, "");
}

function readFailure(reply: Reply): Step {
  const { status, headers, body } = reply;
  const error = body.kind === "json" ? errorSchema.safeParse(body.value).data : undefined;
  const first = Array.isArray(error?.detail) ? error.detail[0] : undefined;
  const detail = Array.isArray(error?.detail) ? error.detail.flatMap(({ msg }) => msg || []).join("; ") : error?.detail;
  const message = detail || error?.message || error?.error || describeReply(reply);
  const retryMs = secondsToMs(error?.retry_after ?? error?.details?.retry_after) ?? retryAfterMs(headers);

  // The endpoint is the model.
  if (status === 404 && reply.purpose === "submit" && detail) return failed("model_unavailable", message);
  if (status === 404)
    return failed("contract_changed", `${describeReply(reply)}; is the base URL right (it ends in /v1)?`);
  if (status === 400 || status === 422) {
    // `["body","width"]`, and `["body","images",0]` for a part of a list.
    const field = first?.loc?.find((part) => part !== "body");
    return failed("invalid_request", message, { param: field === undefined ? undefined : String(field) });
  }
  return failedByStatus(reply, message, { retryAfterMs: retryMs });
}
