#!/usr/bin/env bun
/** The `arouter` command. */
import { Command, CommanderError } from "commander";
import { addCredits } from "./commands/credits.ts";
import { addDoctor } from "./commands/doctor.ts";
import { explain } from "./commands/failure.ts";
import { addGenerate } from "./commands/generate.ts";
import { addKeys } from "./commands/keys.ts";
import { addLedger } from "./commands/ledger.ts";
import { addModels } from "./commands/models.ts";
import { addServe } from "./commands/serve.ts";
import { addUsage } from "./commands/usage.ts";
import { addWebhooks } from "./commands/webhooks.ts";
import { version } from "./version.ts";

const program = new Command("arouter")
  .description("One OpenAI-compatible endpoint in front of every image model.")
  .version(version)
  .showHelpAfterError("(run with --help for usage)")
  .addHelpText(
    "after",
    `
Examples:
  arouter serve
  arouter generate "a lighthouse at dawn" -o lighthouse.png
  arouter doctor`,
  )
  .exitOverride();
addServe(program);
addGenerate(program);
addKeys(program);
addCredits(program);
addModels(program);
addUsage(program);
addLedger(program);
addDoctor(program);
addWebhooks(program);

try {
  await program.parseAsync(process.argv);
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode);
  // What a person can act on is said in one line; a fault of ours shows where it lies.
  const explanation = explain(error);
  if (explanation === null) console.error("arouter: unexpected error:", error);
  else console.error(`arouter: ${explanation}`);
  process.exit(1);
}
