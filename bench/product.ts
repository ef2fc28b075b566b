/** ARouter itself, with its default settings, logs included; only the start differs: it tells the parent where it is. */
import { readConfig } from "../src/config.ts";
import { serve } from "../src/serve.ts";
import { given, ready } from "./child.ts";

let printed = "";
const server = await serve(
  readConfig({
    PORT: "0",
    AROUTER_DATA: given("BENCH_FOLDER"),
    OPENAI_API_KEY: "sk-bench",
    OPENAI_BASE_URL: `${given("BENCH_UPSTREAM")}/v1`,
    // The runtime has read it already; the product only needs to know.
    BUN_CONFIG_MAX_HTTP_REQUESTS: process.env.BUN_CONFIG_MAX_HTTP_REQUESTS,
  }),
  { print: (text) => (printed += text) },
);
process.on("SIGTERM", () => void server.stop().then(() => process.exit(0)));

ready({ origin: server.url, key: /lr_live_\w+/.exec(printed)?.[0] });
