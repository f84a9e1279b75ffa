/** The chat itself, loaded when it is first needed: joins the connection to what is seen. */
import { Connection } from "./connection.js";
import { Panel } from "./panel.js";
import { textsOf } from "./texts.js";
import { Transcript } from "./transcript.js";

const RATINGS = 20; // kept, so that a thumb given stays given after a reload

/**
 * @param {any} page what widget.js hands over: where to draw, what to keep things in, the options of the script tag
 * @returns {Promise<Chat>}
 */
export async function mount(page) {
  const response = await fetch(new URL("chat.css", import.meta.url), { credentials: "omit" });
  if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(await response.text());
  page.root.adoptedStyleSheets = [...page.root.adoptedStyleSheets, sheet];
  const chat = new Chat(page);
  await chat.begin();
  return chat;
}

class Chat {
  #opened = false;
  #past = 0; // number of the last item that was there when the page came
  #known = false;
  #unread = 0;

  /** @param {any} page */
  constructor(page) {
    this.page = page;
    const { language, options } = page;
    const texts = textsOf(language);
    const title = options.title ?? texts.title;
    this.texts = texts;
    this.connection = new Connection(page.server, page.kept);
    this.transcript = new Transcript(texts, language, title, {
      press: (choice) => this.#press(choice),
      retry: (id) => this.connection.retry(id),
      rate: (id, rating) => this.#rate(id, rating),
    });
    this.panel = new Panel(texts, this.transcript, { title, subtitle: options.subtitle }, {
      close: () => this.close(),
      send: (text) => this.send(text),
      upload: options.upload && ((file) => this.#upload(file)),
    });
    page.frame.prepend(this.panel.element);
    this.#listen();
    this.#lay();
  }

  async begin() {
    if (this.page.options.identity) await this.identify(this.page.options.identity);
    this.connection.start();
  }

  open() {
    if (this.#opened) return;
    this.#opened = true;
    this.page.setOpen(true);
    this.panel.show();
    this.transcript.follow(true);
    this.#read();
    this.#start();
    this.page.emit("open", {});
  }

  close() {
    if (!this.#opened) return;
    this.#opened = false;
    this.panel.hide();
    this.page.setOpen(false);
    this.page.launcher.focus();
    this.page.emit("close", {});
  }

  /**
   * Say something in the visitor's name.
   * @param {string} text what the bot reads: a sentence or a shortcut such as /greet
   * @param {{title?: string, metadata?: Record<string, any>}} [options] `title`: what is shown instead; "" for nothing
   */
  send(text, { title, metadata } = {}) {
    const shown = title ?? (text.startsWith("/") ? text : undefined);
    const more = shown === undefined ? metadata : { ...metadata, title: shown };
    const message = this.connection.send(text, more);
    if (this.connection.outbox.all().some((one) => one.id === message.id)) this.transcript.wait(message);
    this.page.emit("message", { id: message.id, text });
  }

  /** @param {string} token that the page's own server signed for its user */
  identify(token) {
    return this.connection.identify(token);
  }

  /** The visitor leaves: nothing of the conversation stays in this browser. */
  reset() {
    for (const part of ["read", "ratings"]) this.page.kept.remove(part);
    this.connection.reset();
  }

  #listen() {
    const on = (/** @type {string} */ name, /** @type {(detail: any) => void} */ run) =>
      this.connection.addEventListener(name, (event) => run(/** @type {CustomEvent} */ (event).detail));
    on("state", (state) => this.panel.tell(state));
    on("ready", (ready) => this.#ready(ready));
    on("item", (item) => this.#item(item));
    on("typing", (is) => this.transcript.typing(is));
    on("sent", (id) => this.transcript.arrived(id));
    on("failed", ({ id, message }) => {
      this.transcript.fail(id, message);
      this.page.emit("error", { id, message });
    });
    on("refused", (message) => this.page.emit("error", { message }));
    on("fresh", () => {
      this.#known = false;
      this.#past = 0;
      this.#count(0);
      this.page.kept.remove("read");
      this.#lay();
    });
  }

  /** The list as it is before the server said anything: the greeting, and what still waits to be sent. */
  #lay() {
    const { greeting } = this.page.options;
    this.transcript.clear();
    if (greeting) this.transcript.add({ type: "reply", text: greeting, time: Date.now() / 1000 }, false);
    for (const message of this.connection.outbox.all()) this.transcript.wait(message);
  }

  /** @param {{conversation: string, last: number}} ready */
  #ready(ready) {
    if (!this.#known) this.#past = ready.last;
    this.#known = true;
    this.page.emit("ready", ready);
    if (this.#opened) this.#start();
  }

  /** @param {any} item */
  #item(item) {
    const fresh = item.sequence > this.#past;
    this.transcript.add(item, fresh && this.#opened);
    if (item.type !== "reply") return;
    if (fresh) this.page.emit("reply", item);
    if (item.message_id && this.page.options.feedback) {
      this.transcript.ask(item.message_id, (this.page.kept.get("ratings") ?? {})[item.message_id]);
    }
    if (this.#opened) this.page.kept.set("read", item.sequence);
    else if (item.sequence > (this.page.kept.get("read") ?? 0)) this.#count(this.#unread + 1);
  }

  /** The first word of a conversation, where the page wants the bot to begin. */
  #start() {
    const { start } = this.page.options;
    if (!start || !this.#known || this.#past > 0 || this.connection.outbox.all().length) return;
    this.#past = -1;
    this.send(start, { title: "" });
  }

  #read() {
    this.page.kept.set("read", Math.max(this.page.kept.get("read") ?? 0, this.connection.last));
    this.#count(0);
  }

  /** @param {number} unread */
  #count(unread) {
    this.#unread = unread;
    this.page.setUnread(unread);
  }

  /** @param {import("./content.js").Choice} choice */
  #press({ title, payload }) {
    this.send(payload ?? title, payload === title ? {} : { title });
    this.panel.input.focus({ preventScroll: true });
  }

  /** @param {string} id @param {"up" | "down"} rating */
  #rate(id, rating) {
    const ratings = Object.entries({ ...this.page.kept.get("ratings"), [id]: rating }).slice(-RATINGS);
    this.page.kept.set("ratings", Object.fromEntries(ratings));
    this.connection.rate(id, rating).catch((error) => this.page.emit("error", { message: String(error) }));
    this.page.emit("feedback", { id, rating });
  }

  /** Give a file to where the page said, and tell the bot where it is. @param {File} file */
  async #upload(file) {
    const { upload } = this.page.options;
    const form = new FormData();
    form.append("file", file);
    // The visitor's token is for the bot's server alone.
    const own = upload.startsWith(this.page.server);
    /** @type {Record<string, string>} */
    const headers = own ? { Authorization: `Bearer ${await this.connection.token()}` } : {};
    try {
      const response = await fetch(upload, { method: "POST", body: form, headers, credentials: "omit" });
      if (!response.ok) throw new Error(`${response.status} ${response.statusText}`);
      const { url } = await response.json();
      const { name, type, size } = file;
      this.send(name, { title: `📎 ${name}`, metadata: { file: { url, name, type, size } } });
    } catch (error) {
      this.panel.notice.textContent = this.texts.uploadFailed;
      this.page.emit("error", { message: String(error) });
    }
  }
}
