/**
 * Azure OpenAI's images API (upstream-apis.md §6.3): OpenAI's GPT image models behind deployments, with OpenAI's rules
 * and answers and Azure's own gateway and content filter.
 *
 * Prompts drive it too: `[[moderate]]` (the content filter), `[[fail:moderation_blocked]]` (the model's own refusal),
 * `[[429]]`, `[[500]]`, `[[fail:<code>]]` with a code of `azureErrors`, `[[fail:stream]]`, `[[402]]` (which Azure has
 * not: OpenAI's 429 insufficient_quota [U]); any other `[[fail:…]]`, E005 for one, is moderation of the output.
 */
import { type Call, json, magicWord, type Reply } from "./double.ts";
import type { Fault, Stage } from "./faults.ts";
import { missing, Refused, refuse, wrongType } from "./openai-checks.ts";
import { accountErrors, errorReply, moderated, type OpenAiError } from "./openai-errors.ts";
import { type AskedFailure, type GptOptions, GptServer, type Operation } from "./openai-gpt.ts";
import { OPENAI_MODELS, type OpenAiModel } from "./openai-models.ts";

/** An error of Azure itself: its body has not OpenAI's four keys. */
interface AzureError extends OpenAiError {
  body: Record<string, unknown>;
}

function azureError(status: number, code: string, message: string, more: Record<string, unknown> = {}): AzureError {
  return { status, type: "", code, param: null, message, body: { code, message, ...more } };
}

const FILTERED = {
  hate: { filtered: false, severity: "safe" },
  self_harm: { filtered: false, severity: "safe" },
  sexual: { filtered: true, severity: "high" },
  violence: { filtered: false, severity: "safe" },
};

/** §6.3: shapes [M] but for the string codes and DeploymentNotFound [U]; words are the vendor's where captured. */
export const azureErrors = {
  content_filter: azureError(
    400,
    "content_filter",
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry. To learn more about our content filtering policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766",
    {
      param: "prompt",
      innererror: { code: "ResponsibleAIPolicyViolation", content_filter_result: FILTERED },
    },
  ),
  /** The DALL·E era's spelling. */
  content_policy_violation: azureError(
    400,
    "content_policy_violation",
    "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our safety system.",
    {
      param: "prompt",
      type: "invalid_request_error",
      inner_error: { code: "ResponsibleAIPolicyViolation", content_filter_results: FILTERED },
    },
  ),
  Forbidden: azureError(
    403,
    "Forbidden",
    "Your resource has been temporarily blocked because we detected behavior that may violate our content policy. For more details on Azure OpenAI service content policy, please visit https://aka.ms/aoaicodeofconduct",
  ),
  "401": azureError(
    401,
    "401",
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.",
  ),
  "429": azureError(
    429,
    "429",
    "Requests to the image generations operation under Azure OpenAI API have exceeded the rate limit of your current pricing tier. Please retry after 12 seconds.",
  ),
  "500": azureError(500, "500", "The server had an error while processing your request. Sorry about that!"),
  DeploymentNotFound: azureError(
    404,
    "DeploymentNotFound",
    "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.",
  ),
  "404": azureError(404, "404", "Resource not found"),
  BadRequest: azureError(400, "BadRequest", "API version not supported"),
} satisfies Record<string, AzureError>;

/** An error of Azure as a fault: `double.next(azureFault("Forbidden"))`. */
export function azureFault(name: keyof typeof azureErrors, headers: Record<string, string> = {}): Fault {
  const reply = azureReply(azureErrors[name]);
  return { kind: "answer", status: reply.status, body: reply.body, headers: { ...reply.headers, ...headers } };
}

function azureReply(error: AzureError): Reply {
  return json(error.status, { error: error.body }, error.status === 429 ? { "retry-after": "12" } : {});
}

export interface AzureOptions extends GptOptions {
  /** Name of a deployment → OpenAI's id of its model. Default: every GPT image model, deployed under its own id. */
  deployments?: Readonly<Record<string, string>>;
  /** Also accepted as a bearer token, as Entra ID gives them out. The key is accepted as one too. */
  entraToken?: string;
}

export type AzureDouble = AzureServer;

export function startAzure(options: AzureOptions = {}): AzureDouble {
  return new AzureServer(options);
}

interface Target {
  operation: Operation;
  /** Undefined: the v1 form, where the body names it as `model`. */
  deployment: string | undefined;
}

class AzureServer extends GptServer {
  /** Settable at any time. */
  deployments: Readonly<Record<string, string>>;
  readonly #entraToken: string | undefined;
  /** There are no result files: pictures come as base64 alone. */
  protected readonly goneFile: Reply = { status: 404, body: "" };

