/** Elements by code: nothing that comes from outside is ever parsed as HTML. */

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes] `class`, `on<event>` and attributes; `true` sets an empty one, `false`,
 *   `null` and `undefined` leave it out
 * @param {...(Node | string | null | undefined | false)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** @param {string} d path of a 24 x 24 drawing @returns {SVGSVGElement} */
export function icon(d) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", d);
  svg.append(path);
  return svg;
}

const LINKS = ["http:", "https:", "mailto:", "tel:"];

/**
 * An address that may be followed, or null. Only what names its scheme counts: nothing is relative to the host page.
 * @param {unknown} address
 * @param {string[]} [schemes]
 * @returns {string | null}
 */
export function safe(address, schemes = LINKS) {
  if (typeof address !== "string") return null;
  try {
    const url = new URL(address);
    return schemes.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** @param {unknown} address of a picture, film or file @returns {string | null} */
export const media = (address) => safe(address, ["http:", "https:"]);

/** @param {string} href already safe @param {...(Node | string)} children @returns {HTMLElement} */
export function anchor(href, ...children) {
  return el("a", { href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}
