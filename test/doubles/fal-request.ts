/** One request in fal's queue and how it comes along (upstream-apis.md §6.1). Nothing here runs: status is a matter of the time or the polls that have passed. */
import type { InputPicture } from "./bfl-images.ts";
import type { Reply } from "./double.ts";
import type { FalApp } from "./fal-apps.ts";

export type FalStatus = "IN_QUEUE" | "IN_PROGRESS" | "COMPLETED";

/**
 * By the clock; or for that many polls of its status, whatever the clock says: the first finds it IN_QUEUE, the others
 * IN_PROGRESS (0: completed at once).
 */
export type FalProgress = { queueMs: number; runMs: number } | { pendingPolls: number };

export interface FalRequest {
  id: string;
  app: FalApp;
  body: unknown;
  pictures: InputPicture[];
  createdAtMs: number;
  progress: FalProgress;
  polls: number;
  /** What `response_url` answers in the end. */
  reply: Reply;
  /** Pictures the reply delivers. */
  made: number;
  /** Set when it was taken out of the queue. */
  cancelled: boolean;
}

export function statusAt(request: FalRequest, nowMs: number): FalStatus {
  if (request.cancelled) return "COMPLETED";
  const { progress, polls, createdAtMs } = request;
  if ("pendingPolls" in progress) {
    if (progress.pendingPolls === 0 || polls > progress.pendingPolls) return "COMPLETED";
    return polls < 2 ? "IN_QUEUE" : "IN_PROGRESS";
  }
  if (nowMs >= createdAtMs + progress.queueMs + progress.runMs) return "COMPLETED";
  return nowMs >= createdAtMs + progress.queueMs ? "IN_PROGRESS" : "IN_QUEUE";
}

/** Each picture delivered; nothing for an error [S for 5xx: "Failed requests that return 5xx status codes are not billed"]. */
export function billedAt(request: FalRequest, nowMs: number): number {
  return statusAt(request, nowMs) === "COMPLETED" && !request.cancelled ? request.made : 0;
}

/** The addresses name owner and app alone, whatever path the app's id has beyond them [S]. */
export function addressesOf(request: FalRequest, queueUrl: string): Record<string, string> {
  const [owner, app] = request.app.id.split("/");
  const responseUrl = `${queueUrl}/${owner}/${app}/requests/${request.id}`;
  return { response_url: responseUrl, status_url: `${responseUrl}/status`, cancel_url: `${responseUrl}/cancel` };
}

/** What `status_url` answers; with 202 until it is COMPLETED, then 200 [S]. */
export function shown(request: FalRequest, nowMs: number, queueUrl: string): Record<string, unknown> {
  const status = statusAt(request, nowMs);
  const runMs = "runMs" in request.progress ? request.progress.runMs : 0;
  const body = { status, request_id: request.id, ...addressesOf(request, queueUrl) };
  if (status === "IN_QUEUE") return { ...body, queue_position: 0 };
  if (status === "IN_PROGRESS") return { ...body, logs: null };
  return { ...body, logs: null, metrics: { inference_time: runMs / 1000 } };
}
