/** The API reference as one page, made from the OpenAPI description and nothing else. */
import { html } from "hono/html";
import type { Answer, OpenApiDocument, Operation, Parameter } from "./openapi.ts";
import type { Schema } from "./openapi-schemas.ts";
import { type Html, inline, words } from "./page.ts";

interface Entry {
  method: string;
  path: string;
  operation: Operation;
}

/** Property tables of these would only repeat what stands elsewhere on the page. */
const shownElsewhere =
  /^((Image|Edit)Request\.|(Image|Edit)Request$|Model(Request|Edit)$|EditForm$|ErrorCode$|NewKey$|KeyChanges$)/;

/** Made once: it is long, and open to everybody. */
const pages = new WeakMap<OpenApiDocument, Html>();

export function referencePage(document: OpenApiDocument): Html {
  const made = pages.get(document) ?? render(document);
  pages.set(document, made);
  return made;
}

function render(document: OpenApiDocument): Html {
  const entries = Object.entries({ ...document.paths, ...document.webhooks }).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): Entry => ({ method, path, operation })),
  );
  const groups = document.tags.map((tag) => ({
    ...tag,
    entries: entries.filter(({ operation }) => operation.tags.includes(tag.name)),
  }));
  const schemas = Object.entries(document.components.schemas).filter(([name]) => !shownElsewhere.test(name));
  return html`<div class="reference">
<nav aria-label="Contents">
<a href="."><b>ARouter</b></a>
${groups.map(
  (group) => html`<strong>${group.name}</strong>
${group.entries.map(({ operation }) => html`<a href="#${operation.operationId}">${operation.summary}</a>`)}`,
)}
<strong>More</strong>
<a href="#errors">Errors</a>
<a href="#schemas">Answers</a>
<a href="openapi.json">openapi.json</a>
</nav>
<main>
<h1>${document.info.title} <span class="pill">version ${document.info.version}</span></h1>
<p class="soft">${document.info.summary}</p>
${words(document.info.description)}
<p>Every path needs a key but those marked <i>open</i>. Send it in one of these ways:</p>
<ul>
${Object.values(document.components.securitySchemes).map((scheme) => html`<li>${inline(scheme.description ?? "")}</li>`)}
</ul>
${groups.map(
  (group) => html`<h2>${group.name}</h2>
<p>${group.description}</p>
${group.entries.map((entry) => operationSection(document, entry))}`,
)}
${errorSection(document)}
<h2 id="schemas">Answers</h2>
${schemas.map(([name, schema]) => schemaSection(name, schema))}
</main>
</div>`;
}

function operationSection(document: OpenApiDocument, { method, path, operation }: Entry): Html {
  const { summary, description, parameters = [], requestBody, responses, security } = operation;
  return html`<section class="operation" id="${operation.operationId}">
<h3>${summary}</h3>
<div class="path"><span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code>${pillOf(path, security)}</div>
${description === undefined ? "" : words(description)}
${parameters.length === 0 ? "" : html`<h4>Parameters</h4>${parameterTable(parameters)}`}
${requestBody === undefined ? "" : html`<h4>Body</h4>${bodySections(document, requestBody)}`}
<h4>Answers</h4>
${answerTable(responses)}
</section>`;
}

function pillOf(path: string, security: Operation["security"]): Html | string {
  // What this router sends has a name instead of a path.
  if (!path.startsWith("/")) return html`<span class="pill">sent by the router</span>`;
  return security?.length === 0 ? html`<span class="pill">open</span>` : "";
}

function parameterTable(parameters: Parameter[]): Html {
  return table(
    ["Name", "In", "What it is"],
    parameters.map(({ name, in: place, required, description }) => [
      html`<code>${name}</code>`,
      html`${place}${required || place === "path" ? "" : ", optional"}`,
      inline(description),
    ]),
  );
}

function bodySections(document: OpenApiDocument, { content }: NonNullable<Operation["requestBody"]>): Html {
  return html`${Object.entries(content).map(([type, { schema }]) => {
    const name = nameOf(schema);
    const form = Object.keys(content).length === 1 ? "" : html`<p><code>${type}</code>:</p>`;
    if (name === "ImageRequest" || name === "EditRequest") return html`${form}${requestSections(document, name)}`;
    if (schema.anyOf !== undefined)
      return html`<p>Like the body of ${separated(
        schema.anyOf.map((one) => html`<code>${nameOf(one)}</code>`),
        " or ",
      )}.</p>`;
    const named = document.components.schemas[name] ?? {};
    return html`${form}${words(named.description ?? "")}${propertyTable(named)}`;
  })}`;
}

const nameOf = ({ $ref: target = "" }: Schema): string => target.split("/").at(-1) ?? "";

