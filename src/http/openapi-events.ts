/** The events of a stream, and the event of a webhook. */
import { list, object, ref, type Schema, text } from "./openapi-schemas.ts";

const seconds: Schema = { type: "integer", description: "Unix seconds." };
const count: Schema = { type: "integer", minimum: 0 };
const picture: Record<string, Schema> = {
  b64_json: { type: "string", contentEncoding: "base64", description: "The file's bytes." },
  created_at: seconds,
  size: text("`WIDTHxHEIGHT` of this very picture."),
  quality: text("As the vendor says it, else `auto`."),
  background: text("As the vendor says it, else `auto`."),
  output_format: text("`png`, `jpeg`, `webp`, `gif` or `svg`."),
};
const types = (part: string): Schema => ({ enum: [`image_generation.${part}`, `image_edit.${part}`] });

export const eventSchemas: Record<string, Schema> = {
  PartialImageEvent: {
    ...object({
      type: types("partial_image"),
      ...picture,
      partial_image_index: { ...count, description: "From 0." },
    }),
    description: "A preview.",
  },
  CompletedEvent: {
    ...object(
      {
        type: types("completed"),
        ...picture,
        usage: {
          ...object({
            total_tokens: count,
            input_tokens: count,
            output_tokens: count,
            input_tokens_details: object({ image_tokens: count, text_tokens: count }),
          }),
          description: "Tokens; zeros where the vendor counts none.",
        },
        arouter: {
          ...object(
            {
              generation_id: text("`gen-…`"),
              model: text("The model that answered."),
              provider: text("The provider that answered."),
              cost_usd: { type: "number", description: "What it cost." },
              warnings: list(text()),
              revised_prompt: text("The prompt really used, only where the vendor says so."),
            },
            ["revised_prompt"],
          ),
          description: "What other answers have in their headers.",
        },
        safety_identifier: text("Only where the vendor echoes it."),
      },
      ["safety_identifier"],
    ),
    description: "The picture, the last event of a stream.",
  },
  ErrorEvent: {
    ...object({
      type: { const: "error" },
      error: object({
        message: text(),
        type: text(),
        param: { type: ["string", "null"] },
        code: ref("ErrorCode"),
      }),
    }),
    description: "A failure after the stream has begun; the last event.",
  },
  WebhookEvent: {
    ...object({
      type: { enum: ["generation.succeeded", "generation.failed", "generation.canceled"] },
      timestamp: { type: "string", format: "date-time", description: "When the generation ended." },
      data: ref("Generation"),
    }),
    description: "What is sent to a webhook; `data` is the generation at the moment of sending.",
  },
};
