/** What the HTML pages share: their frame, their style, and headers that let nothing in from elsewhere. */
import { createHash } from "node:crypto";
import { html, raw } from "hono/html";
import type { HttpContext } from "./types.ts";

export type Html = ReturnType<typeof html>;

const style = `
:root{color-scheme:light dark;--ground:#fbfaf8;--card:#fff;--ink:#1d1b26;--soft:#635f70;--line:#e3dfe8;--mark:#b3344f;--code:#f2eff5}
@media (prefers-color-scheme:dark){:root{--ground:#15131c;--card:#1d1a27;--ink:#ece9f2;--soft:#a49eb3;--line:#332e41;--mark:#ff8f8f;--code:#262231}}
*{box-sizing:border-box}
html{scroll-padding-top:1rem}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.6 system-ui,-apple-system,"Segoe UI",sans-serif;overflow-wrap:break-word}
a{color:var(--mark);text-underline-offset:.15em}
h1,h2,h3{line-height:1.25;letter-spacing:-.01em}
h1{font-size:2rem;margin:.2em 0}
h2{margin:3rem 0 1rem;padding-bottom:.4rem;border-bottom:1px solid var(--line)}
code,pre{font:.875em/1.55 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
code{background:var(--code);border-radius:4px;padding:.1em .35em}
pre{background:var(--code);border:1px solid var(--line);border-radius:10px;padding:1rem;overflow-x:auto}
pre code{background:none;padding:0}
.pill{display:inline-block;border-radius:99px;padding:.1em .75em;font-size:.8rem;font-weight:600;background:var(--code);border:1px solid var(--line)}
.ready{color:#1a7f4b}.late{color:#b26a00}
@media (prefers-color-scheme:dark){.ready{color:#6fdca4}.late{color:#ffc46b}}
.soft{color:var(--soft)}
.landing{max-width:44rem;margin:0 auto;padding:clamp(2rem,9vh,6rem) 1.25rem}
.landing svg{width:100%;height:auto;border-radius:14px;display:block;margin-bottom:2rem}
.landing ul{padding-left:1.1rem}
.wrap{white-space:pre-wrap;overflow-wrap:anywhere}
.landing .links{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;margin:1.5rem 0;padding:0;list-style:none}
.reference{display:grid;grid-template-columns:16rem minmax(0,1fr);max-width:80rem;margin:0 auto}
nav{position:sticky;top:0;align-self:start;max-height:100vh;overflow:auto;padding:2rem 1rem 2rem 1.5rem;border-right:1px solid var(--line);font-size:.85rem}
nav strong{display:block;margin:1.2rem 0 .3rem;font-size:.75rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft)}
nav a{display:block;padding:.18rem 0;text-decoration:none;color:inherit}
nav a:hover{color:var(--mark)}
main{padding:2rem clamp(1rem,4vw,3rem) 5rem;min-width:0}
.operation,.schema{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.3rem;margin:0 0 1.4rem}
.operation h3,.schema h3{margin:.1rem 0 .6rem;font-size:1.1rem}
.operation h4{margin:1.2rem 0 .3rem;font-size:.75rem;letter-spacing:.06em;text-transform:uppercase;color:var(--soft)}
.path{display:flex;flex-wrap:wrap;gap:.6rem;align-items:baseline}
.path code{background:none;padding:0;font-size:.95rem}
.method{font:600 .75rem/1 ui-monospace,monospace;border-radius:5px;padding:.35em .6em;color:#fff;background:#3b6fb6}
.post{background:#2c8052}.delete{background:#b23c3c}.options,.head{background:#6c6780}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.45rem .9rem .45rem 0;border-top:1px solid var(--line)}
th{border-top:0;color:var(--soft);font-weight:600;font-size:.8rem}
td:first-child{white-space:nowrap}
td:last-child{min-width:16rem}
details{border-top:1px solid var(--line)}
summary{cursor:pointer;padding:.5rem 0;font-weight:600}
@media (max-width:52rem){.reference{display:block}nav{position:static;max-height:none;border-right:0;border-bottom:1px solid var(--line);padding:1.2rem;columns:2}nav a{padding:.35rem 0;break-inside:avoid}nav strong{break-after:avoid}.operation,.schema{padding:1rem}}
`;

const icon =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Crect width='16' height='16' rx='3' fill='%23371a4b'/%3E%3Ccircle cx='10.5' cy='6' r='2.6' fill='%23ffd9a0'/%3E%3Cpath d='M2 14V8h3v6h1V5h3v9h1V9h4v5z' fill='%23e2576b'/%3E%3C/svg%3E";

/** Only the style above and the icon, nothing from anywhere else; no scripts at all. */
const policy = [
  "default-src 'none'",
  `style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`,
  "img-src data:",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** For everything that is open to everybody: a key in the address (`?key=`) must not travel on as a referrer. */
export const openHeaders: Record<string, string> = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

export function answerPage(c: HttpContext, title: string, body: Html): Response | Promise<Response> {
  const headers = { ...openHeaders, "content-security-policy": policy };
  for (const [name, value] of Object.entries(headers)) c.header(name, value);
  return c.html(html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<link rel="icon" href="${raw(icon)}">
<style>${raw(style)}</style>
</head>
<body>
${body}
</body>
</html>
`);
}

/** A description as HTML: \`code\` in backticks, blank lines between paragraphs. */
export function words(text: string): Html {
  const paragraphs = text.split("\n\n").map((paragraph) => html`<p>${inline(paragraph)}</p>`);
  return html`${paragraphs}`;
}

export function inline(text: string): Html {
  const parts = text
    .split("`")
    .map((part, position) => (position % 2 === 1 ? html`<code>${part}</code>` : html`${part}`));
  return html`${parts}`;
}