/** The body of a generation or an edit: what several models take, and one folded table per model. */
function requestSections(document: OpenApiDocument, name: "ImageRequest" | "EditRequest"): Html {
  const { schemas } = document.components;
  const [any, routed, prefix] =
    name === "ImageRequest" ? ["ModelRequest", "RoutedRequest", "request"] : ["ModelEdit", "RoutedEdit", "edit"];
  const models = Object.entries(schemas).filter(([one]) => one.startsWith(`${name}.`));
  return html`${words(schemas[any ?? ""]?.description ?? "")}
<p>With <code>models</code>: ${separated([typeInWords({ $ref: `#/components/schemas/${routed}` })])}.</p>
${models.map(
  ([, schema]) => html`<details><summary>${schema.title}</summary>
<div id="${prefix}-${schema.title}">${words(schema.description ?? "")}
${propertyTable(schema)}</div></details>`,
)}`;
}

function answerTable(responses: Record<string, Answer>): Html {
  return table(
    ["Status", "Body", "What it says"],
    Object.entries(responses).map(([status, { description, content = {} }]) => [
      html`${status}`,
      html`${separated(Object.entries(content).map(([type, { schema }]) => bodyInWords(type, schema)))}`,
      inline(description),
    ]),
  );
}

function bodyInWords(type: string, schema: Schema): Html {
  if (type === "text/event-stream" && schema.anyOf !== undefined)
    return html`<code>${type}</code> of ${separated(schema.anyOf.map((one) => typeInWords(one)))}`;
  if (type !== "application/json") return html`<code>${type}</code>`;
  const first = schema.allOf?.[0] ?? schema;
  return typeInWords(first);
}

function errorSection(document: OpenApiDocument): Html {
  const rows = Object.entries(document["x-arouter-errors"]).map(([code, { status, type, retry }]) => [
    html`<code>${code}</code>`,
    html`${status}`,
    html`${type}`,
    html`${retry ? "yes" : "no"}`,
  ]);
  return html`<h2 id="errors">Errors</h2>
<p>Decide by the code. <i>Resend</i> is what <code>x-should-retry</code> says; the official clients obey it.</p>
<div class="schema">${table(["Code", "Status", "Type", "Resend"], rows)}</div>`;
}

function schemaSection(name: string, schema: Schema): Html {
  return html`<section class="schema" id="schema-${name}">
<h3>${name}</h3>
${schema.description === undefined ? "" : words(schema.description)}
${
  schema.oneOf === undefined
    ? propertyTable(schema)
    : html`<p>${separated(
        schema.oneOf.map((one) => typeInWords(one)),
        " or ",
      )}</p>`
}
</section>`;
}

function propertyTable(schema: Schema): Html {
  const required = new Set(schema.required);
  const properties = Object.entries(schema.properties ?? {});
  return table(
    ["Name", "Type", "What it is"],
    properties.map(([name, property]) => [
      html`<code>${name}</code>`,
      html`${typeInWords(required.has(name) ? property : withoutNull(property))}${required.has(name) ? "" : html`<br><span class="soft">optional</span>`}`,
      html`${inline(property.description ?? "")}${defaultInWords(property)}`,
    ]),
  );
}

/** That null means omitted is said once, above the tables. */
const withoutNull = (schema: Schema): Schema =>
  Array.isArray(schema.type) ? { ...schema, type: schema.type.filter((type) => type !== "null") } : schema;

function defaultInWords(property: Schema): Html | string {
  return property.default === undefined ? "" : html` Default <code>${String(property.default)}</code>.`;
}

function typeInWords(schema: Schema): Html {
  const target = schema.$ref;
  if (target !== undefined) {
    const name = target.split("/").at(-1) ?? "";
    return html`<a href="#${name === "ErrorCode" ? "errors" : `schema-${name}`}">${name}</a>`;
  }
  if (schema.contentMediaType !== undefined) return html`file`;
  if ("const" in schema) return html`<code>${JSON.stringify(schema.const)}</code>`;
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined)
    return separated(
      either.map((one) => typeInWords(one)),
      " or ",
    );
  if (schema.type === "array") return html`list of ${typeInWords(schema.items ?? {})}`;
  const types = [schema.type ?? (schema.enum === undefined ? "anything" : "string")].flat();
  return html`${types.join(" or ")}`;
}

function separated(parts: Html[], separator = ", "): Html {
  return html`${parts.map((part, position) => html`${position === 0 ? "" : separator}${part}`)}`;
}

function table(headings: string[], rows: Html[][]): Html {
  return html`<div class="scroll"><table>
<thead><tr>${headings.map((heading) => html`<th>${heading}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
</table></div>`;
}
