/** Follows an upstream's event stream to its final event: previews are handed on, the picture goes to its place. */
import { readEvents } from "./event-stream.ts";
import { maxRestBytes, TransportFailure } from "./exchange.ts";
import type { PictureSink } from "./inline-json.ts";
import type { ImageIntake } from "./intake.ts";
import type { AttemptPictures } from "./pictures.ts";
import {
  type Adapter,
  InlineImage,
  type ProviderJob,
  type ServerEvent,
  type Step,
  type StreamStep,
} from "./provider.ts";
import { newOrder, nextTurn } from "./turns.ts";

/** A picture that is larger than any preview is the final one, whatever its event turns out to be. */
const maxHeldBytes = 16 << 20;
/** After so much held in memory it is another's turn: hundreds of previews may come at once, and nothing here waits. */
const turnBytes = 256 << 10;

/** A picture on its way to completion, in memory only. */
export interface PartialImage {
  bytes: Uint8Array;
  /** The provider's count of the previews, from 0. */
  index: number;
  /** What the provider says of it. */
  facts: Record<string, unknown>;
}

export interface FollowOptions {
  adapter: Adapter;
  job: ProviderJob;
  pictures: AttemptPictures;
  onPartial: ((partial: PartialImage) => void) | undefined;
}

type FinalStep = Exclude<Step, { kind: "pending" }>;

/** Whether the reply is an event stream that the adapter can read. */
export function isEventStream(response: Response, { readEvent }: Adapter): boolean {
  const contentType = response.headers.get("content-type") ?? "";
  return response.ok && readEvent !== undefined && /^text\/event-stream\b/i.test(contentType);
}

/**
 * After the event that decides nothing more is read, and the connection is closed.
 * @throws TransportFailure when the stream ends before that; and what `readEvents` throws
 */
export async function followEvents(response: Response, options: FollowOptions): Promise<FinalStep> {
  const { adapter, job, pictures } = options;
  const headers: ServerEvent["headers"] = Object.fromEntries(response.headers);
  /** By `InlineImage.index`; those of one event only. */
  const arrived = new Map<number, EventPicture>();
  const events = readEvents(response.body ?? nothing(), {
    fields: adapter.inlineImageFields,
    firstIndex: pictures.inlineCount,
    maxRestBytes,
    newImage(eventName) {
      const index = pictures.reserve();
      const picture = new EventPicture(() => pictures.place(index), whatIs(eventName, options));
      arrived.set(index, picture);
      return picture;
    },
  });
  for await (const { name, data } of events) {
    const step = adapter.readEvent?.({ name, data, headers }, job) ?? { kind: "ignored" };
    if (step.kind === "failed") return step;
    if (step.kind === "done") {
      for (const { source } of step.images)
        if (source instanceof InlineImage) await arrived.get(source.index)?.settle();
      return step;
    }
    if (step.kind === "partial") handOn(step, arrived.get(step.image.index), options);
    arrived.clear();
  }
  throw new TransportFailure("outcome_unknown", "the provider's event stream ended before its final event");
}

/** Of an event of this name; "unknown" until the adapter has read it. */
function whatIs(
  eventName: string,
  { adapter, job, onPartial }: FollowOptions,
): "final" | "preview" | "unwanted" | "unknown" {
  const declared = adapter.eventPictures?.[eventName] ?? "unknown";
  if (declared === "preview" && onPartial === undefined) return "unwanted";
  // Where no previews were asked for, none will come.
  return declared === "unknown" && !job.stream?.partialImages ? "final" : declared;
}

function handOn(
  { index, facts }: Extract<StreamStep, { kind: "partial" }>,
  picture: EventPicture | undefined,
  { onPartial }: FollowOptions,
): void {
  const bytes = picture?.held();
  if (bytes !== undefined) onPartial?.({ bytes, index, facts });
}

/** A picture of one event: held in memory as long as it may be a preview. */
class EventPicture implements PictureSink {
  private readonly place: () => ImageIntake;
  private readonly what: "final" | "preview" | "unwanted" | "unknown";
  private intake: ImageIntake | undefined;
  private chunks: Uint8Array[] = [];
  private bytes = 0;
  private turnAt = turnBytes;
  private readonly order = newOrder();

  constructor(place: () => ImageIntake, what: EventPicture["what"]) {
    this.place = place;
    this.what = what;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.bytes += chunk.length;
    if (this.what === "unwanted") return;
    if (this.what === "final" || (this.what === "unknown" && this.bytes > maxHeldBytes)) await this.settle();
    if (this.intake !== undefined) return this.intake.write(chunk);
    if (this.bytes <= maxHeldBytes) this.chunks.push(new Uint8Array(chunk));
    else this.chunks = [];
    if (this.bytes < this.turnAt) return;
    this.turnAt = this.bytes + turnBytes;
    await nextTurn(this.order);
  }

  /** The picture is kept: what is held goes to its place, where the rest will follow. */
  async settle(): Promise<void> {
    if (this.intake !== undefined) return;
    this.intake = this.place();
    for (const chunk of this.chunks.splice(0)) await this.intake.write(chunk);
  }

  /** The whole picture, where it is held; undefined where it is not: unwanted, too large, or taken for the final one. */
  held(): Uint8Array | undefined {
    const isWhole = this.intake === undefined && this.chunks.length > 0;
    return isWhole ? Buffer.concat(this.chunks.splice(0)) : undefined;
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
