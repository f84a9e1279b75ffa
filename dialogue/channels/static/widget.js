/**
 * The one script a page includes. It draws the launcher and loads the chat itself when it is first opened, or when the
 * visitor has talked to the bot before, so that the badge can count what comes in. No dependency, no inline code.
 */
(() => {
  "use strict";
  if (window.starfold) return;

  const script = document.currentScript ?? document.querySelector('script[src$="/widget.js"]');
  const own = new URL(script.src, location.href);
  const data = script.dataset;
  const server = new URL(`${(data.server ?? new URL(".", own).href).replace(/\/+$/, "")}/`, location.href).href;
  const LABELS = {
    en: { open: "Open the chat", close: "Close the chat", dismiss: "Dismiss", unread: (n) => `${n} unread` },
    zh: { open: "打开聊天", close: "关闭聊天", dismiss: "关闭提示", unread: (n) => `${n} 条未读` },
    de: { open: "Chat öffnen", close: "Chat schließen", dismiss: "Ausblenden", unread: (n) => `${n} ungelesen` },
    es: { open: "Abrir el chat", close: "Cerrar el chat", dismiss: "Descartar", unread: (n) => `${n} sin leer` },
    ar: { open: "فتح المحادثة", close: "إغلاق المحادثة", dismiss: "إخفاء", unread: (n) => `${n} غير مقروءة` },
  };
  const wished = [data.lang, document.documentElement.lang, ...(navigator.languages ?? [])];
  const language = wished.map((tag) => (tag ?? "").toLowerCase().split("-")[0]).find((tag) => tag in LABELS) ?? "en";
  const labels = LABELS[language];

  const STYLE = `
    :host { all: initial; }
    .frame { all: initial; color-scheme: light dark; font: 15px/1.5 var(--starfold-font, system-ui, -apple-system,
        "Segoe UI", Roboto, "Noto Sans", "Noto Sans CJK SC", "Noto Sans Arabic", sans-serif);
      --accent: var(--starfold-accent, #5046e4); --accent-deep: var(--starfold-accent-deep, #2a1f8f);
      --accent-text: var(--starfold-accent-text, #fff);
      --surface: var(--starfold-surface, light-dark(#fff, #15151f));
      --text: var(--starfold-text, light-dark(#1a1a27, #ececf4));
      --line: var(--starfold-line, light-dark(#e4e4ee, #32323f));
      --gap: var(--starfold-gap, 20px); --layer: var(--starfold-layer, 2147483000); }
    .light { color-scheme: light; } .dark { color-scheme: dark; }
    @media print { :host { display: none; } }
    [hidden] { display: none !important; }
    .corner, .greeting { position: fixed; inset-block-end: var(--gap); inset-inline-end: var(--gap);
      z-index: var(--layer); box-sizing: border-box; }
    .at-start .corner, .at-start .greeting { inset-inline: var(--gap) auto; }
    button { font: inherit; cursor: pointer; border: 0; }
    .launcher { display: block; inline-size: 60px; block-size: 60px; padding: 0; border-radius: 50%; color: var(--accent-text);
      background: radial-gradient(circle at 30% 22%, #ffffff38, #fff0 46%),
        linear-gradient(145deg, var(--accent), var(--accent-deep));
      box-shadow: 0 1px 2px #0b083026, 0 8px 24px #1c137052; transition: transform .18s, box-shadow .18s; }
    .launcher:hover { transform: translateY(-2px); box-shadow: 0 2px 4px #0b083026, 0 14px 32px #1c137066; }
    :focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
    .launcher svg { inline-size: 30px; block-size: 30px; display: block; margin: auto; }
    .launcher[aria-expanded="true"] .shut, .launcher[aria-expanded="false"] .down { display: none; }
    .badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-inline-size: 22px;
      padding-inline: 6px; box-sizing: border-box; border-radius: 11px; font-size: 12px; font-weight: 700;
      line-height: 22px; text-align: center; pointer-events: none; background: #c8142f; color: #fff; box-shadow: 0 0 0 2px var(--surface); }
    .greeting { inset-block-end: calc(var(--gap) + 76px); display: flex; max-inline-size: min(300px, 100vw - 40px);
      background: var(--surface); color: var(--text); border-radius: 18px; border-end-end-radius: 5px;
      box-shadow: 0 0 0 1px var(--line), 0 10px 36px #0b083029; animation: rise .3s ease-out; }
    .at-start .greeting { border-end-end-radius: 18px; border-end-start-radius: 5px; }
    .greeting .say { all: unset; padding: 13px 4px 13px 16px; padding-inline: 16px 4px; cursor: pointer;
      overflow-wrap: anywhere; }
    .greeting .dismiss { flex: none; align-self: start; inline-size: 32px; block-size: 32px; margin: 6px;
      padding: 0; border-radius: 50%; background: none; color: inherit; font-size: 18px; line-height: 1; }
    .greeting .dismiss:hover { background: var(--line); }
    .greeting .say:focus-visible { outline: 3px solid var(--accent); border-radius: 16px; }
    @keyframes rise { from { opacity: 0; transform: translateY(8px); } }
    @media (prefers-reduced-motion: reduce) { * { animation: none !important; transition: none !important; } }
    @media (max-width: 520px) { .opened .corner { display: none; } }`;

  /** A store of the browser that may be forbidden: then the page remembers for as long as it stands. */
  const storage = (name) => {
    const memory = new Map();
    const key = (part) => `starfold:${server}:${part}`;
    const guarded = (use, otherwise) => {
      try {
        return use(window[name]);
      } catch {
        return otherwise();
      }
    };
    return {
      get: (part) => JSON.parse(guarded((s) => s.getItem(key(part)), () => memory.get(key(part))) ?? "null"),
      set(part, value) {
        const text = JSON.stringify(value);
        guarded((s) => s.setItem(key(part), text), () => memory.set(key(part), text));
      },
      remove: (part) => guarded((s) => s.removeItem(key(part)), () => memory.delete(key(part))),
    };
  };

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const icon = (name, ...paths) => {
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", "aria-hidden": "true", class: name })) {
      svg.setAttribute(key, value);
    }
    for (const attributes of paths) {
      const path = document.createElementNS(space, "path");
      for (const [key, value] of Object.entries(attributes)) path.setAttribute(key, value);
      svg.append(path);
    }
    return svg;
  };
  const BUBBLE = "M12 3.2c-5 0-9 3.5-9 7.9 0 2.5 1.3 4.7 3.4 6.2l-.7 3.5 3.9-2.2c.8.2 1.6.3 2.4.3 5 0 9-3.5 9-7.8S17 3.2 12 3.2z";
  const STAR = "M12 6.2l1.3 3.5 3.6 1.3-3.6 1.3L12 15.8l-1.3-3.5-3.6-1.3 3.6-1.3z";
  const stroke = { fill: "none", stroke: "currentColor", "stroke-width": "1.7", "stroke-linejoin": "round" };

  const host = document.createElement("starfold-chat");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const badge = make("span", { class: "badge", hidden: "", "aria-hidden": "true" });
  const launcher = make("button", { type: "button", class: "launcher", "aria-expanded": "false" });
  launcher.append(
    icon("shut", { d: BUBBLE, ...stroke }, { d: STAR, fill: "currentColor" }),
    icon("down", { d: "M6 9.5l6 6 6-6", ...stroke, "stroke-width": "2.2", "stroke-linecap": "round" }),
  );
  const corner = make("div", { class: "corner" }, launcher, badge);
  if (data.launcher === "off") corner.hidden = true;
  const frame = make("div", { class: "frame", lang: language, dir: language === "ar" ? "rtl" : "ltr" }, corner);
  if (["light", "dark"].includes(data.theme)) frame.classList.add(data.theme);
  frame.classList.toggle("at-start", data.position === "start");
  root.append(frame);

  const kept = storage("localStorage");
  const tab = storage("sessionStorage");
  const emit = (name, detail) =>
    host.dispatchEvent(new CustomEvent(`starfold:${name}`, { detail, bubbles: true, composed: true }));

  let unread = 0;
  /** What the chat is given to work with. */
  const page = {
    server,
    language,
    root,
    frame,
    launcher,
    kept,
    tab,
    emit,
    options: {
      title: data.title,
      subtitle: data.subtitle,
      greeting: data.greeting,
      start: data.start,
      identity: data.identity,
      feedback: data.feedback !== "off",
      upload: data.upload ? new URL(data.upload, server).href : undefined,
    },
    setUnread(count) {
      if (count !== unread) emit("unread", { count });
      unread = count;
      badge.textContent = count > 99 ? "99+" : String(count);
      badge.hidden = count === 0;
      label(launcher.getAttribute("aria-expanded") === "true");
    },
    setOpen(open) {
      launcher.setAttribute("aria-expanded", String(open));
      frame.classList.toggle("opened", open);
      tab.set("open", open);
      label(open);
      if (open) dismiss();
    },
  };
  const label = (open) => {
    const counted = !open && unread ? ` (${labels.unread(unread)})` : "";
    launcher.setAttribute("aria-label", (open ? labels.close : labels.open) + counted);
  };
  label(false);

  let chat;
  /** The chat, loaded once; tried again the next time if it could not be. */
  const loaded = () => {
    chat ??= import(new URL("widget/chat.js", server).href)
      .then((module) => module.mount(page))
      .catch((error) => {
        chat = undefined;
        emit("error", { message: String(error) });
        throw error;
      });
    return chat;
  };
  const ask = (method, ...values) => loaded().then((it) => it[method](...values));
  const quiet = (promise) => promise.catch((error) => console.error("starfold:", error));

  let greeting;
  const dismiss = () => {
    if (greeting) tab.set("greeted", true);
    greeting?.remove();
    greeting = undefined;
  };
  const greet = (text) => {
    if (greeting || launcher.getAttribute("aria-expanded") === "true") return;
    const say = make("button", { type: "button", class: "say" }, text);
    const away = make("button", { type: "button", class: "dismiss", "aria-label": labels.dismiss }, "×");
    greeting = make("div", { class: "greeting", role: "status" }, say, away);
    say.addEventListener("click", () => quiet(ask("open")));
    away.addEventListener("click", () => {
      dismiss();
      page.setUnread(0);
    });
    frame.append(greeting);
    page.setUnread(Math.max(unread, 1));
  };

  launcher.addEventListener("click", () => {
    quiet(ask(launcher.getAttribute("aria-expanded") === "true" ? "close" : "open"));
  });

  window.starfold = Object.freeze({
    open: () => ask("open"),
    close: () => ask("close"),
    send: (text, options) => ask("send", text, options),
    identify: (token) => ask("identify", token),
    reset: () => ask("reset"),
    on(name, listener) {
      const heard = (event) => listener(event.detail);
      host.addEventListener(`starfold:${name}`, heard);
      return () => host.removeEventListener(`starfold:${name}`, heard);
    },
  });

  const begin = () => {
    document.body.append(host);
    if (tab.get("open") ?? data.open === "true") return quiet(ask("open"));
    const idle = window.requestIdleCallback ?? ((run) => setTimeout(run, 200));
    if (kept.get("session")) return idle(() => quiet(loaded()));
    if (data.greeting && !tab.get("greeted")) setTimeout(greet, 1000 * Number(data.greetingDelay ?? 3), data.greeting);
  };
  if (document.body) begin();
  else document.addEventListener("DOMContentLoaded", begin);
})();
