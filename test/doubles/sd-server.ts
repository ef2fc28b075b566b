/**
 * sd-server of stable-diffusion.cpp as upstream-apis.md §7 [S 2026-08] has it; details from its api.md and
 * routes_openai.cpp (github.com/leejet/stable-diffusion.cpp, examples/server). Its habits: one model under a fixed
 * name, base64 always, no key, `error` is a text, native settings as JSON inside the prompt, n below 1 made 1, seed 42
 * unless the native settings have another. It listens on 1234 by default; the double takes any free port.
 *
 * Prompts drive it too: `[[500]]`.
 */
import { type Call, countMade, json, magicWord, type Reply } from "./double.ts";
import type { Stage } from "./faults.ts";
import { base64Of } from "./picture.ts";
import { isFields, type Made, pictureType, SelfHosted, type SelfHostedOptions, type Size } from "./selfhosted.ts";
import { type InputImage, imagesOfPart } from "./selfhosted-inputs.ts";

export type SdServerOptions = Omit<SelfHostedOptions, "key" | "model" | "fileOrigin">;
export type SdServerDouble = SdServer;

export function startSdServer(options: SdServerOptions = {}): SdServerDouble {
  return new SdServer(options);
}

type Fields = Record<string, unknown>;

/** Thrown with the text of a 400. */
class Refused extends Error {}
/** Thrown where the C++ throws: a 500 of another shape. */
class Crashed extends Error {}

const FIELDS = ["prompt", "n", "size", "output_format", "output_compression"];
const PATHS = ["/v1/images/generations", "/v1/images/edits"];
const DEFAULT_SEED = 42;
const DEFAULT_SIDE = 512;

class SdServer extends SelfHosted {
  /** Never asked: there are no keys and no links. */
  protected readonly unauthorized = failure(401, "");
  protected readonly noSuchFile: Reply = { status: 404, body: "" };

  constructor(options: SdServerOptions) {
    super("sd-cpp-local", options);
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && PATHS.includes(path) ? "create" : "other";
  }

  protected async route(call: Call): Promise<Reply> {
    const { method, path, stage } = call.request;
    if (method === "GET" && path === "/v1/models") {
      return json(200, { data: [{ id: this.model, object: "model", owned_by: "local" }] });
    }
    if (stage !== "create") return this.noSuchFile;
    try {
      const made = path === "/v1/images/edits" ? await this.#edit(call) : this.#generation(call);
      if (magicWord(made.prompt) === "500") return failure(500, "generate_image returned no results");
      const pictures = this.paintAll(call, made, countMade(call.fault, made.n));
      const data = pictures.map((bytes) => ({ b64_json: base64Of(bytes) }));
      const answer = { created: this.nowSeconds(), data, output_format: made.type };
      return { ...json(200, answer), billed: data.length };
    } catch (error) {
      if (error instanceof Refused) return failure(400, error.message);
      if (error instanceof Crashed) return json(500, { error: "server_error", message: error.message });
      throw error;
    }
  }

  #generation(call: Call): Made {
    const { rawBody } = call.request;
    if (rawBody.length === 0) throw new Refused("empty body");
    // The content type is not looked at.
    const body = parsed(new TextDecoder().decode(rawBody));
    const prompt = typed(body, "prompt", "string", "");
    const n = Math.max(1, typed(body, "n", "number", 1));
    const size = typed(body, "size", "string", "");
    const format = typed(body, "output_format", "string", "png");
    const compression = typed(body, "output_compression", "number", 100);
    if (prompt === "") throw new Refused("prompt required");
    const type = outputType(format, ["png", "jpeg", "webp"]);
    const made = finish({ prompt, n, type, compression, ...sizeOf(size, DEFAULT_SIDE) }, [], undefined);
    this.#passOverAll(body, size, FIELDS);
    return made;
  }

  async #edit(call: Call): Promise<Made> {
    const { body, headers } = call.request;
    if (!/^multipart\/form-data\b/i.test(headers["content-type"] ?? "") || !isFields(body)) {
      throw new Refused("Content-Type must be multipart/form-data");
    }
    const field = (name: string) => (typeof body[name] === "string" ? body[name] : "");
    if (field("prompt") === "") throw new Refused("prompt required");
    const listed = await imagesOfPart(body, "image[]");
    const sent = listed.length > 0 ? listed : (await imagesOfPart(body, "image")).slice(0, 1);
    if (sent.length === 0) throw new Refused("at least one image[] required");
    // A file that is no picture is left out without a word.
    const images = sent.filter(({ width }) => width !== undefined);
    for (const { field: name, width } of sent) if (width === undefined) this.ignored.push(name);
    const [mask] = await imagesOfPart(body, "mask");
    const type = outputType(field("output_format") || "png", ["png", "jpeg"]);
    const { width, height } = sizeOf(field("size"), undefined);
    const [first] = images;
    const sides = { width: width ?? first?.width ?? DEFAULT_SIDE, height: height ?? first?.height ?? DEFAULT_SIDE };
    const n = Math.max(1, leadingNumber(field("n")) ?? 1);
    const compression = leadingNumber(field("output_compression")) ?? 100;
    const made = finish({ prompt: field("prompt"), n, type, compression, ...sides }, images, mask);
    this.#passOverAll(body, field("size"), [...FIELDS, "image[]", ...(listed.length > 0 ? [] : ["image"]), "mask"]);
    return made;
  }

  /** Base64 is what it does anyway, and its one name names the model it has; saying so changes nothing. */
  #passOverAll(body: Fields, size: string, known: string[]): void {
    const idle = [
      ...(body.model === this.model ? ["model"] : []),
      ...(body.response_format === "b64_json" ? ["response_format"] : []),
    ];
    this.passOver(body, [...known, ...idle]);
    if (size !== "" && !/^\d+x\d+$/.test(size)) this.ignored.push("size");
    if (body.n !== undefined && !(Number(body.n) >= 1)) this.ignored.push("n");
  }
}

