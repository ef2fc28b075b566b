import type { Command } from "commander";
import { isEnded, listEndpoints, listModel, loadCatalogue, type Model, type Pricing } from "../catalogue/index.ts";
import { readConfig } from "../config.ts";
import { configureProviders, isConfigured } from "../generation/providers.ts";
import { systemClock } from "../ports.ts";
import { adapters } from "../providers/index.ts";
import { printTable } from "./store.ts";

export function addModels(program: Command): void {
  program
    .command("models")
    .description("List the models of the catalogue with their providers, prices and end dates.")
    .option("--json", "print JSON, with every parameter and price")
    .addHelpText(
      "after",
      `
One line for each provider of a model, in the catalogue's order. CONFIGURED tells whether its key and address are set; ENDS
is the last day on which the vendor serves the model. Prices are today's, in US dollars: per image, the cheapest and the
dearest; per megapixel (MP), the first and each further one; per million tokens of text and pictures in and of pictures out.

Examples:
  arouter models
  arouter models --json`,
    )
    .action(({ json }: { json?: true }) => {
      const config = readConfig(process.env);
      const { models } = loadCatalogue({ folder: config.modelsFolder });
      const today = new Date(systemClock.now()).toISOString();
      if (json) return console.log(JSON.stringify(models.map((model) => listModel(model, today))));
      const providers = configureProviders(adapters, config.providers);
      const isReady = (id: string, baseUrl: string | undefined): boolean => {
        const provider = providers.find(id);
        return provider !== undefined && isConfigured(provider, baseUrl);
      };
      printTable(
        ["MODEL", "PROVIDER", "CONFIGURED", "ENDS", "OPERATIONS", "PRICE"],
        models.flatMap((model) => rowsOf(model, today, isReady)),
      );
    });
}

/** The model's name and end stand in its first line. */
function rowsOf(
  model: Model,
  today: string,
  isReady: (id: string, baseUrl: string | undefined) => boolean,
): string[][] {
  const ends = `${model.lifecycle.endDate ?? ""}${isEnded(model, today) ? " (over)" : ""}`;
  return listEndpoints(model, today).map(({ provider_id, operations, pricing }, index) => [
    index === 0 ? model.id : "",
    provider_id,
    isReady(provider_id, model.routes[index]?.baseUrl) ? "yes" : "no",
    index === 0 ? ends : "",
    operations.join(", "),
    priceOf(pricing) + (pricing.charge === "reported" && isKnown(pricing) ? ", or what the provider reports" : ""),
  ]);
}

const isKnown = (pricing: Pricing): boolean => pricing.unit !== "image" || pricing.rows.length > 0;

/** Without a known price a route is not used, whatever its provider would report. */
function priceOf(pricing: Pricing): string {
  switch (pricing.unit) {
    case "image": {
      const sums = [...new Set(pricing.rows.map(({ usd }) => usd))].sort((one, other) => Number(one) - Number(other));
      if (!isKnown(pricing)) return "unknown";
      return `${sums.length === 1 ? sums[0] : `${sums[0]}–${sums.at(-1)}`} / image`;
    }
    case "megapixel": {
      const { first_usd: first, usd, input_usd: input } = pricing;
      const made = first === usd ? `${usd} / MP` : `${first} + ${usd} / MP`;
      return input === undefined || Number(input) === 0 ? made : `${made}, ${input} / MP given`;
    }
    case "token":
      return `${pricing.text_input_usd} text, ${pricing.image_input_usd} picture in, ${pricing.image_output_usd} out / 1M tokens`;
  }
}
