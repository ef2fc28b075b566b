import type { Command } from "commander";
import { listModel, loadCatalogue } from "../catalogue/index.ts";
import { readConfig } from "../config.ts";
import { printTable } from "./store.ts";

export function addModels(program: Command): void {
  program
    .command("models")
    .description("List the models of the catalogue with their providers and end dates.")
    .option("--json", "print JSON, with every parameter and price")
    .action(({ json }: { json?: true }) => {
      const { modelsFolder, providers } = readConfig(process.env);
      const { models } = loadCatalogue(modelsFolder === undefined ? {} : { folder: modelsFolder });
      if (json) return console.log(JSON.stringify(models.map(listModel)));
      printTable(
        ["MODEL", "PROVIDERS", "CONFIGURED", "ENDS"],
        models.map((model) => [
          model.id,
          model.routes.map((route) => route.provider).join(", "),
          model.routes.some((route) => (providers[route.provider]?.credentials.length ?? 0) > 0) ? "yes" : "no",
          model.lifecycle.endDate ?? "",
        ]),
      );
    });
}
