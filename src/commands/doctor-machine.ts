/** Doctor's look at this machine: folders, database, link secret, port. It makes no data folder and no database. */
import { access, constants, mkdtemp, readFile, rmdir, stat, statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { z } from "zod";
import { listKeys } from "../accounts/keys.ts";
import type { Config } from "../config.ts";
import { createLogger } from "../observe/log.ts";
import { openParts } from "../parts.ts";
import { version } from "../version.ts";
import { type Check, checkOf, messageOf } from "./doctor-check.ts";
import { codeOf } from "./failure.ts";

/** Pictures live an hour and take about 1.5 MB each: below this a busy hour may fill the disk. */
const littleBytes = 1 << 30;
const noneBytes = 32 << 20;
const minSecretCharacters = 16;
const askTimeoutMs = 2_000;

export async function checkMachine(config: Config): Promise<Check[]> {
  const folder = await checkDataFolder(config);
  const port = await checkPort(config);
  if (folder.status === "broken") return [folder, port];
  // One after the other: opening the database opens the image folder too.
  const images = await checkImages(config);
  return [
    folder,
    images,
    ...(images.status === "broken" ? [] : [await checkDatabase(config)]),
    await checkLinkSecret(config),
    port,
  ];
}

async function checkDataFolder({ dataFolder }: Config): Promise<Check> {
  const { ok, warning, broken } = checkOf("data_folder", "Data folder");
  const facts: Record<string, unknown> = { path: dataFolder };
  try {
    const existing = await nearestFolder(dataFolder);
    facts.exists = existing === dataFolder;
    if (facts.exists) await tryFolder(dataFolder);
    else await access(existing, constants.W_OK);
    const { bavail, bsize } = await statfs(existing);
    const free = bavail * bsize;
    facts.free_bytes = free;
    const message = `${dataFolder}, ${inGigabytes(free)} free${facts.exists ? "" : "; made at the first start"}`;
    const more = "Free some space, or set AROUTER_DATA to a folder on a larger disk.";
    if (free < noneBytes) return broken(message, more, facts);
    return free < littleBytes ? warning(message, more, facts) : ok(message, facts);
  } catch (error) {
    const reason = codeOf(error) ?? messageOf(error);
    return broken(
      `${dataFolder} cannot be written (${reason})`,
      "Set AROUTER_DATA to a folder that this user may write to.",
      facts,
    );
  }
}

const inGigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;

/** The folder itself, or the nearest one above it that exists. @throws when something else is in its place */
async function nearestFolder(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return null;
    throw error;
  });
  if (found === null) return nearestFolder(dirname(path));
  if (!found.isDirectory()) throw Object.assign(new Error(`${path} is not a folder`), { code: "ENOTDIR" });
  return path;
}

/** Permissions alone do not tell: the disk may be full or read-only. */
async function tryFolder(folder: string): Promise<void> {
  await rmdir(await mkdtemp(join(folder, "doctor-")));
}

async function checkDatabase(config: Config): Promise<Check> {
  const { ok, warning, broken } = checkOf("database", "Database");
  const path = join(config.dataFolder, "arouter.db");
  if (!(await exists(path))) return ok("made at the first start", { path, exists: false });
  const facts: Record<string, unknown> = { path, exists: true };
  try {
    // As every start does, this brings an older schema up to date. The catalogue has a check of its own.
    const parts = await openParts({ ...config, modelsFolder: undefined }, { logger: createLogger("silent") });
    try {
      const all = await listKeys(parts.database);
      const now = parts.clock.now();
      const usable = all.filter((key) => key.disabled === 0 && (key.expires_at === null || key.expires_at > now));
      const count = (kind: string) => usable.filter((key) => key.kind === kind).length;
      const keys = { live: count("live"), test: count("test"), management: count("management") };
      Object.assign(facts, { schema: "current", keys, unusable_keys: all.length - usable.length });
      const bootstrapped = await parts.database
        .selectFrom("facts")
        .select("name")
        .where("name", "=", "bootstrap_keys")
        .executeTakeFirst();
      if (all.length === 0 && config.bootstrapKeys && bootstrapped === undefined) {
        return ok("opens, schema current; the first start makes its keys", facts);
      }
      const counts = `${keys.live} live, ${keys.test} test, ${keys.management} management keys`;
      const message = `opens, schema current; ${counts}${all.length > usable.length ? `, ${all.length - usable.length} disabled or expired` : ""}`;
      if (keys.live + keys.test > 0) return ok(message, facts);
      return warning(message, "Make a key that can generate: arouter keys create --name NAME", facts);
    } finally {
      await parts.close();
    }
  } catch (error) {
    return broken(
      `${path} cannot be opened: ${messageOf(error)}`,
      "If a newer ARouter made it, run that one. If it is damaged, put a backup in its place.",
      facts,
    );
  }
}

