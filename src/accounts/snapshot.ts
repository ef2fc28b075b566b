/** Several queries over one moment, so that their figures agree with each other while the router goes on working. */
import type { Database } from "../database.ts";

/**
 * Runs `work` on one unchanging view of the database, opened for this: beside a router that works on another handle it
 * takes no write lock and holds up nobody. Not for a router's own handle, whose requests would wait for the end.
 */
export function onSnapshot<T>(database: Database, work: (snapshot: Database) => Promise<T>): Promise<T> {
  if (database.isTransaction) return work(database);
  // SQLite's isolation is always that of a snapshot; Postgres has to be asked.
  return database.transaction().setAccessMode("read only").setIsolationLevel("repeatable read").execute(work);
}
