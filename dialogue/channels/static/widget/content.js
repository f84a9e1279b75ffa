/**
 * What a reply holds, whatever shape it came in: the bot's own, Rasa's elements and templates, or those of its socket.
 */
import { media, safe } from "./dom.js";

/**
 * @typedef {{title: string, payload?: string, url?: string}} Choice
 * @typedef {{title: string, subtitle: string, image: string | null, alt: string, url: string | null, buttons: Choice[]}} Card
 * @typedef {{text: string, buttons: Choice[], quick: Choice[], images: {src: string, alt: string}[], videos: string[],
 *   files: {href: string, name: string}[], cards: Card[]}} Content
 */

/** @param {any} item of the conversation @returns {Content} */
export function content(item) {
  const custom = isMap(item.custom) ? item.custom : {};
  const parts = [isMap(item.attachment) ? item.attachment : {}, isMap(custom.attachment) ? custom.attachment : {}];
  const payloads = parts.map((part) => (isMap(part.payload) ? part.payload : {}));
  const of = (/** @type {string} */ type) => payloads.filter((_, i) => parts[i].type === type);
  const alt = text(custom.alt);
  const pictures = [item.image, custom.image, ...of("image").map((payload) => payload.src)];
  const elements = [custom.cards, custom.elements, custom.payload?.elements, ...of("template").map((p) => p.elements)];
  const files = [item.attachment, custom.file, ...of("file").map((payload) => payload.src ?? payload.url)];
  return {
    text: text(item.text) || text(custom.text),
    buttons: choices(item.buttons).concat(choices(custom.buttons)),
    quick: choices(custom.quick_replies).concat(choices(item.quick_replies)),
    images: pictures.map(media).flatMap((src) => (src ? [{ src, alt }] : [])),
    videos: [custom.video, ...of("video").map((payload) => payload.src)].map(media).flatMap((src) => src ?? []),
    files: files.map(media).flatMap((href) => (href ? [{ href, name: fileName(href) }] : [])),
    cards: elements.flatMap((list) => (Array.isArray(list) ? list.filter(isMap).map(card) : [])),
  };
}

/** The words of a reply, for who does not see it. @param {Content} found @returns {string} */
export function spoken(found) {
  const cards = found.cards.map((one) => [one.title, one.subtitle].filter(Boolean).join(", "));
  const titles = [...found.buttons, ...found.quick].map((choice) => choice.title);
  const alts = found.images.map((image) => image.alt);
  const parts = [found.text, ...alts, ...cards, titles.join(", ")].map((part) => part.trim()).filter(Boolean);
  return parts.map((part, i) => (i < parts.length - 1 && !/[.!?:…。！？：]$/.test(part) ? `${part}.` : part)).join(" ");
}

/** @param {any} value @returns {Choice[]} */
function choices(value) {
  if (!Array.isArray(value)) return [];
  return value.filter(isMap).flatMap((button) => {
    const title = text(button.title);
    const url = safe(button.url);
    if (!title || (url === null && button.url !== undefined)) return [];
    return [url ? { title, url } : { title, payload: text(button.payload) || title }];
  });
}

/** @param {any} value @returns {Card} */
function card(value) {
  return {
    title: text(value.title),
    subtitle: text(value.subtitle),
    image: media(value.image ?? value.image_url),
    alt: text(value.alt),
    url: safe(value.url ?? value.default_action?.url),
    buttons: choices(value.buttons),
  };
}

/** @param {string} href @returns {string} */
function fileName(href) {
  const last = new URL(href).pathname.split("/").at(-1) || new URL(href).hostname;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

const isMap = (/** @type {any} */ value) => value !== null && typeof value === "object" && !Array.isArray(value);
const text = (/** @type {any} */ value) =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
