/** Whose conversation it is: a token of the server's, kept across pages and tabs, renewed before it runs out. */

/** @typedef {{conversation: string, token: string, expires: number}} Session */

const EARLY = 60; // seconds before its end at which a token is renewed

/** The server was reached and said no. `status` is HTTP's. */
export class RefusedError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export class Sessions {
  /** @param {string} server its address, with a slash at the end @param {any} kept where the token is */
  constructor(server, kept) {
    this.server = server;
    this.kept = kept;
  }

  /**
   * A session that is good for now: the one kept, renewed when it must be, or a new one.
   * @returns {Promise<Session>}
   */
  current() {
    return exclusively(`starfold ${this.server}`, async () => {
      const kept = /** @type {Session | null} */ (this.kept.get("session"));
      if (kept && kept.expires > Date.now() / 1000 + EARLY) return kept;
      try {
        return await this.#begin(kept?.token);
      } catch (error) {
        if (!kept || !(error instanceof RefusedError) || error.status !== 401) throw error;
        return this.#begin();
      }
    });
  }

  /** The session of a user whom the page vouches for. @param {string} token signed by the page @returns {Promise<Session>} */
  identified(token) {
    return exclusively(`starfold ${this.server}`, () => this.#begin(token));
  }

  /** The token was refused: the next one is asked for, whatever the clock says. */
  doubt() {
    const kept = this.kept.get("session");
    if (kept) this.kept.set("session", { ...kept, expires: 0 });
  }

  /** Whoever comes next is somebody else. */
  forget() {
    this.kept.remove("session");
  }

  /** @param {string} [token] @returns {Promise<Session>} */
  async #begin(token) {
    const session = await call(`${this.server}api/session`, { body: token ? { token } : {} });
    this.kept.set("session", session);
    return session;
  }
}

/**
 * One request of the API; JSON both ways.
 * @param {string} url
 * @param {{body?: any, token?: string, method?: string, seconds?: number}} [options]
 * @returns {Promise<any>}
 */
export async function call(url, { body, token, method, seconds = 40 } = {}) {
  const response = await fetch(url, {
    method: method ?? (body === undefined ? "GET" : "POST"),
    headers: {
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    credentials: "omit",
    signal: AbortSignal.timeout(1000 * seconds),
  });
  const said = response.status === 204 ? null : await response.json().catch(() => null);
  if (!response.ok) throw new RefusedError(response.status, said?.error ?? `${response.status} ${response.statusText}`);
  return said;
}

/** Tabs must not begin a session each. @template T @param {string} name @param {() => Promise<T>} run @returns {Promise<T>} */
function exclusively(name, run) {
  return navigator.locks ? /** @type {Promise<any>} */ (navigator.locks.request(name, run)) : run();
}
