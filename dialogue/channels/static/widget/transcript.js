/** What was said, as a list that grows at its end; and a live region that says each finished message once. */
import { spoken } from "./content.js";
import { el, icon } from "./dom.js";
import { ICONS } from "./icons.js";
import { button, reply } from "./reply.js";

const TOGETHER = 300; // seconds within which messages of one side stand under one name
const SPOKEN_FOR = 20_000;
const NEAR = 80; // pixels from the end within which the view follows

/** @typedef {{press: (choice: any) => void, retry: (id: string) => void, rate: (id: string, rating: "up" | "down") => void}} Deeds */

export class Transcript {
  /** @type {Map<string, HTMLElement>} */
  #waiting = new Map();
  /** @type {HTMLElement | undefined} */
  #feedback;

  /** @param {import("./texts.js").Texts} texts @param {string} language @param {string} name of the bot @param {Deeds} deeds */
  constructor(texts, language, name, deeds) {
    this.texts = texts;
    this.name = name;
    this.deeds = deeds;
    const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
    this.clock = new Intl.DateTimeFormat(locale, { hour: "numeric", minute: "2-digit" });
    this.list = el("ol", { class: "messages", role: "list" });
    this.dots = el("div", { class: "typing", "aria-hidden": "true", hidden: true }, el("i"), el("i"), el("i"));
    this.view = el(
      "div",
      { class: "view", tabindex: 0, role: "region", "aria-label": texts.conversation, onscroll: () => this.#scrolled() },
      this.list,
      this.dots,
    );
    this.newest = el(
      "button",
      { type: "button", class: "newest", "aria-label": texts.newest, hidden: true, onclick: () => this.follow(true) },
      icon(ICONS.down),
    );
    this.quick = el("div", { class: "quick", role: "group", "aria-label": texts.suggestions, hidden: true });
    this.live = el("div", { class: "spoken", role: "log", "aria-live": "polite", "aria-label": texts.news });
    new ResizeObserver(() => this.#near && this.follow()).observe(this.list);
  }

  #near = true;

  /** One message of either side. @param {any} item @param {boolean} fresh whether it comes just now */
  add(item, fresh) {
    const near = this.#near;
    if (item.type === "user") this.#user(item);
    else this.#reply(item, fresh);
    if (near || item.type === "user") this.follow();
    else this.newest.hidden = false;
  }

  /** A message on its way. @param {import("./outbox.js").Unsent} message */
  wait(message) {
    if (hidden(message)) return;
    const row = this.#row("user", Date.now() / 1000, null, el("div", { class: "bubble", dir: "auto" }, titleOf(message)));
    row.classList.add("waiting");
    row.append(el("p", { class: "fate" }, this.texts.waiting));
    this.#waiting.set(message.id, row);
    this.#answered();
    if (message.failed) this.fail(message.id, message.failed);
    this.follow(true);
  }

  /** It arrived. @param {string} id */
  arrived(id) {
    this.#waiting.get(id)?.remove();
    this.#waiting.delete(id);
  }

  /** It will not arrive. @param {string} id @param {string} reason */
  fail(id, reason) {
    const fate = this.#waiting.get(id)?.querySelector(".fate");
    if (!fate) return;
    const again = el("button", { type: "button", class: "again" }, this.texts.again);
    again.addEventListener("click", () => {
      fate.replaceChildren(this.texts.waiting);
      fate.classList.remove("failed");
      this.deeds.retry(id);
    });
    fate.classList.add("failed");
    fate.replaceChildren(`${this.texts.failed} ${reason} `, again);
    this.#speak(`${this.texts.failed} ${reason}`);
  }

  /** @param {boolean} is whether the bot is at it */
  typing(is) {
    this.dots.hidden = !is;
    if (is && this.#near) this.follow();
  }

  /** Thumbs under the last answer. @param {string} id of the message it answers @param {string} [rating] given before */
  ask(id, rating) {
    const rows = this.list.querySelectorAll(`[data-answers="${CSS.escape(id)}"]`);
    const row = rows[rows.length - 1];
    if (!row) return;
    if (!this.#feedback?.querySelector('[aria-pressed="true"]')) this.#feedback?.remove();
    const thumb = (/** @type {"up" | "down"} */ way, /** @type {string} */ label) => {
      const pressed = () => {
        group.querySelectorAll("button").forEach((one) => one.setAttribute("aria-pressed", String(one === it)));
        this.#speak(this.texts.thanks);
        this.deeds.rate(id, way);
      };
      const it = el(
        "button",
        { type: "button", class: "thumb", "aria-label": label, title: label, "aria-pressed": String(rating === way) },
        icon(way === "up" ? ICONS.up : ICONS.thumb),
      );
      it.addEventListener("click", pressed);
      return it;
    };
    const group = el("div", { class: "thumbs" }, thumb("up", this.texts.helpful), thumb("down", this.texts.unhelpful));
    this.#feedback = group;
    row.append(group);
    if (this.#near) this.follow();
  }

  /** Show the end, if it was in sight or is asked for. @param {boolean} [wanted] */
  follow(wanted = false) {
    if (wanted) this.#near = true;
    this.view.scrollTop = this.view.scrollHeight;
    this.newest.hidden = true;
  }

  clear() {
    this.list.replaceChildren();
    this.live.replaceChildren();
    this.#waiting.clear();
    this.#offer([]);
  }

  /** @param {any} item */
  #user(item) {
    this.arrived(item.message_id);
    this.#answered();
    if (!hidden(item)) this.#insert("user", item.time, el("div", { class: "bubble", dir: "auto" }, titleOf(item)));
  }

  /** @param {any} item @param {boolean} fresh */
  #reply(item, fresh) {
    const { parts, quick, found } = reply(item, this.texts, this.deeds.press);
    if (parts.length) {
      const row = this.#insert("bot", item.time, ...parts);
      if (item.message_id) row.dataset.answers = item.message_id;
      row.classList.toggle("fresh", fresh);
    }
    this.#offer(quick);
    if (fresh) this.#speak(`${this.name}: ${spoken(found)}`);
  }

  /** What could be pressed in answer to a question has been answered. */
  #answered() {
    this.#offer([]);
    for (const one of this.list.querySelectorAll("button.choice")) {
      if (!one.closest(".card")) /** @type {HTMLButtonElement} */ (one).disabled = true;
    }
  }

  /** @param {any[]} choices */
  #offer(choices) {
    this.quick.replaceChildren(...choices.map((choice) => button(choice, this.deeds.press)));
    this.quick.hidden = choices.length === 0;
  }

  /** A message before those on their way. @param {"user" | "bot"} side @param {number} time @param {...HTMLElement} parts */
  #insert(side, time, ...parts) {
    return this.#row(side, time, this.list.querySelector(".waiting"), ...parts);
  }

