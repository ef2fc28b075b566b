/** `arouter generate` through a running server: an ordinary client of the HTTP API. */
import { z } from "zod";
import { inspect } from "../images/inspect.ts";
import { CommandError, codeOf } from "./failure.ts";
import type { Delivery } from "./generate-here.ts";
import { exitCodeOf, onStopSignal } from "./interrupt.ts";
import type { Progress } from "./progress.ts";

const answerSchema = z.object({ data: z.array(z.object({ b64_json: z.string() })).min(1) });
const errorSchema = z.object({ error: z.object({ message: z.string(), code: z.string().nullish() }) });

export interface RemoteOptions {
  /** Where the server is; with or without `/v1`, as OpenAI's clients have it. */
  url: string;
  key: string;
  progress: Progress;
}

/** @throws CommandError with the server's message and code */
export async function generateRemotely(
  body: Record<string, unknown>,
  { url, key, progress }: RemoteOptions,
): Promise<Delivery> {
  const origin = originOf(url);
  progress.show(`Generating with ${body.model} through ${origin}`);
  const stopListening = onStopSignal((signal) => {
    progress.note("Stopped waiting. The server finishes a generation that it has begun, and charges for it.");
    process.exit(exitCodeOf(signal));
  });
  try {
    const response = await post(origin, key, { ...body, response_format: "b64_json" });
    const text = await response.text().catch((error: unknown) => {
      throw new CommandError(`The connection to ${origin} was cut inside the answer (${codeOf(error) ?? "unknown"}).`);
    });
    if (!response.ok) throw errorOf(response, text, origin);
    const delivery = deliveryOf(response.headers, text, origin);
    if (delivery === null) throw new CommandError(`${origin} answers, but not like an ARouter. Is the URL right?`);
    return delivery;
  } finally {
    stopListening();
    progress.clear();
  }
}

function originOf(url: string): string {
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new CommandError(`'${url}' is not a URL. Expected e.g. http://127.0.0.1:8787.`);
  }
  return (parsed.origin + parsed.pathname).replace(/\/+$/, "").replace(/\/v1$/, "");
}

async function post(origin: string, key: string, body: unknown): Promise<Response> {
  const init: RequestInit & { timeout: boolean } = {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(body),
    // A key must not follow a redirect to another place.
    redirect: "manual",
    // The runtime's own limit would give up on a slow model; the server has its own.
    timeout: false,
  };
  try {
    return await fetch(`${origin}/v1/images/generations`, init);
  } catch (error) {
    const code = codeOf(error) ?? "unknown error";
    if (code === "ECONNRESET") {
      throw new CommandError(
        `The connection to ${origin} was cut (${code}). The generation may go on there, so do not repeat it blindly.`,
      );
    }
    throw new CommandError(
      `Nothing answers at ${origin} (${code}). Start a server with \`arouter serve\`, or leave out --url and --key (AROUTER_URL, AROUTER_API_KEY) to generate without one.`,
    );
  }
}

function errorOf(response: Response, text: string, origin: string): CommandError {
  const parsed = errorSchema.safeParse(jsonOf(text)).data?.error;
  if (parsed === undefined) return new CommandError(`${origin} answered HTTP ${response.status}. Is the URL right?`);
  const id = response.headers.get("x-arouter-generation-id");
  return new CommandError(`${parsed.message}${id === null ? "" : ` [${id}]`}`, parsed.code ?? null);
}

function deliveryOf(headers: Headers, text: string, origin: string): Delivery | null {
  const answer = answerSchema.safeParse(jsonOf(text)).data;
  const id = headers.get("x-arouter-generation-id");
  if (answer === undefined || id === null) return null;
  return {
    id,
    model: headers.get("x-arouter-model") ?? "",
    provider: headers.get("x-arouter-provider") ?? "",
    cost: headers.get("x-arouter-cost-usd") ?? "0",
    warnings: headers.get("x-arouter-warnings")?.split(", ") ?? [],
    pictures: answer.data.map(({ b64_json }) => {
      const bytes = Buffer.from(b64_json, "base64");
      const facts = inspect(bytes);
      return {
        contentType: facts === null || facts === "more" ? "" : facts.contentType,
        bytes: async () => bytes,
      };
    }),
    kept: `GET ${origin}/v1/images/generations/${id} gives links`,
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
