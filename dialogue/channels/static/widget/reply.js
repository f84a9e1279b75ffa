/** A reply as elements: text, pictures, films, files, cards, and what may be pressed. */
import { content } from "./content.js";
import { anchor, el, icon } from "./dom.js";
import { ICONS } from "./icons.js";
import { markdown } from "./markdown.js";

/**
 * @param {any} item of the conversation
 * @param {import("./texts.js").Texts} texts
 * @param {(choice: import("./content.js").Choice) => void} press
 * @returns {{parts: HTMLElement[], quick: import("./content.js").Choice[], found: import("./content.js").Content}}
 */
export function reply(item, texts, press) {
  const found = content(item);
  const parts = [
    found.text && el("div", { class: "bubble", dir: "auto" }, markdown(found.text)),
    ...found.images.map((image) => picture(image.src, image.alt || (found.text ? "" : texts.image))),
    ...found.videos.map((src) => el("video", { class: "media", src, controls: true, preload: "metadata" })),
    ...found.files.map((file) => withClass(anchor(file.href, icon(ICONS.file), file.name), "file")),
    found.cards.length > 0 && carousel(found.cards, texts, press),
    found.buttons.length > 0 && el("div", { class: "buttons" }, ...found.buttons.map((one) => button(one, press))),
  ];
  return { parts: /** @type {HTMLElement[]} */ (parts.filter(Boolean)), quick: found.quick, found };
}

/**
 * @param {import("./content.js").Choice} choice
 * @param {(choice: import("./content.js").Choice) => void} press
 * @returns {HTMLElement}
 */
export function button(choice, press) {
  if (choice.url) return withClass(anchor(choice.url, choice.title), "choice");
  return el("button", { type: "button", class: "choice", dir: "auto", onclick: () => press(choice) }, choice.title);
}

/** @param {string} src @param {string} alt @returns {HTMLElement} */
function picture(src, alt) {
  return el("img", { class: "media", src, alt, loading: "lazy", referrerpolicy: "no-referrer" });
}

/** @param {import("./content.js").Card[]} cards @param {import("./texts.js").Texts} texts @param {any} press */
function carousel(cards, texts, press) {
  const list = el(
    "ul",
    { class: "cards", role: "list", tabindex: cards.length > 1 && 0, "aria-label": texts.cards },
    ...cards.map((one) => el("li", { class: "card" }, ...card(one, press))),
  );
  if (cards.length < 2) return el("div", { class: "carousel" }, list);
  const turn = (/** @type {number} */ by) => () => {
    const step = /** @type {HTMLElement} */ (list.firstElementChild).offsetWidth + 10;
    list.scrollBy({ left: by * step * (getComputedStyle(list).direction === "rtl" ? -1 : 1) });
  };
  const arrow = (/** @type {number} */ by, /** @type {string} */ label, /** @type {string} */ d) =>
    el("button", { type: "button", class: "arrow", "aria-label": label, onclick: turn(by) }, icon(d));
  const arrows = el(
    "div",
    { class: "arrows" },
    arrow(-1, texts.previous, ICONS.back),
    arrow(1, texts.next, ICONS.forth),
  );
  return el("div", { class: "carousel" }, list, arrows);
}

/** @param {import("./content.js").Card} one @param {any} press @returns {(HTMLElement | false)[]} */
function card(one, press) {
  const title = one.url ? anchor(one.url, one.title || one.url) : one.title;
  return [
    one.image ? picture(one.image, one.alt) : false,
    el("div", { class: "words", dir: "auto" }, el("strong", {}, title), one.subtitle && el("p", {}, one.subtitle)),
    one.buttons.length > 0 && el("div", { class: "deeds" }, ...one.buttons.map((choice) => button(choice, press))),
  ];
}

/** @param {HTMLElement} element @param {string} name */
function withClass(element, name) {
  element.className = name;
  return element;
}
