import { type Command, InvalidArgumentError, Option } from "commander";
import { readConfig } from "../config.ts";
import { CommandError, codeOf } from "./failure.ts";
import { type Delivery, generateHere } from "./generate-here.ts";
import { generateRemotely } from "./generate-remote.ts";
import { planOutput } from "./output.ts";
import { createProgress } from "./progress.ts";

const help = `
Without --url and --key the picture is made in this process, on the data folder of the server (AROUTER_DATA), which may
be running: with the model's provider where it is configured, else in the free sandbox. An interrupted run waits for its
picture, because the provider may bill it anyway; a second Ctrl-C leaves it to the next server on the folder.
With --url or --key a running server makes it, and the key decides: lr_test_ is the sandbox, lr_live_ is paid.

The paths of the files go to standard output, one a line; everything else goes to standard error.

Examples:
  arouter generate "a lighthouse at dawn"
  arouter generate "a lighthouse at dawn" -m openai/dall-e-2 -n 3 --size 512x512 -o lighthouse.png
  arouter generate "燈塔" -m black-forest-labs/flux-1-pro --param aspect_ratio=16:9 --param seed=7 -o pictures/
  arouter generate "a lighthouse at dawn" --sandbox --json
  AROUTER_API_KEY=lr_live_… arouter generate "a lighthouse at dawn" --url http://127.0.0.1:8787`;

interface GenerateOptions {
  model: string;
  output?: string;
  n?: number;
  size?: string;
  quality?: string;
  style?: string;
  param?: Array<[name: string, value: unknown]>;
  force?: true;
  sandbox?: true;
  live?: true;
  url?: string;
  key?: string;
  json?: true;
}

export function addGenerate(program: Command): void {
  program
    .command("generate")
    .description("Make pictures and write them to files.")
    .argument("<prompt>", "what the picture should show")
    .option("-m, --model <id>", "the model, see `arouter models`", "openai/dall-e-3")
    .option(
      "-o, --output <path>",
      "a file, or a folder; several pictures are numbered (default: named after the prompt)",
    )
    .option("-n <count>", "how many pictures", wholeNumber)
    .option("--size <WxH>", "e.g. 1024x1024")
    .option("--quality <quality>", "e.g. hd")
    .option("--style <style>", "e.g. vivid")
    .option("--param <name=value>", "any other parameter of the model; JSON, or else text (repeatable)", parameter)
    .option("--force", "replace files that exist")
    .addOption(new Option("--sandbox", "a free sandbox picture, whatever is configured").conflicts("live"))
    .option("--live", "the real provider, or an error; never the sandbox")
    .addOption(new Option("--url <url>", "use the server running there").env("AROUTER_URL"))
    .addOption(new Option("--key <key>", "API key for that server; safer in the environment").env("AROUTER_API_KEY"))
    .option("--json", "print JSON: id, model, provider, cost_usd, files, warnings")
    .addHelpText("after", help)
    .action(run);
}

async function run(prompt: string, options: GenerateOptions): Promise<void> {
  const body = requestBody(prompt, options);
  const remote = remoteOf(options);
  const output = await planOutput({
    output: options.output,
    namesakes: [prompt, options.model.split("/").at(-1) ?? ""],
    count: Math.max(1, options.n ?? 1),
    force: options.force ?? false,
  });
  const progress = createProgress(process.stderr);
  const deliver = async (delivery: Delivery): Promise<void> => {
    const files = await output.save(delivery.pictures).catch((error: unknown) => {
      const reason = codeOf(error) ?? (error as Error).message;
      throw new CommandError(
        `${delivery.id} succeeded, but its files could not be written (${reason}). For an hour the pictures are kept: ${delivery.kept}.`,
      );
    });
    for (const warning of delivery.warnings) progress.note(`Warning: ${warning}`);
    const { id, model, provider, cost, warnings } = delivery;
    progress.end(`Done in ${progress.elapsed()}: ${cost === "0" ? "free" : `$${cost}`} (${provider}, ${id})`);
    if (options.json) console.log(JSON.stringify({ id, model, provider, cost_usd: Number(cost), files, warnings }));
    else for (const file of files) console.log(file);
  };
  if (remote !== null) return deliver(await generateRemotely(body, { ...remote, progress }));
  await generateHere(body, {
    force: options.live ? "live" : options.sandbox ? "sandbox" : undefined,
    progress,
    deliver,
  });
}

function requestBody(prompt: string, options: GenerateOptions): Record<string, unknown> {
  const { model, n, size, quality, style } = options;
  const body: Record<string, unknown> = { model, prompt };
  for (const [name, value] of [...Object.entries({ n, size, quality, style }), ...(options.param ?? [])]) {
    if (value === undefined) continue;
    if (name === "n" && value !== n) throw new CommandError("Use -n for the number of pictures.");
    if (name === "response_format") throw new CommandError("'response_format' plays no part: pictures go to files.");
    if (name in body) throw new CommandError(`'${name}' is given twice.`);
    body[name] = value;
  }
  return body;
}

/** The server to use, or null to work in this process. */
function remoteOf({ url, key, sandbox, live }: GenerateOptions): { url: string; key: string } | null {
  // An empty variable means "not set", as everywhere.
  if (!url && !key) return null;
  if (sandbox || live) {
    throw new CommandError(
      "--sandbox and --live are for generating in this process. With --url or --key (AROUTER_URL, AROUTER_API_KEY) the key decides.",
    );
  }
  if (!key) throw new CommandError("--url (AROUTER_URL) needs a key: set --key or AROUTER_API_KEY.", "invalid_api_key");
  if (url) return { url, key };
  const { host, port } = readConfig(process.env);
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return { url: `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`, key };
}

function wholeNumber(value: string): number {
  if (!/^[1-9]\d{0,3}$/.test(value)) throw new InvalidArgumentError("It must be a whole number of at least 1.");
  return Number(value);
}

function parameter(text: string, given: GenerateOptions["param"] = []): GenerateOptions["param"] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write name=value.");
  const value = text.slice(at + 1);
  return [...given, [text.slice(0, at), jsonOr(value)]];
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
