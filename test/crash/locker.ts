/** Another program that holds the database's write lock. Arguments: the file, milliseconds. */
import { Database } from "bun:sqlite";

const [path = "", milliseconds = "0"] = process.argv.slice(2);
const file = new Database(path);
file.run("PRAGMA busy_timeout = 5000");
file.run("BEGIN IMMEDIATE");
console.log("locked");
await Bun.sleep(Number(milliseconds));
file.run("ROLLBACK");
file.close();
