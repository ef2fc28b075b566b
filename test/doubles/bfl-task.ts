/** One task of Black Forest Labs' and how it comes along (upstream-apis.md §5). Nothing here runs: status is a matter of the time or the polls that have passed. */
import type { Input } from "./bfl-fastapi.ts";
import type { InputPicture } from "./bfl-images.ts";
import type { BflModel, Size } from "./bfl-models.ts";

export const BFL_STATUSES = [
  "Pending",
  "Ready",
  "Request Moderated",
  "Content Moderated",
  "Error",
  "Task not found",
] as const;
export type BflStatus = (typeof BFL_STATUSES)[number];

/** How long a task is Pending: by the clock, or for that many polls whatever the clock says (0: over at once). */
export type BflProgress = { runMs: number } | { pendingPolls: number };

export interface BflEnding {
  status: Exclude<BflStatus, "Pending">;
  details: Record<string, unknown> | null;
}

export interface BflTask {
  id: string;
  model: BflModel;
  input: Input;
  pictures: InputPicture[];
  size: Size;
  /** In credits. */
  cost: number;
  createdAtMs: number;
  progress: BflProgress;
  polls: number;
  /** When the poll came that found it over; by the clock this is known beforehand. */
  lastPollAtMs: number;
  ending: BflEnding;
  seed: number;
  /** Made at creation, so that it is at hand when the task is over. Undefined: none was made. */
  bytes: Uint8Array | undefined;
  /** The signed link, once the task was seen Ready. */
  sample: string | undefined;
}

export function endedAtMs(task: BflTask): number {
  const { progress, createdAtMs } = task;
  if ("runMs" in progress) return createdAtMs + progress.runMs;
  if (progress.pendingPolls === 0) return createdAtMs;
  return task.polls > progress.pendingPolls ? task.lastPollAtMs : Number.POSITIVE_INFINITY;
}

export function isOver(task: BflTask, nowMs: number): boolean {
  return endedAtMs(task) <= nowMs;
}

export function notePoll(task: BflTask, nowMs: number): void {
  if (!isOver(task, nowMs)) task.lastPollAtMs = nowMs;
  task.polls += 1;
}

/** A moderated or failed task is not charged [S: help.bfl.ai, "Why did my request fail?"]. */
export function isBilled(task: BflTask, nowMs: number): boolean {
  return task.bytes !== undefined && isOver(task, nowMs);
}

/** The task as a poll shows it; always with HTTP 200. */
export function shown(task: BflTask, nowMs: number): Record<string, unknown> {
  const over = isOver(task, nowMs);
  const status: BflStatus = over ? task.ending.status : "Pending";
  const details = over ? task.ending.details : null;
  return {
    id: task.id,
    status,
    result: status === "Ready" ? resultOf(task) : null,
    progress: null,
    details,
    preview: null,
  };
}

function resultOf(task: BflTask): Record<string, unknown> | null {
  if (task.sample === undefined) return null;
  const startSeconds = task.createdAtMs / 1000;
  const endSeconds = endedAtMs(task) / 1000;
  return {
    sample: task.sample,
    prompt: task.input.prompt ?? "",
    seed: task.seed,
    start_time: startSeconds,
    end_time: endSeconds,
    duration: endSeconds - startSeconds,
  };
}

/** `[[moderate]]`, `[[moderate:output]]`, `[[fail:<a status>]]`, `[[fail:<any other text>]]`. */
export function endingAsked(word: string | undefined): BflEnding {
  const named = word?.startsWith("fail:") ? word.slice("fail:".length) : undefined;
  const status = BFL_STATUSES.find((one) => one === named);
  const isRefusal = status === "Request Moderated" || status === "Content Moderated";
  // The key is [M]; what stands in the list is [U].
  const details = { "Moderation Reasons": ["Derivative Works Filter"] };
  if (word === "moderate") return { status: "Request Moderated", details };
  if (word === "moderate:output") return { status: "Content Moderated", details };
  if (status !== undefined && status !== "Pending") return { status, details: isRefusal ? details : null };
  // How the words of an Error are given is [U].
  return named === undefined ? { status: "Ready", details: null } : { status: "Error", details: { error: named } };
}
