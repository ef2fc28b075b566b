import type { Model } from "./model.ts";

/**
 * Whether the vendor has ended the model. `todayIso` is an ISO date or timestamp in UTC. The end date itself still counts
 * as served: vendors name no hour, and a refusal without a call needs a date in the past.
 */
export function isEnded(model: Model, todayIso: string): boolean {
  const endDate = model.lifecycle.endDate;
  return endDate !== null && todayIso.slice(0, 10) > endDate;
}
