/** The catalogue: load models, check a request against one, map, quote and price it, list it. Pure but for the loading. */

export { type CheckedRequest, checkRequest } from "./check.ts";
export { isEnded } from "./lifecycle.ts";
export { type EndpointEntry, listEndpoints, listModel, type ModelEntry } from "./listing.ts";
export { type Catalogue, loadCatalogue } from "./load.ts";
export type { Lifecycle, Model, Parameter, Route } from "./model.ts";
export { priceDelivered, type Quote, quote } from "./price.ts";
export { mapParameters } from "./routes.ts";
