/** Reading points in time as people write them. */

const pattern = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?(Z|[+-]\d{2}:\d{2})?$/;

/** ISO 8601, a date or a date with a time, UTC unless it says otherwise → Unix milliseconds; null for anything else. */
export function parseIsoTime(text: string): number | null {
  const match = pattern.exec(text);
  if (match === null) return null;
  const [, date = "", time = "T00:00", zone = "Z"] = match;
  if (!isDay(date)) return null;
  const milliseconds = Date.parse(`${date}${time}${zone}`);
  return Number.isNaN(milliseconds) ? null : milliseconds;
}

/** Whether `YYYY-MM-DD` is in the calendar: the runtime reads the 30th of February as the 2nd of March. */
export function isDay(date: string): boolean {
  const day = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(date);
}
