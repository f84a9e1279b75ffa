/** The Inspector: conversations, their turns, and one turn in full. The address names what is looked at. */
import { content, spoken } from "../widget/content.js";
import { el } from "../widget/dom.js";
import { RefusedError, call } from "../widget/session.js";
import { strip } from "./belief.js";
import { detail, said } from "./detail.js";

const AGAIN = 4_000;
const KEY = "starfold:inspector";
const SESSION = "session_started_metadata"; // a slot nobody filled
const server = new URL("../", import.meta.url).href;
const part = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

let token = sessionStorage.getItem(KEY) ?? "";
/** @type {string[]} */
let intents = [];
/** @type {any[]} */
let turns = [];
/** @type {number | undefined} */
let shown;
let timer = 0;

/** @param {string} what @param {any} [body] */
const api = (what, body) => call(`${server}api/${what}`, { token, body });
const here = () => new URLSearchParams(location.hash.slice(1));
const conversationPath = (/** @type {string} */ id) => `conversations/${encodeURIComponent(id)}/turns`;

async function enter() {
  const model = await api("model");
  sessionStorage.setItem(KEY, token);
  intents = model.intents;
  part("model").textContent = `${model.name} · ${model.version}`;
  part("sign-in").hidden = true;
  part("inside").hidden = part("leave").hidden = false;
  await refresh();
}

function leave() {
  sessionStorage.removeItem(KEY);
  clearTimeout(timer);
  location.hash = "";
  location.reload();
}

/** What is new, again and again. */
async function refresh() {
  clearTimeout(timer);
  try {
    const list = await api("conversations?limit=100");
    part("trouble").textContent = "";
    conversations(list);
    const chosen = here().get("c") ?? list[0]?.conversation;
    if (chosen) await follow(chosen);
  } catch (error) {
    trouble(error);
  }
  timer = setTimeout(refresh, AGAIN);
}

/** @param {any} error */
function trouble(error) {
  if (error instanceof RefusedError && [401, 403].includes(error.status)) return leave();
  part("trouble").textContent = `The server does not answer: ${error.message}`;
}

/** @param {any[]} list */
function conversations(list) {
  const chosen = here().get("c") ?? list[0]?.conversation;
  const rows = list.map(({ conversation, updated }) =>
    el(
      "li",
      {},
      el(
        "a",
        { href: `#${new URLSearchParams({ c: conversation })}`, "aria-current": conversation === chosen && "true" },
        el("span", { class: "who", title: conversation }, conversation),
        el("time", { datetime: new Date(1000 * updated).toISOString() }, ago(updated)),
      ),
    ),
  );
  const focused = document.activeElement?.getAttribute("href");
  part("conversations").replaceChildren(...(rows.length ? rows : [el("li", { class: "none" }, "Nobody was here yet.")]));
  if (focused) part("conversations").querySelector(`[href="${CSS.escape(focused)}"]`)?.focus();
}

/** @param {string} conversation */
async function follow(conversation) {
  const after = part("turns").dataset.of === conversation ? (turns.at(-1)?.sequence ?? 0) : 0;
  const found = await api(`${conversationPath(conversation)}?after=${after}`);
  if ((here().get("c") ?? conversation) !== conversation) return;
  if (after === 0) turns = [];
  const near = part("turns").scrollHeight - part("turns").scrollTop - part("turns").clientHeight < 60;
  turns = turns.concat(found.turns);
  if (after === 0) part("turns").replaceChildren();
  part("turns").dataset.of = conversation;
  part("turns").append(...found.turns.map(row));
  if (!turns.length) part("turns").replaceChildren(el("p", { class: "none" }, "Nothing was said yet."));
  const wanted = Number(here().get("t")) || turns.at(-1)?.sequence;
  if (after === 0 || (found.turns.length && !here().get("t"))) show(wanted);
  if (found.turns.length && (near || after === 0)) part("turns").scrollTop = part("turns").scrollHeight;
}

