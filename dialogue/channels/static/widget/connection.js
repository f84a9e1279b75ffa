/**
 * The conversation with the server: over a WebSocket, and over plain requests where that does not get through.
 *
 * What was written waits in the outbox until the server says it is done, one message at a time, so that order is kept;
 * after a break everything unanswered is sent again under its old id. What the server says has numbers, so after a
 * break it is asked for all after the last one seen, and nothing is shown twice.
 *
 * Events: `state` (online, connecting, offline), `ready`, `item`, `typing` (boolean), `sent` (id), `failed` ({id,
 * message}), `refused` (why there is no session), `fresh` (another conversation: forget what is shown).
 */
import { Outbox } from "./outbox.js";
import { Plain } from "./plain.js";
import { RefusedError, Sessions, call } from "./session.js";
import { Socket } from "./socket.js";
import { Backoff } from "./wait.js";

const DEAF = 2; // sockets in a row that never got as far as ready: then plain requests do

export class Connection extends EventTarget {
  #sessions;
  /** @type {Socket | Plain | undefined} */
  #line;
  #ready = false;
  #plain = false;
  #deaf = 0;
  /** @type {string | undefined} */
  #inFlight;
  #last = 0;
  /** @type {Set<number>} */
  #seen = new Set();
  #backoff = new Backoff(0.5, 20);
  #patience = new Backoff(1, 30);
  #plainly = new Backoff(5, 300);
  #next = 0; // timers
  #resend = 0;
  #socketAgain = 0;
  #attempt = 0;
  #running = false;
  #resting = false; // until the next try

