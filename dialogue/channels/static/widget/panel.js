/** The window of the chat: its header, what keeps the keyboard inside, and the line to write in. */
import { el, icon } from "./dom.js";
import { ICONS } from "./icons.js";

const PHONE = matchMedia("(max-width: 520px)");
const FOCUSABLE = 'a[href], button:not([disabled]), textarea, input, video[controls], [tabindex="0"]';

/**
 * @typedef {{close: () => void, send: (text: string) => void, upload?: (file: File) => void}} Deeds
 */
export class Panel {
  /**
   * @param {import("./texts.js").Texts} texts
   * @param {import("./transcript.js").Transcript} transcript
   * @param {{title: string, subtitle?: string}} names
   * @param {Deeds} deeds
   */
  constructor(texts, transcript, { title, subtitle }, deeds) {
    this.deeds = deeds;
    this.texts = texts;
    this.subtitle = subtitle ?? texts.online;
    this.state = el("p", { class: "state" }, texts.connecting);
    this.notice = el("p", { class: "notice", role: "status" });
    this.input = /** @type {HTMLTextAreaElement} */ (
      el("textarea", { rows: 1, placeholder: texts.write, "aria-label": texts.write, maxlength: 4000 })
    );
    this.submit = /** @type {HTMLButtonElement} */ (
      el("button", { class: "send", "aria-label": texts.send, title: texts.send }, icon(ICONS.send))
    );
    const close = el(
      "button",
      { type: "button", class: "close", "aria-label": texts.close, title: texts.close, onclick: () => deeds.close() },
      icon(ICONS.down),
    );
    const heading = el("div", { class: "names" }, el("h2", { id: "title" }, title), this.state);
    this.form = el("form", { class: "composer" }, ...this.#attach(), this.input, this.submit);
    this.element = el(
      "section",
      { class: "panel", role: "dialog", "aria-labelledby": "title", tabindex: -1, hidden: true },
      el("header", {}, el("span", { class: "mark" }, icon(ICONS.star)), heading, close),
      el("div", { class: "middle" }, transcript.view, transcript.newest),
      this.notice,
      transcript.quick,
      this.form,
      transcript.live,
    );
    this.#listen();
    this.#grow();
  }

  show() {
    this.element.hidden = false;
    // On a phone the page behind cannot be reached; elsewhere it stays in sight and may be clicked.
    this.element.setAttribute("aria-modal", String(PHONE.matches));
    this.input.focus({ preventScroll: true });
  }

  hide() {
    this.element.hidden = true;
  }

  /** @param {string} state of the connection */
  tell(state) {
    this.state.textContent = state === "online" ? this.subtitle : this.texts.connecting;
    this.element.dataset.state = state;
    this.notice.textContent = state === "offline" ? this.texts.offline : "";
  }

  #listen() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.input.addEventListener("input", () => this.#grow());
    this.input.addEventListener("keydown", (event) => {
      // While an input method composes, Enter takes its suggestion.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.element.addEventListener("keydown", (event) => {
      // The host page's own keys are not meant while somebody writes here.
      event.stopPropagation();
      if (event.key === "Escape" && !event.isComposing) this.deeds.close();
      if (event.key === "Tab") this.#trap(event);
    });
  }

  #send() {
    const text = this.input.value.trim();
    if (!text) return;
    this.input.value = "";
    this.#grow();
    this.deeds.send(text);
  }

  #grow() {
    this.submit.disabled = !this.input.value.trim();
    this.input.dir = this.input.value ? "auto" : "";
    this.input.style.blockSize = "auto";
    this.input.style.blockSize = `${this.input.scrollHeight}px`;
  }

  /** From the last thing on to the first, and back. @param {KeyboardEvent} event */
  #trap(event) {
    const all = /** @type {HTMLElement[]} */ ([...this.element.querySelectorAll(FOCUSABLE)]);
    const seen = all.filter((one) => one.checkVisibility());
    const active = /** @type {ShadowRoot} */ (this.element.getRootNode()).activeElement;
    const [from, to] = event.shiftKey ? [seen[0], seen.at(-1)] : [seen.at(-1), seen[0]];
    if (active !== from && active !== this.element) return;
    event.preventDefault();
    to?.focus();
  }

  #attach() {
    const upload = this.deeds.upload;
    if (!upload) return [];
    const picker = /** @type {HTMLInputElement} */ (el("input", { type: "file", hidden: true, tabindex: -1 }));
    picker.addEventListener("change", () => {
      for (const file of picker.files ?? []) upload(file);
      picker.value = "";
    });
    const { attach } = this.texts;
    const pick = { type: "button", class: "clip", "aria-label": attach, title: attach, onclick: () => picker.click() };
    return [picker, el("button", pick, icon(ICONS.clip))];
  }
}