  constructor(options: AzureOptions) {
    super({ key: "azure-double-0123456789abcdef", fileOrigin: "same" }, options);
    const own = OPENAI_MODELS.filter(({ kind }) => kind === "gpt").map(({ id }) => [id, id]);
    this.deployments = options.deployments ?? Object.fromEntries(own);
    this.#entraToken = options.entraToken;
  }

  protected stage(method: string, path: string): Stage {
    return method === "POST" && targetOf(path) ? "create" : "other";
  }

  protected async answer(call: Call): Promise<Reply> {
    const reply = await this.#route(call);
    const ids = { "apim-request-id": crypto.randomUUID(), "x-request-id": crypto.randomUUID() };
    return { ...reply, headers: { ...ids, "x-ms-region": "Sweden Central", ...reply.headers } };
  }

  async #route(call: Call): Promise<Reply> {
    const { method, path, query, headers } = call.request;
    if (!this.#admitted(headers)) return azureReply(azureErrors["401"]);
    const target = method === "POST" ? targetOf(path) : undefined;
    const version = new URLSearchParams(query).get("api-version");
    if (!target) return azureReply(azureErrors["404"]);
    const wrong = versionDefect(version, target.deployment !== undefined);
    if (wrong) return azureReply(wrong);
    try {
      const form = this.formOf(call, target.operation);
      const model = this.#modelAt(target.deployment ?? named(form.body.model));
      return await this.answerGpt(call, form, model, target.operation);
    } catch (error) {
      if (error instanceof Refused) return this.failed(error.error);
      throw error;
    }
  }

  #admitted(headers: Record<string, string>): boolean {
    if (headers["api-key"] !== undefined) return headers["api-key"] === this.key;
    const bearer = /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
    return bearer !== undefined && (bearer === this.key || bearer === this.#entraToken);
  }

  #modelAt(deployment: string): OpenAiModel {
    const id = Object.hasOwn(this.deployments, deployment) ? this.deployments[deployment] : undefined;
    const model = OPENAI_MODELS.find((facts) => facts.id === id);
    return model ?? refuse(azureErrors.DeploymentNotFound);
  }

  protected failed(error: OpenAiError): Reply {
    return "body" in error ? azureReply(error as AzureError) : errorReply(error);
  }

  /** [U] */
  protected rateHeaders(): Record<string, string> {
    return { "x-ratelimit-limit-requests": "9", "x-ratelimit-remaining-requests": "8" };
  }

  protected failureAsked(prompt: string): AskedFailure | undefined {
    const word = magicWord(prompt);
    if (word === undefined) return undefined;
    if (word === "moderate") return { error: azureErrors.content_filter, afterStart: false };
    if (word === "402") return { error: accountErrors.insufficient_quota, afterStart: false };
    if (word === "429" || word === "500") return { error: azureErrors[word], afterStart: false };
    if (!word.startsWith("fail:")) return undefined;
    const code = word.slice("fail:".length);
    if (code === "stream") return { error: accountErrors.image_generation_failed, afterStart: true };
    if (code === "moderation_blocked") return { error: blocked("input"), afterStart: false };
    const byCode: Record<string, OpenAiError> = azureErrors;
    const known = byCode[code];
    return known ? { error: known, afterStart: false } : { error: blocked("output"), afterStart: true };
  }
}

/** [M]: the text points to an Azure support ticket, and `param` is empty instead of null. */
function blocked(stage: "input" | "output"): OpenAiError {
  const error = moderated(stage);
  return { ...error, param: "", message: error.message.replace("help.openai.com", "Azure support ticket") };
}

function named(model: unknown): string {
  if (model === undefined) return refuse(missing("model"));
  return typeof model === "string" ? model : refuse(wrongType("model", "a string", model));
}

function targetOf(path: string): Target | undefined {
  const match = /^\/openai\/(?:v1|deployments\/([^/]+))\/images\/(generations|edits)$/.exec(path);
  if (!match) return undefined;
  const deployment = match[1] === undefined ? undefined : decodeURIComponent(match[1]);
  return { operation: match[2] === "edits" ? "edits" : "generations", deployment };
}

/** The v1 form has `v1` or `preview`, or none [U]; the other one a date, and is not found without it [M]. */
function versionDefect(version: string | null, dated: boolean): AzureError | undefined {
  if (dated) return /^\d{4}-\d{2}-\d{2}(-preview)?$/.test(version ?? "") ? undefined : azureErrors["404"];
  return version === null || version === "v1" || version === "preview" ? undefined : azureErrors.BadRequest;
}
