/** Reading a request's body into its record. */
import type { IncomingMessage } from "node:http";
import type { RecordedRequest } from "./double.ts";

export async function readBody(request: RecordedRequest, incoming: IncomingMessage): Promise<void> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
  } catch {
    request.outcome = "aborted";
  }
  request.rawBody = new Uint8Array(Buffer.concat(chunks));
  const type = request.headers["content-type"] ?? "";
  try {
    if (/^application\/json\b/i.test(type)) request.body = JSON.parse(new TextDecoder().decode(request.rawBody));
    if (/^multipart\/form-data\b/i.test(type)) request.body = await formFields(request.rawBody, type);
  } catch {
    // What does not parse is recorded as undefined; what to answer is the vendor's affair.
  }
}

async function formFields(body: Uint8Array, contentType: string): Promise<Record<string, unknown>> {
  const form = await new Response(body, { headers: { "content-type": contentType } }).formData();
  const fields: Record<string, unknown> = {};
  for (const name of new Set(form.keys())) {
    const values = form.getAll(name);
    fields[name] = values.length === 1 ? values[0] : values;
  }
  return fields;
}
