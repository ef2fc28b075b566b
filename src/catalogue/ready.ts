/** A checked model file, made ready for requests. */

import type { EditRules, FieldMapping, Model, Operation, Parameter, PictureMapping, Route } from "./model.ts";
import { toParameter } from "./parameters.ts";
import { toPrices } from "./ready-prices.ts";
import type { ModelFile, ParameterFile } from "./schema.ts";
import type { RouteFile } from "./schema-routes.ts";

/** What the client's pictures are called in a model file's `fields`. */
export const pictureNames: readonly string[] = ["images", "mask", "markup"];

const usualInputTypes: EditRules["inputTypes"] = ["image/png", "image/jpeg", "image/webp"];
/** Upstream-apis.md §2.2. */
const mostPartialImages = 3;

export function toModel(file: ModelFile): Model {
  const [first, ...others] = file.routes.map((route) => toRoute(file, route));
  if (first === undefined) throw new Error(`${file.id}: expected a route`);
  const routes: Model["routes"] = [first, ...others];
  const streams = routes.some((route) => route.streams);
  const ordered = inCheckingOrder(file, streams);
  const parameters = ordered.map(([name, parameter]) => toParameter(name, parameter, rivals(name, parameter, ordered)));
  const prompt = { type: "string" as const, description: "What the image should show.", ...file.prompt };
  const edit = toEditRules(file);
  const { end_date: endDate, successor, note, successor_mapping: mapping = null } = file.lifecycle;
  return {
    id: file.id,
    name: file.name,
    description: file.description,
    ownedBy: file.owned_by,
    created: file.created,
    aliases: file.aliases,
    operations: file.operations,
    edit,
    streams,
    promptParameter: toParameter("prompt", prompt),
    maxN: file.max_n,
    defaultResponseFormat: file.response_format,
    parameters,
    supportedParameters: new Set(["model", "prompt", ...parameters.map(({ name }) => name)]),
    vendorDefaults: vendorDefaults(parameters),
    seedParameter: parameters.find((parameter) => parameter.type === "seed") ?? null,
    parametersOf: {
      generate: known(parameters, "generate", []),
      edit: known(parameters, "edit", edit === null ? [] : picturesOf(edit)),
    },
    lifecycle: { endDate, successor, note, mapping },
    routes,
  };
}

function toEditRules({ edit }: ModelFile): EditRules | null {
  if (edit === undefined) return null;
  const { max_images: maxImages, mask, markup = false, input_types: inputTypes = usualInputTypes } = edit;
  return { maxImages, mask, markup, inputTypes };
}

function picturesOf({ mask, markup }: EditRules): string[] {
  return ["images", ...(mask ? ["mask"] : []), ...(markup ? ["markup"] : [])];
}

function known(
  parameters: readonly Parameter[],
  operation: Operation,
  pictures: string[],
): Model["parametersOf"]["edit"] {
  const all = parameters
    .filter(({ operations }) => operations === undefined || operations.includes(operation))
    .map((parameter) => (hasDefaultFor(parameter, operation) ? parameter : withoutDefault(parameter)));
  return { all, names: new Set(["model", "prompt", ...pictures, ...all.map(({ name }) => name)]) };
}

const hasDefaultFor = ({ default_for: only }: Parameter, operation: Operation) =>
  only === undefined || only.includes(operation);

function withoutDefault(parameter: Parameter): Parameter {
  const { default: _default, ...rest } = parameter as Parameter & { default?: unknown };
  return rest as Parameter;
}

function vendorDefaults(parameters: readonly Parameter[]): Model["vendorDefaults"] {
  const defaults: Record<string, string | number | boolean> = {};
  for (const parameter of parameters) {
    const value = "vendor_default" in parameter ? parameter.vendor_default : undefined;
    if (value !== undefined) defaults[parameter.name] = value;
  }
  return defaults;
}

const geometry: ReadonlySet<ParameterFile["type"]> = new Set(["size", "size_rule", "aspect_ratio"]);

/** `n` first and sizes last, as OpenAI's API checks them (upstream-apis.md §2.6). */
function inCheckingOrder(file: ModelFile, streams: boolean): Array<[string, ParameterFile]> {
  const own = Object.entries(file.parameters);
  return [
    ["n", { type: "integer", description: "How many images.", minimum: 1, maximum: file.max_n, default: 1 }],
    ...own.filter(([, { type }]) => !geometry.has(type)),
    ["user", { type: "string", description: "Your own name for the end user, kept with the generation." }],
    [
      "response_format",
      {
        type: "enum",
        description: "A link that lives one hour, or the bytes.",
        values: ["url", "b64_json"],
        default: file.response_format,
      },
    ],
    [
      "stream",
      {
        type: "boolean",
        description: streams
          ? "Answers with an event stream: previews, if asked for, and the finished image."
          : "Answers with an event stream that carries the finished image; this model has no previews.",
        default: false,
      },
    ],
    ...(streams ? [partialImages] : []),
    ...own.filter(([, { type }]) => geometry.has(type)),
  ];
}

const partialImages: [string, ParameterFile] = [
  "partial_images",
  {
    type: "integer",
    description: "How many previews a stream carries; fewer come if the image is finished sooner.",
    minimum: 0,
    maximum: mostPartialImages,
    vendor_default: 0,
  },
];

function rivals(name: string, parameter: ParameterFile, all: ReadonlyArray<[string, ParameterFile]>): string[] {
  const declaredByOthers = all.filter(([, other]) => other.conflicts_with?.includes(name)).map(([other]) => other);
  return [...(parameter.conflicts_with ?? []), ...declaredByOthers];
}

function toRoute(model: ModelFile, file: RouteFile): Route {
  const mappings = Object.entries(file.fields);
  return {
    provider: file.provider,
    providerName: file.provider_name,
    model: file.model,
    editModel: file.edit_model,
    baseUrl: file.base_url,
    operations: file.operations ?? model.operations,
    streams: file.streams ?? false,
    maxImagesPerCall: file.max_images_per_call,
    countField: file.count_field,
    fields: new Map(mappings.filter(([name]) => !pictureNames.includes(name))),
    pictures: new Map(mappings.flatMap(([name, mapping]) => (isPicture(mapping) ? [[name, mapping] as const] : []))),
    constants: file.constants,
    editConstants: file.edit_constants ?? {},
    editDefaults: file.edit_defaults ?? {},
    prices: toPrices(model.id, file.provider, file.price),
  };
}

export function isPicture(mapping: FieldMapping): mapping is PictureMapping {
  return typeof mapping === "object" && mapping !== null && "as" in mapping;
}
