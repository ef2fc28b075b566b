/**
 * The OpenAI Images protocol (upstream-apis.md §2), which many servers speak with an accent of their own. An adapter for
 * one of them is a declared dialect; what the dialects share is here and in `openai-results.ts` and `openai-errors.ts`.
 */
import { InputFile } from "./input.ts";
import { type ErrorShape, readFailure } from "./openai-errors.ts";
import { readEvent, readSuccess } from "./openai-results.ts";
import type { Adapter, HttpCall, ProviderJob } from "./provider.ts";

type Parameters = Readonly<Record<string, unknown>>;

export interface Dialect {
  id: string;
  name: string;
  settings: NonNullable<Adapter["settings"]>;
  /** A header that carries the bare credential, instead of `Authorization: Bearer`. */
  keyHeader?: string;
  /** Where the calls live below the base URL, unless the base URL ends in it already. */
  pathPrefix?: string;
  /** Added to every call, without the question mark. */
  query?: string;
  /** Whether the server has `POST /images/edits`. */
  edits: boolean;
  /** Whether the server streams pictures as §2.5 has it. */
  streams: boolean;
  /** Sent where the route says nothing. */
  defaults?: Parameters;
  /** Fields of a call as this server wants them: moved, renamed or left out. */
  arrange?(fields: Parameters): Parameters;
  /** The field that this server would not take as it is meant. */
  objection?(fields: Parameters): string | undefined;
  errorShapes: readonly ErrorShape[];
  /** False where `usage` is there for form's sake and always zero. */
  countsTokens: boolean;
  /** The free call that `arouter doctor` makes; null where there is none. */
  probePath: string | null;
}

/** §2.5: known from the event's name, a final picture goes to the store while it arrives. */
const eventPictures = {
  "image_generation.partial_image": "preview",
  "image_generation.completed": "final",
  "image_edit.partial_image": "preview",
  "image_edit.completed": "final",
} as const;

export function speak(dialect: Dialect): Adapter {
  const { id, name, settings, errorShapes, probePath } = dialect;
  const address = (path: string, baseUrl: string) => {
    const prefix = dialect.pathPrefix === undefined || baseUrl.endsWith(dialect.pathPrefix) ? "" : dialect.pathPrefix;
    return prefix + path + (dialect.query === undefined ? "" : `?${dialect.query}`);
  };
  return {
    id,
    name,
    settings,
    // Self-hosted servers may be open: an empty credential is none.
    authorize(credential): Record<string, string> {
      if (credential === "") return {};
      if (dialect.keyHeader !== undefined) return { [dialect.keyHeader]: credential };
      return { authorization: `Bearer ${credential}` };
    },
    inlineImageFields: ["b64_json"],

    objection: (job) =>
      job.operation === "edit" && !dialect.edits ? "operation" : dialect.objection?.(job.parameters),

    submit(job, { baseUrl }) {
      const path = job.operation === "edit" ? "/images/edits" : "/images/generations";
      return { method: "POST", url: address(path, baseUrl), body: bodyOf(job, dialect) };
    },

    // 201 is what some web frameworks answer to any POST; a paid picture is not lost over it.
    read: (reply) =>
      reply.status === 200 || reply.status === 201 ? readSuccess(reply, dialect) : readFailure(reply, errorShapes),

    ...(dialect.streams && { readEvent: (event) => readEvent(event, errorShapes, dialect), eventPictures }),
    ...(probePath !== null && { probe: () => ({ method: "GET", url: probePath }) }),
  };
}

function bodyOf(job: ProviderJob, dialect: Dialect): NonNullable<HttpCall["body"]> {
  const fields: Record<string, unknown> = { model: job.model, n: job.count, ...dialect.defaults, ...job.parameters };
  if (job.stream && dialect.streams) {
    fields.stream = true;
    fields.partial_images = job.stream.partialImages;
  }
  const arranged = dialect.arrange?.(fields) ?? fields;
  return Object.values(arranged).some(isFile)
    ? { kind: "multipart", fields: asForm(arranged) }
    : { kind: "json", value: arranged };
}

/** A picture that goes as a file part, or several. */
export const isFile = (value: unknown): value is InputFile | InputFile[] =>
  Array.isArray(value)
    ? value.length > 0 && value.every((item) => item instanceof InputFile && item.form === "file")
    : value instanceof InputFile && value.form === "file";

/** Form fields are text: `true`, `2`, and JSON for what has parts. */
function asForm(fields: Parameters): Record<string, string | InputFile | InputFile[]> {
  const form: Record<string, string | InputFile | InputFile[]> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined) continue;
    if (isFile(value)) form[name] = value;
    else form[name] = typeof value === "object" ? JSON.stringify(value) : String(value);
  }
  return form;
}
