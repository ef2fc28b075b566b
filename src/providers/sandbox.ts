/** The built-in provider: pictures without network or money, for every model; plays every failure on demand. */
import { z } from "zod";
import { type Adapter, InlineImage, type Step } from "./provider.ts";
import { answerSandboxCall } from "./sandbox/server.ts";

const failure = z.object({ error: z.enum(["refused", "rate_limited", "failed"]), message: z.string() });
const nothing = z.object({ images: z.array(z.never()) });

export const sandbox: Adapter = {
  id: "sandbox",
  name: "ARouter sandbox",
  settings: null,
  inlineImageFields: [],
  authorize: () => ({}),
  submit: (job) => ({
    method: "POST",
    url: "/draw",
    body: { kind: "json", value: { model: job.model, ...job.parameters } },
  }),
  read(reply): Step {
    const upstreamId = reply.headers["x-request-id"];
    const identified = upstreamId === undefined ? {} : { upstreamId };
    if (reply.body.kind === "image") {
      return { kind: "done", images: [{ source: new InlineImage(reply.body.image.index) }], ...identified };
    }
    const body = reply.body.kind === "json" ? reply.body.value : null;
    if (nothing.safeParse(body).success) return { kind: "done", images: [], ...identified };
    const failed = failure.safeParse(body);
    if (!failed.success) {
      return {
        kind: "failed",
        failure: { class: "contract_changed", message: `status ${reply.status} without a known body` },
        ...identified,
      };
    }
    const { error, message } = failed.data;
    switch (error) {
      case "refused":
        return { kind: "failed", failure: { class: "refused", message }, ...identified };
      case "rate_limited": {
        const retryAfterMs = Number(reply.headers["retry-after"]) * 1000;
        return { kind: "failed", failure: { class: "rate_limited", message, retryAfterMs }, ...identified };
      }
      case "failed":
        return { kind: "failed", failure: { class: "upstream_error", message }, ...identified };
    }
  },
  hangUpIsFree: true,
  local: answerSandboxCall,
};
