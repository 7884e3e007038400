// The newest lines of the log.

import { get } from "../api.js";
import { el, field, heading, pill } from "../dom.js";
import { clock } from "../format.js";

export const title = "Log";

const MOST = 1000;
const TONES = { warning: "warn", error: "bad", critical: "bad", info: "accent" };
const LEVELS = ["debug", "info", "warning", "error"];

export function create(context) {
  const level = el("select", { on: { change: () => anew() } }, ...LEVELS.map((each) => el("option", { value: each }, each)));
  const follow = el("input", { type: "checkbox", checked: true });
  const list = el("ol", { class: "log", tabindex: 0, "aria-label": "Lines of the log" });
  const empty = el("p", { class: "empty" }, "Nothing has been logged.");
  let after = 0;
  let since;
  let words = [];

  function fits(line) {
    const found = line.textContent.toLowerCase();
    return words.every((word) => found.includes(word));
  }

  const filter = context.filter(
    {
      filter(sought) {
        words = sought.toLowerCase().split(/\s+/).filter(Boolean);
        for (const line of list.children) line.hidden = !fits(line);
      },
    },
    "Filter lines",
  );

  function anew() {
    after = 0;
    list.replaceChildren();
    return context.again();
  }

  return {
    element: el(
      "div",
      {},
      heading("Log"),
      el("div", { class: "row bar" }, filter, field("At least", level), el("label", { class: "check" }, follow, "follow")),
      list,
      empty,
    ),
    interval: 1500,
    async refresh() {
      const started = context.last?.version[0].started;
      if (started !== since) {
        // Another process counts its lines from the first on.
        since = started;
        after = 0;
        list.replaceChildren();
      }
      const { lines } = await get(`log?after=${after}&level=${level.value}`);
      for (const each of lines) {
        after = Math.max(after, each.number);
        const line = shown(each);
        line.hidden = !fits(line);
        list.append(line);
      }
      while (list.childElementCount > MOST) list.firstElementChild.remove();
      empty.hidden = list.childElementCount > 0;
      if (lines.length && follow.checked) list.scrollTop = list.scrollHeight;
    },
  };
}

function shown(line) {
  const fields = Object.entries(line.fields).flatMap(([name, value]) => [
    el("span", { class: "muted" }, ` ${name}=`),
    el("span", {}, value),
  ]);
  return el(
    "li",
    {},
    el("time", { datetime: line.ts, title: line.ts }, clock(line.ts)),
    pill(line.level, TONES[line.level]),
    el("span", { class: "line" }, el("b", {}, line.event), ...fields, el("span", { class: "muted" }, `  ${line.logger}`)),
  );
}
