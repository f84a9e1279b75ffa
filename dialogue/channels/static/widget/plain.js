/** Plain requests where a WebSocket does not get through. They say what the socket would: the same frames. */
import { RefusedError, call } from "./session.js";

const POLL = 3_000;
const NOT_NOW = [408, 429, 500, 502, 503, 504];

export class Plain {
  #session;
  #after;
  #timer = 0;
  #closed = false;

  /**
   * @param {string} server its address, with a slash at the end
   * @param {import("./session.js").Session} session
   * @param {number} after number of the last event that is known
   * @param {{hear: (frame: any) => void, lost: (why: "refused" | "broken" | "unreachable") => void}} ends
   */
  constructor(server, session, after, ends) {
    this.server = server;
    this.ends = ends;
    this.#session = session;
    this.#after = after;
    void this.#poll(true);
  }

  /** @param {import("./outbox.js").Unsent} message */
  async say({ id, text, metadata }) {
    this.#hear({ type: "typing", message_id: id });
    try {
      await this.#call("messages", { id, text, metadata });
      await this.#fetch();
      this.#hear({ type: "done", message_id: id, last: this.#after });
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status === 401) return this.#end(error);
      this.#hear({ type: "error", message: error.message, message_id: id, retry: NOT_NOW.includes(error.status) });
    }
  }

  /** Nothing is heard of it afterwards. */
  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  /** Ask for what is new, again and again. @param {boolean} [first] */
  async #poll(first = false) {
    try {
      await this.#fetch(first);
    } catch (error) {
      return this.#end(error);
    }
    if (!this.#closed) this.#timer = setTimeout(() => this.#poll(), POLL);
  }

  /** @param {boolean} [first] */
  async #fetch(first = false) {
    const { items, last } = await this.#call(`messages?after=${this.#after}`);
    // A last number that is smaller than before tells that the conversation began anew.
    if (first || last < this.#after) this.#hear({ type: "ready", conversation: this.#session.conversation, last });
    items.forEach((/** @type {any} */ item) => this.#hear(item));
    this.#after = last;
  }

  /** @param {any} error */
  #end(error) {
    if (this.#closed) return;
    this.close();
    if (!(error instanceof RefusedError)) this.ends.lost("unreachable");
    else this.ends.lost(error.status === 401 ? "refused" : "broken");
  }

  /** @param {any} frame */
  #hear(frame) {
    if (!this.#closed) this.ends.hear(frame);
  }

  /** @param {string} what @param {any} [body] */
  #call(what, body) {
    const { conversation, token } = this.#session;
    return call(`${this.server}api/conversations/${encodeURIComponent(conversation)}/${what}`, { body, token });
  }
}
