/** One prediction of Replicate's and how it comes along (upstream-apis.md §4.1). Nothing here runs: status is a matter of the time or the polls that have passed. */
import type { ReplicateModel } from "./replicate-schemas.ts";

export type Status = "starting" | "processing" | "succeeded" | "failed" | "canceled" | "aborted";

/** How a prediction ends: by the clock, or at the nth poll (0: at once) whatever the clock says. */
export type Progress = { startMs: number; runMs: number } | { polls: number };

export type Ending = { status: "succeeded" } | { status: "failed"; error: string };

export interface Prediction {
  id: string;
  model: ReplicateModel;
  /** `hidden` for official models [S]. */
  version: string;
  input: Record<string, unknown>;
  createdAtMs: number;
  progress: Progress;
  polls: number;
  ending: Ending;
  deadlineMs: number | undefined;
  canceled: { atMs: number; afterStart: boolean } | undefined;
  /** Pictures asked for, and links to those made. */
  asked: number;
  links: string[];
  removed: boolean;
}

export function isOver(status: Status): boolean {
  return status !== "starting" && status !== "processing";
}

/** When the clock brings the prediction from one status to the next; polls never do. */
export function moments(prediction: Prediction): { startedAtMs: number; endedAtMs: number } {
  const { progress, createdAtMs } = prediction;
  if ("polls" in progress) {
    const startedAtMs = progress.polls === 0 || prediction.polls > 0 ? createdAtMs : Number.POSITIVE_INFINITY;
    return { startedAtMs, endedAtMs: prediction.polls >= progress.polls ? createdAtMs : Number.POSITIVE_INFINITY };
  }
  const startedAtMs = createdAtMs + progress.startMs;
  return { startedAtMs, endedAtMs: startedAtMs + progress.runMs };
}

/**
 * The user's cancel gives `canceled`; a deadline gives `aborted` before the start and `canceled` after it
 * [S: replicate.com/docs/topics/predictions/lifecycle].
 */
export function statusAt(prediction: Prediction, nowMs: number): Status {
  if (prediction.canceled) return "canceled";
  const { startedAtMs, endedAtMs } = moments(prediction);
  const { deadlineMs } = prediction;
  if (deadlineMs !== undefined && deadlineMs <= nowMs && deadlineMs < endedAtMs) {
    return deadlineMs < startedAtMs ? "aborted" : "canceled";
  }
  if (nowMs >= endedAtMs) return prediction.ending.status;
  return nowMs >= startedAtMs ? "processing" : "starting";
}

/**
 * Pictures charged for: those delivered; all that were asked for when canceled while running; none when aborted
 * [S: replicate.com/changelog/2025-10-16-prediction-deadlines, "only charged for … canceled … not for aborted"].
 */
export function billedAt(prediction: Prediction, nowMs: number): number {
  const status = statusAt(prediction, nowMs);
  if (status === "succeeded") return prediction.links.length;
  if (status !== "canceled") return 0;
  return prediction.canceled?.afterStart === false ? 0 : prediction.asked;
}

/** The prediction as the API shows it. All keys are always there [S]. */
export function shown(prediction: Prediction, nowMs: number, apiUrl: string): Record<string, unknown> {
  const { id, model, createdAtMs, removed, deadlineMs, ending } = prediction;
  const status = statusAt(prediction, nowMs);
  const { startedAtMs, endedAtMs } = moments(prediction);
  const over = isOver(status);
  const hasStarted = status !== "aborted" && startedAtMs <= nowMs;
  const completedAtMs = prediction.canceled?.atMs ?? Math.min(endedAtMs, deadlineMs ?? endedAtMs);
  const seconds = (fromMs: number) => Math.max(0, completedAtMs - fromMs) / 1000;
  const single = model.output === "string";
  const output = single ? (prediction.links[0] ?? null) : prediction.links;
  return {
    id,
    model: model.id,
    version: prediction.version,
    input: removed ? {} : prediction.input,
    output: status === "succeeded" && !removed ? output : null,
    error: status === "failed" && ending.status === "failed" ? ending.error : null,
    logs: "",
    status,
    source: "api",
    data_removed: removed,
    created_at: isoTime(createdAtMs),
    started_at: hasStarted ? isoTime(startedAtMs) : null,
    completed_at: over ? isoTime(completedAtMs) : null,
    ...(deadlineMs === undefined ? {} : { deadline: isoTime(deadlineMs) }),
    metrics: over && hasStarted ? { predict_time: seconds(startedAtMs), total_time: seconds(createdAtMs) } : {},
    urls: {
      get: `${apiUrl}/predictions/${id}`,
      cancel: `${apiUrl}/predictions/${id}/cancel`,
      web: `https://replicate.com/p/${id}`,
    },
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

/** Seconds of `Prefer: wait` (60) or `wait=N`. The published pattern admits 99; 60 is the most that is waited [S]. */
export function preferredWait(header: string | undefined): number | undefined | "malformed" {
  if (header === undefined) return undefined;
  const match = /^wait(?:=([1-9][0-9]?))?$/.exec(header);
  return match ? Math.min(60, Number(match[1] ?? 60)) : "malformed";
}

/** Seconds of `Cancel-After`: `90s`, `5m`, `1h30m45s`; at least 5 s [S]. */
export function cancelAfter(header: string | undefined): number | undefined | "malformed" {
  if (header === undefined) return undefined;
  const match = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(header);
  if (!match) return "malformed";
  const seconds = Number(match[1] ?? 0) * 3600 + Number(match[2] ?? 0) * 60 + Number(match[3] ?? 0);
  return seconds < 5 ? "malformed" : seconds;
}
