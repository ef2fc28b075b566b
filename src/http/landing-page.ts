/** The page at the root: what this is, whether it works, and the first thing to try. */
import { html, raw } from "hono/html";
import { curlLine } from "../welcome.ts";
import type { Html } from "./page.ts";

export interface LandingFacts {
  name: "arouter";
  version: string;
  status: "ready" | "draining" | "not ready";
  docs: string;
  openapi: string;
  /** For the official clients. */
  base_url: string;
  models: string[];
}

const states: Record<LandingFacts["status"], { tone: string; words: string }> = {
  ready: { tone: "ready", words: "ready" },
  draining: { tone: "late", words: "shutting down" },
  "not ready": { tone: "late", words: "not ready: rows or files cannot be written" },
};

/** A skyline at sunset, as in the founding example. */
const skyline = `<svg viewBox="0 0 640 150" role="img" aria-label="A city skyline at sunset"><defs><linearGradient id="sky" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="#371a4b"/><stop offset=".6" stop-color="#c2405f"/><stop offset="1" stop-color="#ffb27d"/></linearGradient></defs><path fill="url(#sky)" d="M0 0h640v150H0z"/><circle cx="448" cy="74" r="27" fill="#ffe3b3"/><path fill="#7d3355" d="M0 150V96h38V70h30v26h22V58h36v40h40V74h28v-8h20v32h34V48h8v-9h6v9h20v50h46V66h36v30h30V80h34v20h40V62h26v38h30V84h34v12h28v-22h24v76z"/><path fill="#2b1230" d="M0 150v-26h56v-20h34v20h40V92h40v30h54v-16h30v16h46V98h44v26h58v-20h34v20h58V94h38v30h54v-14h54v40z"/></svg>`;

export function landingPage(facts: LandingFacts): Html {
  const { tone, words } = states[facts.status];
  return html`<div class="landing">
${raw(skyline)}
<h1>ARouter</h1>
<p>One OpenAI-compatible endpoint in front of every image model.</p>
<p><span class="pill ${tone}">● ${words}</span> <span class="pill">version ${facts.version}</span></p>
<p>With a key in <code>AROUTER_API_KEY</code> (an <code>lr_test_</code> key reaches the free sandbox, an <code>lr_live_</code> key real providers):</p>
<pre class="wrap"><code>${curlLine(new URL(facts.base_url).href.replace(/\/v1$/, ""), "$AROUTER_API_KEY")}</code></pre>
<p>The official OpenAI clients work with the base URL <code>${facts.base_url}</code>.</p>
<ul class="links">
<li><a href="${facts.docs}">API reference</a></li>
<li><a href="${facts.openapi}">OpenAPI description</a></li>
</ul>
<h2>Models</h2>
<ul>
${facts.models.map((id) => html`<li><a href="${facts.docs}#request-${id}">${id}</a></li>`)}
</ul>
</div>`;
}
