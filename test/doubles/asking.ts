/** The shortest good request to each double, for tests and benchmarks of anything that sits in front of them. */
import type { OpenAiDouble } from "./openai.ts";
import type { ReplicateDouble } from "./replicate.ts";
import type { StabilityDouble } from "./stability.ts";

type Fields = Record<string, unknown>;

/** Any body, as JSON unless it is a text already. */
export function postOpenAi(double: OpenAiDouble, body: unknown, more: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${double.key}`, "content-type": "application/json", ...more.headers };
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return fetch(`${double.url}/images/generations`, { ...more, method: "POST", headers, body: text });
}

/** One small dall-e-2 picture, as a link. */
export function askOpenAi(double: OpenAiDouble, fields: Fields = {}, more: RequestInit = {}): Promise<Response> {
  return postOpenAi(double, { model: "dall-e-2", prompt: "a lighthouse", size: "256x256", ...fields }, more);
}

/** One raw picture from core. */
export function askStability(double: StabilityDouble, more: RequestInit = {}): Promise<Response> {
  const body = new FormData();
  body.set("prompt", "a lighthouse");
  const headers = { authorization: `Bearer ${double.key}`, ...more.headers };
  return fetch(`${double.url}/v2beta/stable-image/generate/core`, { ...more, method: "POST", headers, body });
}

/** One flux-schnell prediction. */
export function askReplicate(double: ReplicateDouble, input: Fields = {}, more: RequestInit = {}): Promise<Response> {
  const headers = { authorization: `Bearer ${double.key}`, "content-type": "application/json", ...more.headers };
  const body = JSON.stringify({ input: { prompt: "a lighthouse", ...input } });
  const path = "models/black-forest-labs/flux-schnell/predictions";
  return fetch(`${double.url}/${path}`, { ...more, method: "POST", headers, body });
}

export interface OpenAiPicture {
  url?: string;
  b64_json?: string;
  revised_prompt?: string;
}

export async function dataOf(response: Response): Promise<OpenAiPicture[]> {
  return ((await response.json()) as { data: OpenAiPicture[] }).data;
}

export async function linkOf(response: Response): Promise<string> {
  const [first] = await dataOf(response);
  if (!first?.url) throw new Error("no link");
  return first.url;
}

export interface OpenAiErrorBody {
  status: number;
  message: string;
  type: string;
  param: string | null;
  code: string | null;
}

export async function openAiErrorOf(response: Response): Promise<OpenAiErrorBody> {
  const { error } = (await response.json()) as { error: OpenAiErrorBody };
  return { ...error, status: response.status };
}

/** What becomes of an answer that is read to its end: its status and length, or the code of what went wrong. */
export async function read(promise: Promise<Response>): Promise<{ status?: number; bytes?: number; error?: unknown }> {
  let status: number | undefined;
  try {
    const response = await promise;
    status = response.status;
    return { status, bytes: (await response.arrayBuffer()).byteLength };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : error;
    return status === undefined ? { error: code } : { status, error: code };
  }
}
