/** The catalogue: load models, check a request against one, map, quote and price it, list it. Pure but for the loading. */

export { type CheckedRequest, checkRequest, routerParameters } from "./check.ts";
export type { GivenInputs } from "./check-inputs.ts";
export { isEnded } from "./lifecycle.ts";
export { type EndpointEntry, listEndpoints, listModel, type ModelEntry, type Pricing } from "./listing.ts";
export { type Catalogue, loadCatalogue, ModelFileError } from "./load.ts";
export type {
  EditRules,
  FieldMapping,
  Lifecycle,
  Model,
  Operation,
  Parameter,
  Route,
  RoutePrice,
  SuccessorMapping,
} from "./model.ts";
export { type Delivered, priceOn, type Quote, quote } from "./price.ts";
export { cannotHonour, imagesPerCall, mapParameters } from "./routes.ts";
