import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { type KeyFigures, keyObject, listKeyFigures, readKeyFigures } from "../accounts/key-view.ts";
import { commandLine, createKey, deleteKey, findKey, type Key, updateKey } from "../accounts/keys.ts";
import type { KeyKind } from "../database.ts";
import { formatUsd } from "../money.ts";
import type { Parts } from "../parts.ts";
import { addLimitOptions, type LimitOptions, newKeyOf } from "./key-options.ts";
import { printTable, withParts } from "./store.ts";

export function addKeys(program: Command): void {
  const keys = program
    .command("keys")
    .description("Make, list, disable and delete API keys. Works while a server runs.")
    .addHelpText(
      "after",
      `
Changes act at once, also on a running server that uses the same data folder (AROUTER_DATA).

Examples:
  arouter keys create --name "web shop"
  arouter keys create --name reports --type management --json
  arouter keys list
  arouter keys disable "web shop"`,
    );

  addLimitOptions(keys.command("create"))
    .description("Make a key. Its secret is shown once, now.")
    .requiredOption("--name <name>", "what the key is for", nonEmpty)
    .addOption(
      new Option("--type <type>", "live: real providers; test: the free sandbox only; management: keys and reports")
        .choices(["live", "test", "management"])
        .default("live"),
    )
    .option("--expires-at <iso>", "when it stops working, e.g. 2027-01-31T00:00:00Z", isoTime)
    .option("--json", "print JSON")
    .addHelpText(
      "after",
      `
Examples:
  arouter keys create --name "web shop"
  arouter keys create --name trial --type test --expires-at 2027-01-31T12:00:00+08:00 --json`,
    )
    .action(async (options: { name: string; type: KeyKind; expiresAt?: number; json?: true } & LimitOptions) => {
      const { key, secret, object } = await withParts(async (parts) => {
        const made = await createKey(parts.database, newKeyOf(options, parts), commandLine, parts);
        const figures = await readKeyFigures(parts.database, made.key.hash, parts.clock.now());
        return { ...made, object: figures === undefined ? {} : keyObject(figures) };
      });
      if (options.json) console.log(JSON.stringify({ key: secret, ...object }));
      else console.log(`${secret}\n\nThis is the only time the key is shown. Hash: ${key.hash}`);
    });

  keys
    .command("list")
    .description("List all keys, newest first.")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  arouter keys list\n  arouter keys list --json")
    .action(async ({ json }: { json?: true }) => {
      const { all, now } = await withParts(async ({ database, clock }) => {
        const now = clock.now();
        return { all: (await listKeyFigures(database, { includeDisabled: true }, now)).keys, now };
      });
      if (json) return console.log(JSON.stringify(all.map(keyObject)));
      if (all.length === 0) return console.log("No keys yet. Make one: arouter keys create --name NAME");
      printTable(
        ["NAME", "TYPE", "KEY", "STATE", "USED", "LIMIT", "LEFT", "CREATED", "HASH"],
        all.map(({ key, usage, spend }) => [
          key.name,
          key.kind,
          key.label,
          stateOf(key, now),
          `$${formatUsd(usage)}`,
          limitOf({ key, spend }),
          spend.remaining === null ? "" : `$${formatUsd(spend.remaining)}`,
          new Date(key.created_at).toISOString(),
          key.hash,
        ]),
      );
    });

  change("disable", "Disable a key at once; requests with it are refused.", disable, "disabled");
  change("delete", "Delete a key for good; what it made stays in the reports.", remove, "deleted");

  function change(
    command: "disable" | "delete",
    description: string,
    act: (parts: Parts, hash: string) => Promise<unknown>,
    done: "disabled" | "deleted",
  ): void {
    keys
      .command(command)
      .argument("<hash-or-name>", "the key's hash, or its name where only one key has it")
      .description(description)
      .option("--json", "print JSON")
      .addHelpText("after", `\nExamples:\n  arouter keys ${command} "web shop"\n  arouter keys ${command} HASH --json`)
      .action(async (hashOrName: string, { json }: { json?: true }) => {
        const key = await withParts(async (parts) => {
          const found = await findKey(parts.database, hashOrName);
          await act(parts, found.hash);
          return found;
        });
        console.log(
          json
            ? JSON.stringify({ hash: key.hash, name: key.name, [done]: true })
            : `${key.name} (${key.label}) is ${done}.`,
        );
      });
  }
}

const disable = (parts: Parts, hash: string) => updateKey(parts.database, hash, { disabled: true }, commandLine, parts);
const remove = (parts: Parts, hash: string) => deleteKey(parts.database, hash, commandLine, parts);

function limitOf({ key, spend }: Pick<KeyFigures, "key" | "spend">): string {
  if (spend.limit === null) return "none";
  return `$${formatUsd(spend.limit)} ${key.limit_reset ?? "in all"}`;
}

function stateOf(key: Key, now: number): string {
  if (key.disabled !== 0) return "disabled";
  return key.expires_at !== null && key.expires_at <= now ? "expired" : "active";
}

function nonEmpty(value: string): string {
  if (value.trim() === "") throw new InvalidArgumentError("It must not be empty.");
  return value;
}

/** A time without an offset would mean another moment on every machine. */
const isoSchema = z.union([z.iso.datetime({ offset: true }), z.iso.date()]);

function isoTime(value: string): number {
  const time = isoSchema.safeParse(value);
  if (!time.success) throw new InvalidArgumentError("Use ISO 8601 with an offset, e.g. 2027-01-31T00:00:00Z.");
  return Date.parse(time.data);
}