/** `error` is a text, not an object [S]. */
function failure(status: number, error: string): Reply {
  return json(status, { error });
}

function parsed(text: string): Fields {
  try {
    const body: unknown = JSON.parse(text);
    if (isFields(body)) return body;
  } catch {
    throw new Crashed("[json.exception.parse_error.101] parse error"); // cut [U]
  }
  throw new Crashed("[json.exception.type_error.306] cannot use value() with this type");
}

function typed<Kind extends string | number>(
  body: Fields,
  name: string,
  kind: "string" | "number",
  absent: Kind,
): Kind {
  const value = body[name];
  if (value === undefined) return absent;
  // A null too: only an absent field has its default.
  const given = value === null ? "null" : typeof value;
  if (given !== kind) throw new Crashed(`[json.exception.type_error.302] type must be ${kind}, but is ${given}`);
  return (kind === "number" ? Math.trunc(Number(value)) : value) as Kind;
}

function outputType(name: string, allowed: readonly string[]) {
  const type = pictureType(name);
  if (type && allowed.includes(name)) return type;
  throw new Refused(`invalid output_format, must be one of [${allowed.join(", ")}]`); // [U] words
}

/** Each side by itself, as far as it is a number; the default where it is none. */
function sizeOf<Side extends number | undefined>(
  size: string,
  side: Side,
): { width: number | Side; height: number | Side } {
  const [left, ...right] = size.split("x");
  if (right.length === 0) return { width: side, height: side };
  const width = leadingNumber(left ?? "");
  // The height is not even tried when the width is no number.
  const height = width === undefined ? undefined : leadingNumber(right.join("x"));
  return { width: width ?? side, height: height ?? side };
}

/** std::stoi: digits at the beginning, whatever follows. */
function leadingNumber(text: string): number | undefined {
  const match = /^\s*[+-]?\d+/.exec(text);
  return match ? Number(match[0]) : undefined;
}

interface Order extends Size {
  prompt: string;
  n: number;
  type: Made["type"];
  compression: number;
}

/** Takes the native settings out of the prompt, and their word over the request's. */
function finish(order: Order, images: InputImage[], mask: InputImage | undefined): Made {
  const match = /<sd_cpp_extra_args>(.*?)<\/sd_cpp_extra_args>/.exec(order.prompt);
  const settings = match ? extraArgs(match[1] ?? "") : {};
  const prompt = match ? order.prompt.replaceAll(/<sd_cpp_extra_args>(.*?)<\/sd_cpp_extra_args>/g, "") : order.prompt;
  const number = (name: string, otherwise: number) => {
    const value = settings[name];
    return typeof value === "number" ? value : otherwise;
  };
  const width = number("width", order.width);
  const height = number("height", order.height);
  if (width <= 0 || height <= 0) throw new Refused("invalid params");
  const negativePrompt = typeof settings.negative_prompt === "string" ? settings.negative_prompt : undefined;
  const made = { prompt, negativePrompt, width, height, n: number("batch_count", order.n), type: order.type };
  const output_compression = Math.max(0, Math.min(100, order.compression));
  const all = { ...settings, output_compression };
  const seed = number("seed", DEFAULT_SEED);
  return { ...made, seed: seed < 0 ? undefined : seed, images, mask, settings: all };
}

function extraArgs(text: string): Fields {
  try {
    const args: unknown = JSON.parse(text);
    if (isFields(args)) return args;
  } catch {}
  throw new Refused("invalid sd_cpp_extra_args");
}
