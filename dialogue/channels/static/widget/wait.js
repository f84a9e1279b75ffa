/** How long to wait for the next try: longer each time, never quite the same, and cut short when there is hope. */
export class Backoff {
  /** @param {number} first seconds @param {number} most seconds */
  constructor(first, most) {
    this.first = first;
    this.most = most;
    this.tries = 0;
  }

  /** It worked: the next wait is short again. */
  reset() {
    this.tries = 0;
  }

  /** @returns {number} milliseconds, between half of and the whole of the time that is due */
  next() {
    const seconds = Math.min(this.most, this.first * 2 ** this.tries);
    this.tries += 1;
    return 1000 * seconds * (0.5 + Math.random() / 2);
  }
}
