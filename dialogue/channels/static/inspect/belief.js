/** A belief as bars: each intent with its credible interval, and the unknown; drawn anew, they move to where they are now. */
import { el } from "../widget/dom.js";

const SHOWN = 7;

/** @typedef {{name: string, mean: number, lower: number, upper: number}} Candidate */
/** @typedef {{intents: Candidate[], unknown: number, entropy: number, mutual_information: number, contributions: Record<string, number>}} Belief */

/** @param {number} value @returns {string} */
export const number = (value) => (value < 0.0005 ? "0" : value.toFixed(value >= 0.1 ? 2 : 3));

/**
 * @param {Belief} belief
 * @param {Belief} [before] what it was, shown as a mark on each bar
 * @returns {HTMLElement}
 */
export function beliefBars(belief, before) {
  const shown = belief.intents.slice(0, SHOWN);
  const old = new Map((before?.intents ?? []).map((one) => [one.name, one.mean]));
  const rest = belief.intents.slice(SHOWN).reduce((sum, one) => sum + one.mean, 0);
  const rows = shown.map((one) => bar(one.name, one, before && (old.get(one.name) ?? 0)));
  if (rest >= 0.005) rows.push(bar("the others", { mean: rest, lower: rest, upper: rest }, undefined, "others"));
  const { unknown } = belief;
  rows.push(bar("unknown", { mean: unknown, lower: unknown, upper: unknown }, before?.unknown, "unknown"));
  return el("ul", { class: "bars" }, ...rows);
}

/** Move bars that stand there to another belief. @param {HTMLElement} place @param {Belief} belief @param {Belief} before */
export function move(place, belief, before) {
  const now = beliefBars(belief, before);
  const was = new Map([...place.querySelectorAll(".bar")].map((row) => [name(row), row]));
  for (const row of now.querySelectorAll(".bar")) {
    const from = /** @type {HTMLElement | undefined} */ (was.get(name(row)));
    const to = variables(/** @type {HTMLElement} */ (row));
    set(/** @type {HTMLElement} */ (row), from ? variables(from) : { "--mean": "0", "--lower": "0", "--upper": "0" });
    setTimeout(() => set(/** @type {HTMLElement} */ (row), to), 60);
  }
  place.replaceChildren(now);
}

/** The whole belief in one thin line. @param {Belief} belief @returns {HTMLElement} */
export function strip(belief) {
  const parts = belief.intents.slice(0, 4).map((one, i) => piece(`rank-${i}`, one.name, one.mean));
  parts.push(piece("unknown", "unknown", belief.unknown));
  return el("span", { class: "strip", "aria-hidden": "true" }, ...parts);
}

/** @param {Record<string, number>} contributions that sum to 1 @returns {HTMLElement} */
export function shares(contributions) {
  const sorted = Object.entries(contributions).sort((a, b) => b[1] - a[1]);
  const colours = Object.keys(contributions);
  const of = (/** @type {string} */ view) => `share-${colours.indexOf(view) % 7}`;
  return el(
    "div",
    { class: "shares" },
    el("span", { class: "strip thick", "aria-hidden": "true" }, ...sorted.map(([view, share]) => piece(of(view), view, share))),
    el(
      "ul",
      { class: "legend" },
      ...sorted.map(([view, share]) =>
        el("li", {}, el("i", { class: of(view) }), `${view} `, el("b", {}, `${Math.round(100 * share)} %`)),
      ),
    ),
  );
}

/** @param {string} label @param {{mean: number, lower: number, upper: number}} at @param {number} [before] @param {string} [kind] */
function bar(label, at, before, kind = "intent") {
  const numbers = at.lower === at.upper ? "" : `${number(at.lower)} – ${number(at.upper)}`;
  const track = el("span", { class: "track", "aria-hidden": "true" }, el("i", { class: "band", hidden: at.upper - at.lower < 0.004 }), el("i", { class: "mean" }));
  const row = el(
    "li",
    { class: `bar ${kind}`, "data-name": label },
    el("span", { class: "name", title: label }, label),
    track,
    el("span", { class: "value" }, number(at.mean)),
    el("span", { class: "range" }, numbers),
  );
  set(row, { "--mean": `${at.mean}`, "--lower": `${at.lower}`, "--upper": `${at.upper}` });
  if (before !== undefined) {
    const mark = el("i", { class: "before" });
    mark.style.setProperty("--before", `${before}`);
    track.append(mark);
  }
  return row;
}

/** @param {string} kind @param {string} title @param {number} share */
function piece(kind, title, share) {
  const part = el("i", { class: kind, title: `${title} ${number(share)}` });
  part.style.setProperty("--share", `${share}`);
  return part;
}

const name = (/** @type {Element} */ row) => /** @type {HTMLElement} */ (row).dataset.name ?? "";

/** @param {HTMLElement} row @returns {Record<string, string>} */
const variables = (row) =>
  Object.fromEntries(["--mean", "--lower", "--upper"].map((key) => [key, row.style.getPropertyValue(key)]));

/** @param {HTMLElement} row @param {Record<string, string>} values */
const set = (row, values) => Object.entries(values).forEach(([key, value]) => row.style.setProperty(key, value));
