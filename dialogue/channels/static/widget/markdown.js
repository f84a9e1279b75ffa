/**
 * The markdown that bots write, as elements: paragraphs, lists, fenced code, **strong**, *emphasis*, `code`, links and
 * bare addresses. All else, HTML above all, is text. A link that is not http, https, mailto or tel stays text as well.
 */
import { anchor, el, safe } from "./dom.js";

const BULLET = /^\s{0,3}[-*+]\s+(.*)$/;
const NUMBER = /^\s{0,3}(\d{1,9})[.)]\s+(.*)$/;
const INLINE = new RegExp(
  [
    /\\([\\`*_[\]()~])/u, // 1: an escaped sign
    /`([^`\n]+)`/u, // 2: code
    /\[([^[\]\n]{1,500})\]\(([^()\s]{1,2000}(?:\([^()\s]{0,200}\)[^()\s]{0,500})?)\)/u, // 3, 4: a link
    /\*\*(?=\S)([^\n]{1,2000}?\S|\S)\*\*/u, // 5: strong
    /(?<![\p{L}\p{N}])_(?=\S)([^_\n]{1,2000})(?<=\S)_(?![\p{L}\p{N}])/u, // 6: emphasis
    /\*(?=\S)([^*\n]{1,2000})(?<=\S)\*/u, // 7: emphasis
    /(https?:\/\/[^\s<>"'`\])}]*[^\s<>"'`\])}.,:;!?。，！？])/u, // 8: a bare address
  ]
    .map((part) => part.source)
    .join("|"),
  "gu",
);
const DEEP = 4;

/** @param {string} text @returns {DocumentFragment} */
export function markdown(text) {
  const out = document.createDocumentFragment();
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  let at = 0;
  while (at < lines.length) {
    const fence = /^\s*```/.test(lines[at]) ? lines.findIndex((line, i) => i > at && /^\s*```\s*$/.test(line)) : -1;
    if (fence > at) {
      out.append(el("pre", { tabindex: 0 }, el("code", {}, lines.slice(at + 1, fence).join("\n"))));
      at = fence + 1;
    } else if (BULLET.test(lines[at]) || NUMBER.test(lines[at])) {
      at = list(out, lines, at);
    } else {
      at = paragraph(out, lines, at);
    }
  }
  return out;
}

/** @param {DocumentFragment} out @param {string[]} lines @param {number} at @returns {number} line after it */
function list(out, lines, at) {
  const kind = BULLET.test(lines[at]) ? BULLET : NUMBER;
  const start = kind === NUMBER ? Number(NUMBER.exec(lines[at])?.[1]) : 1;
  const items = el(kind === BULLET ? "ul" : "ol", { start: start !== 1 && start });
  for (; at < lines.length && kind.test(lines[at]); at++) {
    items.append(el("li", {}, inline(/** @type {string} */ (kind.exec(lines[at])?.at(-1)))));
  }
  out.append(items);
  return at;
}

/** @param {DocumentFragment} out @param {string[]} lines @param {number} at @returns {number} line after it */
function paragraph(out, lines, at) {
  const kept = [];
  for (; at < lines.length && lines[at].trim(); at++) {
    if (kept.length && (BULLET.test(lines[at]) || NUMBER.test(lines[at]) || /^\s*```/.test(lines[at]))) break;
    kept.push(lines[at]);
  }
  if (kept.length) {
    const block = el("p");
    kept.forEach((line, i) => block.append(...(i ? [el("br")] : []), inline(line.replace(/^#{1,6}\s+/, ""))));
    out.append(block);
  }
  return Math.max(at, 0) + (kept.length ? 0 : 1);
}

/** @param {string} text @param {number} [depth] @returns {DocumentFragment} */
export function inline(text, depth = 0) {
  const out = document.createDocumentFragment();
  let last = 0;
  for (const match of depth < DEEP ? text.matchAll(INLINE) : []) {
    const [whole, escaped, code, label, target, strong, low, emphasis, address] = match;
    const href = safe(target ?? address);
    out.append(text.slice(last, match.index));
    last = match.index + whole.length;
    if (escaped !== undefined) out.append(escaped);
    else if (code !== undefined) out.append(el("code", {}, code));
    else if (strong !== undefined) out.append(el("strong", {}, inline(strong, depth + 1)));
    else if (low !== undefined || emphasis !== undefined) out.append(el("em", {}, inline(low ?? emphasis, depth + 1)));
    else if (href === null) out.append(whole);
    else out.append(anchor(href, label ?? whole));
  }
  out.append(text.slice(last));
  return out;
}
