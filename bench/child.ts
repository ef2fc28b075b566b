/** What every process of the benchmark does beside its work: say that it is ready, and never outlive its parent. */

const longestLifeMs = 15 * 60_000;

/** @param message whatever the parent needs to know, e.g. the address */
export function ready(message: object): void {
  process.on("disconnect", () => process.exit(0));
  setTimeout(() => process.exit(1), longestLifeMs);
  process.send?.(message);
}

/** A setting that the parent always gives. */
export function given(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set; start this through bench/run.ts`);
  return value;
}
