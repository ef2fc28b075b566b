/** Reads an event stream by the rules of the HTML standard, apart from the program's own reader. */
import type { Json } from "./support.ts";

export interface StreamEvent {
  name: string;
  data: Json;
  /** When its end arrived, by performance.now(). */
  atMs: number;
}

/** @throws for anything that is no event, no comment, or whose data is no JSON object */
export async function readEvents(response: Response): Promise<{ events: StreamEvent[]; text: string }> {
  if (response.status !== 200) throw new Error(`${response.status}: ${await response.text()}`);
  const events: StreamEvent[] = [];
  let text = "";
  let read = 0;
  const decoder = new TextDecoder("utf-8", { fatal: true });
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    for (let end = text.indexOf("\n\n", read); end >= 0; end = text.indexOf("\n\n", read)) {
      const event = readEvent(text.slice(read, end));
      if (event !== null) events.push({ ...event, atMs: performance.now() });
      read = end + 2;
    }
  }
  if (read !== text.length) throw new Error(`the stream ends within an event: ${text.slice(read, read + 200)}`);
  return { events, text };
}

function readEvent(block: string): { name: string; data: Json } | null {
  let name = "";
  const data: string[] = [];
  for (const line of block.split("\n")) {
    if (line.startsWith(":")) continue;
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
    else throw new Error(`not a line of an event: ${line.slice(0, 100)}`);
  }
  return data.length === 0 && name === "" ? null : { name, data: JSON.parse(data.join("\n")) as Json };
}
