/** Reading points in time as people write them. */

const pattern = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(Z|[+-]\d{2}:\d{2})?$/;

/** ISO 8601, a date or a date with a time, UTC unless it says otherwise → Unix milliseconds; null for anything else. */
export function parseIsoTime(text: string): number | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const [, date = "", time = "T00:00", zone = "Z"] = match;
  const day = Date.parse(`${date}T00:00Z`);
  // The runtime reads the 30th of February as the 2nd of March.
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return null;
  const milliseconds = Date.parse(`${date}${time}${zone}`);
  return Number.isNaN(milliseconds) ? null : milliseconds;
}
