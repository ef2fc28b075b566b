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
const shownElsewhere = /^(ImageRequest|ErrorCode$|NewKey$|KeyChanges$)/;

export function referencePage(document: OpenApiDocument): Html {
  const entries = Object.entries(document.paths).flatMap(([path, operations]) =>
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
<div class="path"><span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code>${security?.length === 0 ? html`<span class="pill">open</span>` : ""}</div>
${description === undefined ? "" : words(description)}
${parameters.length === 0 ? "" : html`<h4>Parameters</h4>${parameterTable(parameters)}`}
${requestBody === undefined ? "" : html`<h4>Body</h4>${bodySections(document, requestBody)}`}
<h4>Answers</h4>
${answerTable(responses)}
</section>`;
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
  const name = content["application/json"]?.schema.$ref?.split("/").at(-1) ?? "";
  return name === "ImageRequest" ? requestSections(document) : propertyTable(document.components.schemas[name] ?? {});
}

/** The body of a generation: one folded table per model. */
function requestSections(document: OpenApiDocument): Html {
  const { ImageRequest: any, ...schemas } = document.components.schemas;
  const models = Object.entries(schemas).filter(([name]) => name.startsWith("ImageRequest."));
  return html`${words(any?.description ?? "")}
${models.map(
  ([, schema]) => html`<details><summary>${schema.title}</summary>
<div id="request-${schema.title}">${words(schema.description ?? "")}
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
${propertyTable(schema)}
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
  if ("const" in schema) return html`<code>${JSON.stringify(schema.const)}</code>`;
  if (Array.isArray(schema.anyOf))
    return separated(
      schema.anyOf.map((one: Schema) => typeInWords(one)),
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