  /** @param {"user" | "bot"} side @param {number} time @param {Element | null} next @param {...HTMLElement} parts */
  #row(side, time, next, ...parts) {
    const last = /** @type {HTMLElement | null} */ (next ? next.previousElementSibling : this.list.lastElementChild);
    const first = last?.dataset.side !== side || time - Number(last.dataset.time) > TOGETHER;
    const moment = new Date(1000 * time);
    const who = el("span", { class: side === "user" ? "spoken" : "who" }, side === "user" ? this.texts.you : this.name);
    const when = el("time", { datetime: moment.toISOString() }, this.clock.format(moment));
    const head = el("p", { class: first ? "head" : "head spoken" }, who, " ", when);
    const names = { class: `row ${side}${first ? " first" : ""}`, "data-side": side, "data-time": time };
    const row = el("li", names, head, ...parts);
    this.list.insertBefore(row, next);
    return row;
  }

  /** @param {string} words */
  #speak(words) {
    const said = el("p", {}, words);
    this.live.append(said);
    setTimeout(() => said.remove(), SPOKEN_FOR);
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.view;
    this.#near = scrollHeight - scrollTop - clientHeight < NEAR;
    if (this.#near) this.newest.hidden = true;
  }
}

/** What the visitor sees of a message: the title of what was pressed, or its text. @param {any} message */
const titleOf = (message) => message.title ?? message.metadata?.title ?? message.text;

/** A shortcut that nobody wrote, such as the one that begins a conversation, is not shown. @param {any} message */
const hidden = (message) => {
  const title = message.title ?? message.metadata?.title;
  return title === "" || (title === undefined && message.text.startsWith("/"));
};
