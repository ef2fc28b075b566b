/** The catalogue as clients see it. */
import type { Hono } from "hono";
import { mayUseModel, mayUseProvider } from "../accounts/allowed.ts";
import type { Key } from "../accounts/keys.ts";
import { listEndpoints, listModel, type Model } from "../catalogue/index.ts";
import { PublicError } from "../errors.ts";
import { methods } from "./methods.ts";
import { authenticate } from "./request.ts";
import type { Env, Server } from "./types.ts";

const modalities = ["image", "text", "all"];

export function addModels(app: Hono<Env>, server: Server): void {
  /** To a key that may not use it, a model does not exist here. */
  const find = (key: Key, id: string): Model => {
    const model = server.catalogue.find(id);
    if (model === undefined || !mayUse(key, model)) {
      throw new PublicError(
        "model_not_found",
        `The model '${id}' does not exist. GET /v1/models lists what there is.`,
        { param: "model" },
      );
    }
    return model;
  };
  /** Prices carry dates. */
  const today = () => new Date(server.clock.now()).toISOString();
  methods(app, "/v1/models", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      const wanted = c.req.query("output_modalities") ?? "all";
      if (!modalities.includes(wanted)) {
        throw new PublicError(
          "invalid_value",
          `Invalid value: '${wanted}'. Supported values are: 'image', 'text', and 'all'.`,
          {
            param: "output_modalities",
          },
        );
      }
      const models = wanted === "text" ? [] : server.catalogue.models.filter((model) => mayUse(key, model));
      return c.json({ object: "list", data: models.map((model) => listModel(model, today())) });
    },
  });
  methods(app, "/v1/models/:id", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      return c.json(listModel(find(key, c.req.param("id") ?? ""), today()));
    },
  });
  methods(app, "/v1/models/:author/:slug", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      const { author = "", slug = "" } = c.req.param();
      // A bare id, or one with an encoded slash, is one segment: this is `{id}/endpoints` then.
      if (slug === "endpoints") return c.json({ object: "list", data: listEndpoints(find(key, author), today()) });
      return c.json(listModel(find(key, `${author}/${slug}`), today()));
    },
  });
  methods(app, "/v1/models/:author/:slug/endpoints", {
    GET: async (c) => {
      const key = await authenticate(server, c);
      const model = find(key, `${c.req.param("author")}/${c.req.param("slug")}`);
      const data = listEndpoints(model, today()).filter(({ provider_id }) => mayUseProvider(key, provider_id));
      return c.json({ object: "list", data });
    },
  });
}

/** What the key's lists leave of the catalogue. Management keys have none, so they see everything. */
function mayUse(key: Key, model: Model): boolean {
  return mayUseModel(key, model) && model.routes.some(({ provider }) => mayUseProvider(key, provider));
}