/** A turn in the list: what was said, the belief as one line, what was decided, what was answered. @param {any} turn */
function row(turn) {
  const answers = turn.events.filter((/** @type {any} */ one) => one.event === "bot");
  const { belief, decision } = turn;
  const top = belief?.intents[0];
  return el(
    "button",
    { type: "button", class: "turn", "data-sequence": turn.sequence, onclick: () => choose(turn.sequence) },
    said(turn),
    belief && strip(belief),
    el(
      "span",
      { class: "meta" },
      top && el("span", {}, `${top.name} ${top.mean.toFixed(2)}`),
      decision && el("span", { class: `kind ${decision.kind}` }, decision.kind.replace("_", " ")),
      decision?.policy && el("span", {}, decision.policy),
    ),
    ...answers.map((/** @type {any} */ one) => el("span", { class: "answer", dir: "auto" }, words(one))),
  );
}

/** @param {any} answer the event @returns {string} */
const words = (answer) => answer.text || spoken(content(answer.data ?? {})) || "…";

/** @param {number} sequence */
function choose(sequence) {
  location.hash = new URLSearchParams({ c: part("turns").dataset.of, t: String(sequence) }).toString();
}

/** @param {number | undefined} sequence */
function show(sequence) {
  const turn = turns.find((one) => one.sequence === sequence);
  shown = turn?.sequence;
  for (const one of part("turns").querySelectorAll(".turn")) {
    one.setAttribute("aria-current", String(Number(one.dataset.sequence) === sequence));
  }
  part("detail").replaceChildren(...(turn ? detail(turn, slotsAfter(turn), intents, teach) : []));
  part("detail").scrollTop = 0;
}

/** Slots are a fold of the events, so they can be told of any turn. @param {any} last */
function slotsAfter(last) {
  /** @type {Record<string, any>} */
  let slots = {};
  for (const turn of turns) {
    for (const event of turn.events) {
      if (event.event === "slot") slots[event.name] = event.value;
      else if (["restart", "reset_slots"].includes(event.event)) slots = {};
    }
    if (turn === last) break;
  }
  return Object.fromEntries(Object.entries(slots).filter(([name, value]) => value !== null && name !== SESSION));
}

/** @param {string} text @param {string} intent */
async function teach(text, intent) {
  const model = await api("teach", { text, intent });
  part("model").textContent = `${model.name} · ${model.version}`;
  return (await api("parse", { text })).belief;
}

/** @param {number} time @returns {string} */
function ago(time) {
  const seconds = time - Date.now() / 1000;
  const units = /** @type {const} */ ([["day", 86400], ["hour", 3600], ["minute", 60]]);
  const [unit, size] = units.find(([, length]) => -seconds >= length) ?? ["second", 1];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(Math.round(seconds / size), unit);
}

part("entrance").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  token = part("token").value.trim();
  part("token").value = "";
  await enter().catch((error) => (part("refused").textContent = error.message));
});
part("leave").addEventListener("click", leave);
part("reading").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  const text = part("sentence").value.trim();
  if (!text) return;
  const parse = await api("parse", { text }).catch(trouble);
  if (!parse) return;
  for (const one of part("turns").querySelectorAll(".turn")) one.setAttribute("aria-current", "false");
  shown = undefined;
  part("detail").replaceChildren(...detail({ ...parse, events: [] }, {}, intents, teach));
});
part("turns").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const from = Number(/** @type {HTMLElement} */ (event.target).closest(".turn")?.dataset.sequence); // it may not be shown yet
  const next = by && turns[turns.findIndex((one) => one.sequence === from) + by];
  if (!next) return;
  event.preventDefault();
  choose(next.sequence);
  part("turns").querySelector(`[data-sequence="${next.sequence}"]`).focus();
});
addEventListener("hashchange", () => {
  const wanted = here().get("c");
  if (wanted && wanted === part("turns").dataset.of) show(Number(here().get("t")) || turns.at(-1)?.sequence);
  else if (wanted) void refresh();
});
if (token) enter().catch(trouble);
else part("token").focus();
