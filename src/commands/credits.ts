import { type Command, InvalidArgumentError } from "commander";
import { addCredit, type Balance, readBalance } from "../accounts/ledger.ts";
import { formatUsd, type Nanos, parseUsd, toUsdNumber } from "../money.ts";
import { withParts } from "./store.ts";

export function addCredits(program: Command): void {
  const credits = program
    .command("credits")
    .description("The account's credit. It is only counted, unless AROUTER_CREDIT=required.");

  credits
    .command("add")
    .argument("<amount>", "US dollars, e.g. 25 or 0.50; a negative amount takes credit back", amount)
    .description("Add credit to the account. Works while a server runs.")
    .option("--note <text>", "what it is for; shown in the transactions")
    .option("--json", "print JSON")
    .action(async (added: Nanos, { note, json }: { note?: string; json?: true }) => {
      const balance = await withParts(async (parts) => {
        await addCredit(parts.database, added, note ?? null, parts);
        return readBalance(parts.database);
      });
      if (json) return console.log(JSON.stringify(balanceJson(balance)));
      const done = added < 0n ? `$${formatUsd(-added)} is taken back.` : `$${formatUsd(added)} is added.`;
      console.log(`${done} The balance is $${formatUsd(balance.balance)}.`);
    });

  credits
    .command("show")
    .description("Show the account's balance: credits less charges.")
    .option("--json", "print JSON")
    .action(async ({ json }: { json?: true }) => {
      const balance = await withParts(({ database }) => readBalance(database));
      if (json) return console.log(JSON.stringify(balanceJson(balance)));
      const { held, available } = balance;
      console.log(
        `$${formatUsd(balance.balance)}; running requests hold $${formatUsd(held)}, which leaves $${formatUsd(available)}.`,
      );
    });
}

function balanceJson({ balance, held, available }: Balance) {
  return {
    balance: toUsdNumber(balance),
    currency: "USD",
    held: toUsdNumber(held),
    available: toUsdNumber(available),
  };
}

/** Beyond this the account's column would overflow. */
const mostNanos = 1_000_000_000n * 1_000_000_000n;

function amount(value: string): Nanos {
  let nanos: Nanos;
  try {
    nanos = parseUsd(value);
  } catch {
    throw new InvalidArgumentError("Use US dollars with at most nine decimals, e.g. 25 or 0.50.");
  }
  if (nanos === 0n) throw new InvalidArgumentError("It must not be zero.");
  if (nanos > mostNanos || nanos < -mostNanos) throw new InvalidArgumentError("It must be within a billion.");
  return nanos;
}
