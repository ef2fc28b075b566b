import { type Command, InvalidArgumentError, Option } from "commander";
import { z } from "zod";
import { createKey, deleteKey, disableKey, findKey, type Key, listKeys } from "../accounts/keys.ts";
import type { KeyKind } from "../database.ts";
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

  keys
    .command("create")
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
    .action(
      async ({ name, type, expiresAt, json }: { name: string; type: KeyKind; expiresAt?: number; json?: true }) => {
        const { key, secret } = await withParts((parts) =>
          createKey(parts.database, { name, kind: type, expiresAt: expiresAt ?? null }, parts),
        );
        if (json) console.log(JSON.stringify({ key: secret, ...keyJson(key) }));
        else console.log(`${secret}\n\nThis is the only time the key is shown. Hash: ${key.hash}`);
      },
    );

  keys
    .command("list")
    .description("List all keys, newest first.")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  arouter keys list\n  arouter keys list --json")
    .action(async ({ json }: { json?: true }) => {
      const all = await withParts((parts) => listKeys(parts.database));
      if (json) return console.log(JSON.stringify(all.map(keyJson)));
      if (all.length === 0) return console.log("No keys yet. Make one: arouter keys create --name NAME");
      printTable(
        ["NAME", "TYPE", "KEY", "STATE", "CREATED", "HASH"],
        all.map((key) => [
          key.name,
          key.kind,
          key.label,
          stateOf(key),
          new Date(key.created_at).toISOString(),
          key.hash,
        ]),
      );
    });

  change("disable", "Disable a key at once; requests with it are refused.", disableKey, "disabled");
  change("delete", "Delete a key for good; what it made stays in the reports.", deleteKey, "deleted");

  function change(
    command: "disable" | "delete",
    description: string,
    act: typeof disableKey,
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
          await act(parts.database, found.hash, parts.clock);
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

function keyJson(key: Key) {
  return {
    hash: key.hash,
    name: key.name,
    label: key.label,
    type: key.kind,
    disabled: key.disabled !== 0,
    created_at: new Date(key.created_at).toISOString(),
    expires_at: key.expires_at === null ? null : new Date(key.expires_at).toISOString(),
  };
}

function stateOf(key: Key): string {
  if (key.disabled !== 0) return "disabled";
  return key.expires_at !== null && key.expires_at <= Date.now() ? "expired" : "active";
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
