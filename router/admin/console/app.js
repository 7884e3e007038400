// The console: its views, its keys, and the pulse that all of it goes by.

import { Unreachable, snapshot } from "./api.js";
import { shown } from "./dialog.js";
import { el, write } from "./dom.js";
import { duration, rate } from "./format.js";
import { History, measured } from "./rates.js";
import * as config from "./views/config.js";
import * as digests from "./views/digests.js";
import * as log from "./views/log.js";
import * as overview from "./views/overview.js";
import * as playground from "./views/playground.js";
import * as rules from "./views/rules.js";
import * as sessions from "./views/sessions.js";
import * as shards from "./views/shards.js";

const VIEWS = { overview, sessions, digests, rules, shards, config, playground, log };
const PULSE = 2000;
const THEMES = { auto: ["Auto", "as the system"], light: ["Light", "light"], dark: ["Dark", "dark"] };
const main = document.getElementById("main");

/** What views are given. */
const context = {
  history: new History(),
  last: null,
  beat,
  again: () => refresh(),
  filter(target, label) {
    const input = el("input", { type: "search", class: "filter", placeholder: "Filter", "aria-label": label, "aria-keyshortcuts": "/", autocomplete: "off" });
    input.addEventListener("input", () => target.filter(input.value));
    return input;
  },
};

// -- views ------------------------------------------------------------------------------------------------------------

const made = new Map();
let current = null;
let timer = null;

function wanted() {
  const name = location.hash.slice(1);
  return Object.hasOwn(VIEWS, name) ? name : "overview";
}

async function go() {
  const name = wanted();
  if (!made.has(name)) made.set(name, VIEWS[name].create(context));
  current = made.get(name);
  document.title = `${VIEWS[name].title} · Router console`;
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.hash !== `#${name}`) {
      link.removeAttribute("aria-current");
    } else {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
  }
  main.replaceChildren(current.element);
  if (context.last) current.pulse?.(context.last);
  const view = current;
  await answered(async () => view.begin?.());
  await refresh();
}

/** Shows the view's newest values, and again after its interval. */
async function refresh() {
  clearTimeout(timer);
  const view = current;
  if (!document.hidden) await answered(async () => view.refresh?.());
  if (view === current && view.interval) {
    clearTimeout(timer);
    timer = setTimeout(refresh, view.interval);
  }
}

// -- the pulse --------------------------------------------------------------------------------------------------------

async function beat() {
  await answered(async () => {
    const found = await snapshot("version", "servers", "pools", "groups", "metrics");
    const point = context.history.add(found.at, found.metrics);
    const { reloadRefused } = measured(found.metrics);
    context.last = { ...found, reloadRefused, rates: point?.servers ?? context.history.points.at(-1)?.servers };
    tell(point);
    current?.pulse?.(context.last);
  });
}

function tell(point) {
  const [version] = context.last.version;
  write(document.getElementById("version"), version.version);
  const attention = overview.warnings(context.last).length;
  const badge = document.getElementById("attention");
  badge.hidden = attention === 0;
  write(badge, String(attention));
  badge.setAttribute("aria-label", `${attention} warnings`);
  if (point) pulse(`${rate(point.commands)} commands/s · p95 ${duration(point.p95)} · up ${duration(version.uptime_seconds)}`, "");
}

function pulse(text, tone) {
  const line = document.getElementById("pulse");
  write(line, text);
  line.className = `pulse ${tone}`.trim();
}

/** Does something that needs the router; where it does not answer, says so. */
async function answered(work) {
  try {
    await work();
  } catch (error) {
    pulse(error instanceof Unreachable ? "The router does not answer; what is shown is old." : error.message, "bad");
  }
}

async function beating() {
  if (!document.hidden) await beat();
  // Rates need two looks: the first ones follow soon.
  setTimeout(beating, context.history.points.length < 2 ? PULSE / 4 : PULSE);
}

// -- colours ----------------------------------------------------------------------------------------------------------

function remembered() {
  try {
    return localStorage.getItem("theme") ?? "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

function colour(name) {
  const theme = Object.hasOwn(THEMES, name) ? name : "auto";
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  const control = document.getElementById("theme");
  write(control, THEMES[theme][0]);
  control.setAttribute("aria-label", `Colours: ${THEMES[theme][1]}`);
  return theme;
}

function nextColour() {
  const names = Object.keys(THEMES);
  const theme = colour(names[(names.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % names.length]);
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // it is not remembered then
  }
}

// -- keys -------------------------------------------------------------------------------------------------------------

function help() {
  const names = Object.values(VIEWS).map((view, at) => [String(at + 1), view.title]);
  const keys = [...names, ["/", "To the filter"], ["Esc", "Leave the filter, close a dialog"], ["t", "Light, dark, or as the system"], ["?", "This help"]];
  shown(
    "Keys",
    el("dl", { class: "facts" }, ...keys.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])),
    el("p", { class: "muted" }, "Everything can be reached with Tab. Headings of columns sort."),
  );
}

function pressed(event) {
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape" && typing) typing.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const name = Object.keys(VIEWS)[Number(event.key) - 1];
  if (name) location.hash = name;
  else if (event.key === "/") (current.filter ?? main.querySelector(".filter"))?.focus();
  else if (event.key === "?") help();
  else if (event.key === "t") nextColour();
  else return;
  event.preventDefault();
}

// -- beginning --------------------------------------------------------------------------------------------------------

Object.entries(VIEWS).forEach(([name, view], at) => {
  const badge = name === "overview" ? el("span", { class: "badge", id: "attention", hidden: true }) : null;
  const link = el("a", { href: `#${name}`, "aria-keyshortcuts": String(at + 1) }, el("span", {}, view.title), badge, el("kbd", { "aria-hidden": "true" }, String(at + 1)));
  document.getElementById("nav").append(link);
});
document.getElementById("theme").addEventListener("click", nextColour);
document.getElementById("help").addEventListener("click", help);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", go);
addEventListener("keydown", pressed);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
});
colour(remembered());
await go();
await beating();
