import type { Command } from "commander";
import { isEnded, listModel, loadCatalogue } from "../catalogue/index.ts";
import { readConfig } from "../config.ts";
import { systemClock } from "../ports.ts";
import { printTable } from "./store.ts";

export function addModels(program: Command): void {
  program
    .command("models")
    .description("List the models of the catalogue with their providers and end dates.")
    .option("--json", "print JSON, with every parameter and price")
    .addHelpText(
      "after",
      `
CONFIGURED tells whether a key of one of the model's providers is set; ENDS is the last day on which its vendor serves it.

Examples:
  arouter models
  arouter models --json`,
    )
    .action(({ json }: { json?: true }) => {
      const { modelsFolder, providers } = readConfig(process.env);
      const { models } = loadCatalogue(modelsFolder === undefined ? {} : { folder: modelsFolder });
      if (json) return console.log(JSON.stringify(models.map(listModel)));
      const today = new Date(systemClock.now()).toISOString();
      printTable(
        ["MODEL", "PROVIDERS", "CONFIGURED", "ENDS"],
        models.map((model) => [
          model.id,
          model.routes.map((route) => route.provider).join(", "),
          model.routes.some((route) => (providers[route.provider]?.credentials.length ?? 0) > 0) ? "yes" : "no",
          `${model.lifecycle.endDate ?? ""}${isEnded(model, today) ? " (over)" : ""}`,
        ]),
      );
    });
}
