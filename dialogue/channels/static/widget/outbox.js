/**
 * What the visitor wrote and the server has not taken yet, oldest first. It outlives the page; every message has its id
 * from the start, so sending it twice is sending it once.
 */

/** @typedef {{id: string, text: string, metadata?: Record<string, any>, failed?: string}} Unsent */

const MOST = 50;

export class Outbox {
  /** @param {any} kept where messages wait; shared by all tabs, so it is read anew each time */
  constructor(kept) {
    this.kept = kept;
  }

  /** @returns {Unsent[]} */
  all() {
    return this.kept.get("unsent") ?? [];
  }

  /** The one whose turn it is. @returns {Unsent | undefined} */
  next() {
    return this.all().find((message) => !message.failed);
  }

  /** @param {string} text @param {Record<string, any>} [metadata] @returns {Unsent} */
  add(text, metadata) {
    const message = { id: randomId(), text, ...(metadata ? { metadata } : {}) };
    this.kept.set("unsent", [...this.all(), message].slice(-MOST));
    return message;
  }

  /** @param {string} id @returns {boolean} whether it was waiting */
  remove(id) {
    const before = this.all();
    const after = before.filter((message) => message.id !== id);
    if (after.length !== before.length) this.kept.set("unsent", after);
    return after.length !== before.length;
  }

  /** @param {string} id @param {string | undefined} failed why it cannot be sent; undefined: to be tried again */
  mark(id, failed) {
    this.kept.set("unsent", this.all().map((message) => (message.id === id ? { ...message, failed } : message)));
  }

  clear() {
    this.kept.remove("unsent");
  }
}

/** crypto.randomUUID wants a secure context; this does not. */
function randomId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
