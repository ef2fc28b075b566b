/** The event streams of upstream-apis.md §2.5, for generations and edits. */
import type { StreamEvent } from "./double.ts";
import { errorEventOf, type OpenAiError } from "./openai-errors.ts";
import { eventText } from "./wire.ts";

/** How streams are told; settable on a double at any time. */
export interface StreamHabits {
  /** A pause before every event, the first too. Default 0. */
  eventDelayMs: number;
  /** Whether `data: [DONE]` ends the stream. Default false: published examples show none (§2.5). */
  doneMarker: boolean;
  /** The completed event comes first, the partial ones after it (§2.5: "may arrive before all partials"). */
  finalFirst: boolean;
  /** At most this many partial images are sent, however many were asked for: the picture was ready early. */
  partialsMade: number;
}

export interface StreamTale {
  name: "image_generation" | "image_edit";
  /** created_at, size, quality, background, output_format. */
  echo: Record<string, unknown>;
  /** Base64, in order. */
  partials: readonly string[];
  /** Undefined: the picture never comes. */
  final: { picture: string; usage: Record<string, unknown>; more: Record<string, unknown> } | undefined;
  /** After the first partial image, or at once: the vendor fails. */
  error?: OpenAiError | undefined;
}

export function eventsOf(tale: StreamTale, habits: StreamHabits): StreamEvent[] {
  const { name, echo, final, error } = tale;
  const partials = tale.partials.map((picture, index): StreamEvent => {
    const type = `${name}.partial_image`;
    return { text: eventText(type, { type, b64_json: picture, ...echo, partial_image_index: index }) };
  });
  if (error) return [...partials.slice(0, 1), { text: eventText("error", errorEventOf(error)) }];
  const completed: StreamEvent[] = [];
  if (final) {
    const type = `${name}.completed`;
    const data = { type, b64_json: final.picture, ...echo, usage: final.usage, ...final.more };
    completed.push({ text: eventText(type, data), billed: 1, usage: final.usage });
  }
  const done = habits.doneMarker ? [{ text: "data: [DONE]\n\n" }] : [];
  return [...(habits.finalFirst ? [...completed, ...partials] : [...partials, ...completed]), ...done];
}
