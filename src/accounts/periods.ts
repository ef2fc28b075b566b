/** When a spending limit starts anew: midnight UTC, Monday midnight UTC, the first of the month midnight UTC. */
import type { LimitReset } from "../database.ts";

const dayMs = 86_400_000;

/** The beginning of the UTC day, Unix milliseconds. */
export function dayStart(now: number): number {
  return now - (now % dayMs);
}

/** The beginning of the current period; 0 for a limit that never starts anew. */
export function periodStart(reset: LimitReset | null, now: number): number {
  const day = dayStart(now);
  const date = new Date(day);
  switch (reset) {
    case null:
      return 0;
    case "daily":
      return day;
    case "weekly":
      return day - ((date.getUTCDay() + 6) % 7) * dayMs;
    case "monthly":
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), 1);
  }
}

/** When the next period begins; null for a limit that never starts anew. */
export function nextPeriodStart(reset: LimitReset | null, now: number): number | null {
  const start = periodStart(reset, now);
  const date = new Date(start);
  switch (reset) {
    case null:
      return null;
    case "daily":
      return start + dayMs;
    case "weekly":
      return start + 7 * dayMs;
    case "monthly":
      return Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 1);
  }
}