  /** @param {string} server its address, with a slash at the end @param {any} kept what outlives the page */
  constructor(server, kept) {
    super();
    this.server = server;
    this.outbox = new Outbox(kept);
    this.#sessions = new Sessions(server, kept);
    this.state = "connecting";
    addEventListener("online", () => this.#hurry());
    addEventListener("offline", () => this.#running && this.#lost("broken"));
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#hurry());
  }

  /** Number of the last event the server told of. */
  get last() {
    return this.#last;
  }

  /** Connect, and stay connected. */
  start() {
    if (this.#running) return;
    this.#running = true;
    void this.#connect();
  }

  /** @param {string} text @param {Record<string, any>} [metadata] @returns {import("./outbox.js").Unsent} */
  send(text, metadata) {
    const message = this.outbox.add(text, metadata);
    this.start();
    this.#hurry();
    this.#flush();
    return message;
  }

  /** @param {string} id of a message that failed */
  retry(id) {
    this.outbox.mark(id, undefined);
    this.#flush();
  }

  /** @param {string} message_id @param {"up" | "down"} rating */
  async rate(message_id, rating) {
    const { conversation, token } = await this.#sessions.current();
    const address = `${this.server}api/conversations/${encodeURIComponent(conversation)}/feedback`;
    await call(address, { body: { message_id, rating }, token });
  }

  /** Go on as the user whom the page vouches for. @param {string} token */
  async identify(token) {
    const before = this.#sessions.kept.get("session")?.conversation;
    const session = await this.#sessions.identified(token);
    if (before !== session.conversation) this.#anew();
    if (this.#running) this.#again(0);
  }

  /** Forget the visitor: the next message begins a conversation of somebody else. */
  reset() {
    this.#sessions.forget();
    this.outbox.clear();
    this.#anew();
    if (this.#running) this.#again(0);
  }

  /** A token for requests that concern the conversation. */
  async token() {
    return (await this.#sessions.current()).token;
  }

  async #connect() {
    const attempt = ++this.#attempt;
    this.#resting = false;
    this.#drop();
    let session;
    try {
      session = await this.#sessions.current();
    } catch (error) {
      if (error instanceof RefusedError) this.#emit("refused", error.message);
    }
    if (attempt !== this.#attempt) return;
    if (!session) return this.#again();
    if (this.#plain) this.#socketAgain = setTimeout(() => this.#trySocket(), this.#plainly.next());
    const ends = { hear: (/** @type {any} */ frame) => this.#hear(frame), lost: (/** @type {any} */ why) => this.#lost(why) };
    this.#line = new (this.#plain ? Plain : Socket)(this.server, session, this.#last, ends);
  }

  #trySocket() {
    this.#plain = false;
    this.#deaf = DEAF - 1;
    this.#again(0);
  }

  /** @param {"refused" | "broken" | "unreachable"} why */
  #lost(why) {
    if (why === "refused") this.#sessions.doubt();
    else if (!this.#plain && !this.#ready && navigator.onLine) this.#deaf += 1;
    // Where nothing at all gets through, it was not the socket's fault.
    if (why === "unreachable") this.#deaf = 0;
    this.#plain = this.#deaf >= DEAF;
    this.#drop();
    this.#again();
  }

  #drop() {
    this.#line?.close();
    this.#line = undefined;
    this.#ready = false;
    this.#inFlight = undefined;
    for (const timer of [this.#next, this.#resend, this.#socketAgain]) clearTimeout(timer);
    this.#emit("typing", false);
  }

  /** @param {number} [milliseconds] */
  #again(milliseconds = this.#backoff.next()) {
    this.#become(this.#backoff.tries > 1 ? "offline" : "connecting");
    this.#resting = true;
    clearTimeout(this.#next);
    this.#next = setTimeout(() => this.#connect(), milliseconds);
  }

  /** There is hope: do not wait for the next try. */
  #hurry() {
    if (this.#running && this.#resting) this.#again(0);
  }

  /** @param {any} frame */
  #hear(frame) {
    if (frame.type === "ready") this.#begin(frame);
    else if (frame.type === "user" || frame.type === "reply") this.#take(frame);
    else if (frame.type === "typing") this.#emit("typing", true);
    else if (frame.type === "done") this.#answered(frame.message_id, frame.last);
    else if (frame.type === "error") this.#refused(frame);
  }

  /** @param {{conversation: string, last: number}} ready */
  #begin({ conversation, last }) {
    this.#deaf = this.#plain ? DEAF : 0;
    if (last < this.#last) {
      // The conversation was deleted and began anew: its numbers start from 1 again.
      this.#anew();
      this.#drop();
      return this.#again(0);
    }
    this.#backoff.reset();
    if (!this.#plain) this.#plainly.reset();
    this.#ready = true;
    this.#become("online");
    this.#emit("ready", { conversation, last });
    this.#flush();
  }

  /** @param {any} item */
  #take(item) {
    if (this.#seen.has(item.sequence)) return;
    this.#seen.add(item.sequence);
    this.#last = Math.max(this.#last, item.sequence);
    if (item.type === "user" && this.outbox.remove(item.message_id)) this.#emit("sent", item.message_id);
    this.#emit("item", item);
  }

  /** @param {string} id @param {number} [last] */
  #answered(id, last) {
    this.#patience.reset();
    this.#last = Math.max(this.#last, last ?? 0);
    if (this.outbox.remove(id)) this.#emit("sent", id);
    this.#emit("typing", false);
    if (this.#inFlight === id) this.#inFlight = undefined;
    this.#flush();
  }

  /** @param {{message: string, message_id?: string, retry?: boolean}} error */
  #refused({ message, message_id, retry }) {
    this.#emit("typing", false);
    if (message_id === undefined || message_id !== this.#inFlight) return;
    this.#inFlight = undefined;
    if (retry) {
      this.#resend = setTimeout(() => this.#flush(), this.#patience.next());
    } else {
      this.outbox.mark(message_id, message);
      this.#emit("failed", { id: message_id, message });
      this.#flush();
    }
  }

  #flush() {
    const message = this.outbox.next();
    if (!this.#ready || this.#inFlight || !message) return;
    this.#inFlight = message.id;
    void this.#line?.say(message);
  }

  #anew() {
    this.#last = 0;
    this.#seen.clear();
    this.#emit("fresh", null);
  }

  /** @param {string} state */
  #become(state) {
    if (this.state === state) return;
    this.state = state;
    this.#emit("state", state);
  }

  /** @param {string} name @param {any} detail */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