async function checkImages({ dataFolder }: Config): Promise<Check> {
  const { ok, broken } = checkOf("images", "Image folder");
  const path = join(dataFolder, "images");
  if (!(await exists(path))) return ok("made at the first start", { path, exists: false });
  try {
    await tryFolder(path);
    return ok(`${path}, writable`, { path, exists: true });
  } catch (error) {
    const next = `Let this user write to ${path}.`;
    return broken(`${path} cannot be written (${codeOf(error) ?? messageOf(error)})`, next, { path, exists: true });
  }
}

async function checkLinkSecret({ dataFolder, linkSecrets }: Config): Promise<Check> {
  const { ok, warning, broken } = checkOf("link_secret", "Link secret");
  if (linkSecrets.length > 0) {
    const facts = { source: "AROUTER_LINK_SECRET", count: linkSecrets.length };
    if (linkSecrets.every((secret) => secret.length >= minSecretCharacters))
      return ok("set in AROUTER_LINK_SECRET", facts);
    const next = `Use at least ${minSecretCharacters} random characters, e.g. from: openssl rand -hex 32`;
    return warning("AROUTER_LINK_SECRET is short enough to be guessed", next, facts);
  }
  const path = join(dataFolder, "link-secret");
  const facts = { source: "file", path, exists: await exists(path) };
  if (!facts.exists) return ok("made at the first start", facts);
  try {
    const { mode } = await stat(path);
    if ((await readFile(path, "utf8")).trim().length < minSecretCharacters) {
      return broken(`${path} holds no secret`, "Remove the file; the next start makes another one.", facts);
    }
    if (process.platform !== "win32" && (mode & 0o077) !== 0) {
      return warning(`${path} can be read by other users`, `Run: chmod 600 ${path}`, facts);
    }
    return ok(`kept in ${path}`, facts);
  } catch (error) {
    return broken(`${path} cannot be read (${codeOf(error)})`, "Let this user read it, and no other.", facts);
  }
}

const health = z.object({ status: z.literal("ok"), version: z.string() });

async function checkPort({ host, port }: Config): Promise<Check> {
  const { ok, warning, broken } = checkOf("port", "Port");
  if (port === 0) return ok("any free one (PORT=0)", { host, port, state: "any" });
  const at = `${host}:${port}`;
  const refusal = await tryPort(host, port);
  if (refusal === null) return ok(`${at} is free`, { host, port, state: "free" });
  if (refusal !== "EADDRINUSE") {
    const next = "Set HOST to an address of this machine, and PORT to one that this user may open.";
    return broken(`${at} cannot be opened (${refusal})`, next, { host, port, state: "unusable" });
  }
  const running = health.safeParse(await askHealth(host, port)).data;
  if (running === undefined) {
    const next = "Set PORT to another one, or stop that program.";
    return broken(`another program uses ${at}`, next, { host, port, state: "taken" });
  }
  const facts = { host, port, state: "arouter", version: running.version };
  if (running.version === version) return ok(`ARouter ${running.version} answers on ${at}`, facts);
  const next = `Restart the server to run ${version} there.`;
  return warning(`ARouter ${running.version} answers on ${at}, this is ${version}`, next, facts);
}

/** @returns what answers to `GET /healthz`; null when that is not even JSON */
async function askHealth(host: string, port: number): Promise<unknown> {
  const local = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  try {
    const response = await fetch(`http://${local.includes(":") ? `[${local}]` : local}:${port}/healthz`, {
      redirect: "manual",
      signal: AbortSignal.timeout(askTimeoutMs),
    });
    return await response.json();
  } catch {
    // Whatever has the port and does not speak HTTP or JSON is no ARouter.
    return null;
  }
}

function tryPort(host: string, port: number): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", (error) => resolve(codeOf(error) ?? messageOf(error)));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
