import type { Command } from "commander";
import { readConfig } from "../config.ts";
import { serve } from "../serve.ts";

export function addServe(program: Command): void {
  program
    .command("serve")
    .description("Start the server. Settings come from the environment or a .env file.")
    .addHelpText(
      "after",
      `
The first start on an empty data folder prints three keys and a curl line to try. SIGTERM and Ctrl-C finish what runs.
\`arouter doctor\` checks the settings.

Examples:
  arouter serve
  PORT=9000 AROUTER_DATA=/var/lib/arouter arouter serve
  OPENAI_API_KEY=sk-… HOST=0.0.0.0 arouter serve`,
    )
    .action(async () => {
      const starting = serve(readConfig(process.env));
      // Listening before the start is over: whoever reads the printed address may send a signal at once.
      const stop = () =>
        void starting
          .then((server) => server.stop())
          .then(() => process.exit(0))
          .catch(() => process.exit(1));
      process.on("SIGTERM", stop);
      process.on("SIGINT", stop);
      await starting;
      await new Promise(() => {}); // until a signal ends it
    });
}
