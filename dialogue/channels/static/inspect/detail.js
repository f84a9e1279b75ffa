/** Everything known of one turn, a card for each question a developer has. */
import { el } from "../widget/dom.js";
import { beliefBars, move, number, shares } from "./belief.js";

const QUIET = ["user_featurization", "bot", "user"];

/**
 * @param {any} turn as the API tells it
 * @param {Record<string, any>} slots as they were after it
 * @param {string[]} intents that may be taught
 * @param {(text: string, intent: string) => Promise<any>} teach gives the belief after it
 * @returns {HTMLElement[]}
 */
export function detail(turn, slots, intents, teach) {
  const { belief, decision } = turn;
  const voices = el("div", {}, belief && spokeFor(belief));
  const told = async (/** @type {string} */ text, /** @type {string} */ intent) => {
    const now = await teach(text, intent);
    voices.replaceChildren(spokeFor(now));
    return now;
  };
  return [
    card("What it heard", "heard", said(turn)),
    belief && beliefCard(turn, intents, told),
    belief && Object.keys(belief.contributions ?? {}).length > 0 && card("Which encoder spoke for it", "encoders", voices),
    decision && card("What it did", "decision", ...decided(decision, turn.doubt)),
    Object.keys(slots).length > 0 && card("Slots", "slots", pairs(slots)),
    Object.keys(turn.milliseconds ?? {}).length > 0 && card("Time", "time", ...times(turn.milliseconds)),
    (turn.events ?? []).length > 0 && card("Events", "events", events(turn.events)),
  ].filter(Boolean);
}

/** The text, with what was found in it marked. @param {any} turn @returns {HTMLElement} */
export function said(turn) {
  const text = turn.text ?? "";
  const found = (turn.entities ?? [])
    .filter((/** @type {any} */ one) => one.end > one.start && one.end <= text.length)
    .sort((/** @type {any} */ a, /** @type {any} */ b) => a.start - b.start);
  const out = el("p", { class: "said", dir: "auto" });
  let at = 0;
  for (const one of found) {
    if (one.start < at) continue;
    const value = typeof one.value === "string" ? one.value : JSON.stringify(one.value);
    out.append(text.slice(at, one.start), el("mark", { title: value }, text.slice(one.start, one.end), el("small", {}, one.entity)));
    at = one.end;
  }
  out.append(text.slice(at));
  if (turn.text === null) out.append(el("em", {}, "nobody said anything: a reminder, or the start of a session"));
  return out;
}

/** @param {any} belief */
const spokeFor = (belief) => shares(belief.contributions ?? {});

/** @param {any} belief @returns {string} */
const spread = (belief) =>
  `Entropy ${number(belief.entropy)} nats, ${number(belief.mutual_information)} of them for want of examples.`;

/** @param {any} turn @param {string[]} intents @param {(text: string, intent: string) => Promise<any>} teach */
function beliefCard(turn, intents, teach) {
  const { belief } = turn;
  const place = el("div", {}, beliefBars(belief));
  const note = el("p", { class: "note" }, spread(belief));
  if (!turn.text || turn.text.startsWith("/")) return card("What it believed", "belief", place, note);
  // The likely ones first: what it was taken for wrongly, and what it was nearly taken for.
  const ranked = belief.intents.map((/** @type {any} */ one) => one.name).filter((/** @type {string} */ one) => intents.includes(one));
  const names = [...new Set([...ranked, ...intents])];
  const chosen = el("select", { id: "intent" }, ...names.map((one) => el("option", { value: one }, one)));
  const told = el("p", { class: "told", role: "status" });
  const button = el("button", {}, "Teach");
  const form = el("form", { class: "teach" }, el("label", { for: "intent" }, "It means"), chosen, button);
  let shown = belief;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const intent = /** @type {HTMLSelectElement} */ (chosen).value;
    /** @type {HTMLButtonElement} */ (button).disabled = true;
    told.textContent = "Learning…";
    try {
      const now = await teach(turn.text, intent);
      move(place, now, shown);
      note.textContent = spread(now);
      told.textContent = `Learned. ${intent}: ${mean(shown, intent)} before, ${mean(now, intent)} now.`;
      shown = now;
    } catch (error) {
      told.textContent = `Not learned: ${error instanceof Error ? error.message : error}`;
    }
    /** @type {HTMLButtonElement} */ (button).disabled = false;
  });
  return card("What it believed", "belief", place, note, form, told);
}

/** @param {any} belief @param {string} intent @returns {string} */
const mean = (belief, intent) =>
  number(belief.intents.find((/** @type {any} */ one) => one.name === intent)?.mean ?? 0);

/** @param {any} decision @param {any} doubt */
function decided(decision, doubt) {
  const sure = decision.confidence === null || decision.confidence === undefined ? "" : number(decision.confidence);
  const passed = (decision.passed ?? []).map((/** @type {any} */ one) => el("li", {}, el("b", {}, one[0]), ` ${one[1]}`));
  const reason = doubt?.reason ?? doubt;
  return [
    el("p", { class: "deed" }, el("span", { class: `kind ${decision.kind}` }, decision.kind.replace("_", " ")), el("code", {}, decision.action ?? "")),
    el("p", {}, el("b", {}, decision.policy ?? "nobody"), sure && `, ${sure} sure`, decision.reason && `: ${decision.reason}`),
    typeof reason === "string" && el("p", { class: "note" }, `The gate: ${reason}`),
    passed.length > 0 && el("details", {}, el("summary", {}, "Who was asked before"), el("ul", { class: "passed" }, ...passed)),
  ];
}

/** @param {Record<string, any>} slots */
function pairs(slots) {
  const rows = Object.entries(slots).map(([name, value]) => [el("dt", {}, name), el("dd", {}, JSON.stringify(value))]);
  return el("dl", {}, ...rows.flat());
}

/** @param {Record<string, number>} milliseconds */
function times(milliseconds) {
  const total = Object.values(milliseconds).reduce((sum, one) => sum + one, 0) || 1;
  const whole = Object.fromEntries(Object.entries(milliseconds).map(([stage, spent]) => [stage, spent / total]));
  return [el("p", { class: "total" }, el("b", {}, total.toFixed(total < 10 ? 1 : 0)), " ms"), shares(whole)];
}

/** @param {any[]} list */
function events(list) {
  const rows = list
    .filter((one) => one.event !== "user_featurization")
    .map((one) =>
      el(
        "li",
        { class: QUIET.includes(one.event) ? "quiet" : "" },
        el("details", {}, el("summary", {}, el("b", {}, one.event), ` ${gist(one)}`), el("pre", { tabindex: 0 }, JSON.stringify(one, null, 2))),
      ),
    );
  return el("ol", { class: "events" }, ...rows);
}

/** @param {any} event @returns {string} */
function gist(event) {
  if (event.event === "slot") return `${event.name} = ${JSON.stringify(event.value)}`;
  if (event.event === "user" || event.event === "bot") return (event.text ?? "").slice(0, 60);
  return event.name ?? "";
}

/** @param {string} title @param {string} kind @param {...any} children */
function card(title, kind, ...children) {
  return el("article", { class: `card ${kind}` }, el("h3", {}, title), ...children);
}
