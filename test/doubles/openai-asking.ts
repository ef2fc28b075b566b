/** Requests of edits and streams to the OpenAI and Azure doubles, for tests of anything that sits in front of them. */
import { clearPng, picture } from "./picture.ts";

type Value = string | File | File[];

/** A multipart body; a list becomes `name[]`, as the official clients write it. */
export function formOf(fields: Record<string, Value>): FormData {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (Array.isArray(value)) for (const file of value) form.append(`${name}[]`, file);
    else form.append(name, value);
  }
  return form;
}

export function pngFile(width = 64, height = 64, seed = 1): File {
  return fileOf(picture({ width, height, seed }), `fox-${seed}.png`);
}

export function maskFile(width = 64, height = 64): File {
  return fileOf(clearPng(width, height), "mask.png");
}

export function fileOf(bytes: Uint8Array, name: string, type = "image/png"): File {
  return new File([bytes as Uint8Array<ArrayBuffer>], name, { type });
}

export function dataUrl(bytes: Uint8Array, type = "image/png"): string {
  return `data:${type};base64,${bytes.toBase64()}`;
}

/** `body` is JSON unless it is a form. */
export function postEdit(
  double: { url: string; key: string },
  body: FormData | object,
  headers: Record<string, string> = {},
): Promise<Response> {
  return post(`${double.url}/images/edits`, { authorization: `Bearer ${double.key}`, ...headers }, body);
}

export function post(address: string, headers: Record<string, string>, body: FormData | object): Promise<Response> {
  if (body instanceof FormData) return fetch(address, { method: "POST", headers, body });
  const json = { "content-type": "application/json", ...headers };
  return fetch(address, { method: "POST", headers: json, body: JSON.stringify(body) });
}

export interface ReadEvent {
  /** Of the `event:` line; undefined where there is none. */
  name: string | undefined;
  /** Parsed JSON, or the text itself. */
  data: Record<string, unknown> | string;
}

/** The events of a stream, each as soon as it is whole. Throws what the connection throws. */
export async function* readEvents(response: Response): AsyncGenerator<ReadEvent> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk as Uint8Array, { stream: true });
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      yield eventOf(text.slice(0, end));
      text = text.slice(end + 2);
    }
  }
}

function eventOf(text: string): ReadEvent {
  const name = /^event: (.*)$/m.exec(text)?.[1];
  const data = /^data: (.*)$/m.exec(text)?.[1] ?? "";
  return { name, data: data.startsWith("{") ? (JSON.parse(data) as Record<string, unknown>) : data };
}
