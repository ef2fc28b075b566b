/** The built-in provider: pictures without network or money, for every model; plays every failure on demand. */
import { z } from "zod";
import { type Adapter, type Failure, InlineImage, type Step, type StreamStep } from "./provider.ts";
import { answerSandboxCall } from "./sandbox/server.ts";

const failureBody = z.object({ error: z.enum(["refused", "rate_limited", "failed"]), message: z.string() });
const nothing = z.object({ images: z.array(z.never()) });
const preview = z.looseObject({ index: z.int().min(0), picture: z.instanceof(InlineImage) });
const completed = z.looseObject({ picture: z.instanceof(InlineImage).optional() });

export const sandbox: Adapter = {
  id: "sandbox",
  name: "ARouter sandbox",
  settings: null,
  // Of events; a picture that is all of a reply comes as itself.
  inlineImageFields: ["picture"],
  authorize: () => ({}),
  submit: ({ operation, model, parameters, stream }) => ({
    method: "POST",
    url: "/draw",
    body: {
      kind: "json",
      value: {
        operation,
        model,
        ...parameters,
        ...(stream === undefined ? {} : { stream: { partial_images: stream.partialImages } }),
      },
    },
  }),
  read(reply): Step {
    const identified = identity(reply.headers);
    if (reply.body.kind === "image") {
      return { kind: "done", images: [{ source: new InlineImage(reply.body.image.index) }], ...identified };
    }
    const body = reply.body.kind === "json" ? reply.body.value : null;
    if (nothing.safeParse(body).success) return { kind: "done", images: [], ...identified };
    const failure = failureOf(body, reply.headers) ?? unknownAnswer(`status ${reply.status} without a known body`);
    return { kind: "failed", failure, ...identified };
  },
  readEvent({ name, data, headers }): StreamStep {
    const identified = identity(headers);
    if (name === "preview") {
      const event = preview.safeParse(data);
      if (event.success) {
        const { index, picture, ...facts } = event.data;
        return { kind: "partial", image: picture, index, facts };
      }
    }
    if (name === "completed") {
      const event = completed.safeParse(data);
      if (event.success) {
        const { picture } = event.data;
        return { kind: "done", images: picture === undefined ? [] : [{ source: picture }], ...identified };
      }
    }
    const failure = (name === "error" ? failureOf(data, headers) : null) ?? unknownAnswer(`an unknown event '${name}'`);
    return { kind: "failed", failure, ...identified };
  },
  hangUpIsFree: true,
  local: answerSandboxCall,
};

function identity(headers: Readonly<Record<string, string>>): { upstreamId?: string } {
  const upstreamId = headers["x-request-id"];
  return upstreamId === undefined ? {} : { upstreamId };
}

const unknownAnswer = (message: string): Failure => ({ class: "contract_changed", message });

function failureOf(body: unknown, headers: Readonly<Record<string, string>>): Failure | null {
  const failed = failureBody.safeParse(body);
  if (!failed.success) return null;
  const { error, message } = failed.data;
  switch (error) {
    case "refused":
      return { class: "refused", message };
    case "rate_limited":
      return { class: "rate_limited", message, retryAfterMs: Number(headers["retry-after"]) * 1000 };
    case "failed":
      return { class: "upstream_error", message };
  }
}
