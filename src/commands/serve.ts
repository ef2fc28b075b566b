import type { Command } from "commander";
import { readConfig } from "../config.ts";
import { serve } from "../serve.ts";

export function addServe(program: Command): void {
  program
    .command("serve")
    .description("Start the server. Settings come from the environment or a .env file.")
    .action(async () => {
      const server = await serve(readConfig(process.env));
      const stop = () => void server.stop().then(() => process.exit(0));
      process.on("SIGTERM", stop);
      process.on("SIGINT", stop);
      await new Promise(() => {}); // until a signal ends it
    });
}
