/** One WebSocket: says hello, hands over what it hears, and notices when the other end is dead. */

const PING = 25_000;
const SILENCE = 10_000; // after a ping; then the connection is dead, whatever the browser says
const REFUSED = 4401;

export class Socket {
  #socket;
  #heart = 0;

  /**
   * @param {string} server its address, with a slash at the end
   * @param {import("./session.js").Session} session
   * @param {number} after number of the last event that is known
   * @param {{hear: (frame: any) => void, lost: (why: "refused" | "broken") => void}} ends each is called for this
   *   connection alone, `lost` at most once
   */
  constructor(server, { token }, after, ends) {
    const address = new URL("api/ws", server);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    this.ends = ends;
    this.#socket = new WebSocket(address);
    this.#socket.onopen = () => this.#send({ type: "hello", token, after });
    this.#socket.onmessage = (event) => {
      this.#beat();
      ends.hear(JSON.parse(event.data));
    };
    this.#socket.onclose = (event) => this.#end(event.code === REFUSED ? "refused" : "broken");
  }

  /** @param {import("./outbox.js").Unsent} message */
  say({ id, text, metadata }) {
    this.#send({ type: "message", id, text, ...(metadata ? { metadata } : {}) });
  }

  /** Nothing is heard of it afterwards. */
  close() {
    clearTimeout(this.#heart);
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
  }

  /** @param {"refused" | "broken"} why */
  #end(why) {
    this.close();
    this.ends.lost(why);
  }

  /** A sign of life; without the next one in time the connection is dead. */
  #beat() {
    clearTimeout(this.#heart);
    this.#heart = setTimeout(() => {
      this.#send({ type: "ping" });
      this.#heart = setTimeout(() => this.#end("broken"), SILENCE);
    }, PING);
  }

  /** @param {any} frame */
  #send(frame) {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }
}
