// The configuration in force, and what the file would change.

import { get, post, table } from "../api.js";
import { attempt, confirmed } from "../dialog.js";
import { button, el, heading } from "../dom.js";
import { text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Configuration";

const COLUMNS = [
  { key: "path", label: "Key", kind: "code" },
  { key: "value", label: "Value", kind: "code wide value", show: (row) => text(row.value) },
];

export function create(context) {
  const rows = new DataTable("Configuration in force", COLUMNS, (row) => row.path, {});
  const filter = context.filter(rows, "Filter keys and values");
  const found = el("div", { class: "card", role: "status" });
  const note = el("p", { class: "muted" }, "Not compared yet.");
  found.append(note);

  async function compare() {
    try {
      const { changes } = await get("config/changes");
      found.replaceChildren(...listed(changes));
      return changes;
    } catch (error) {
      found.replaceChildren(...refused(error));
      return null;
    }
  }

  async function reload() {
    const changes = await compare();
    if (changes === null) return;
    if (!(await confirmed("Reload the configuration?", listed(changes), "Reload"))) return;
    const done = await attempt(
      () => post("reload"),
      (answer) => (answer.changes.length ? `Reloaded: ${answer.changes.length} changes are in force.` : "Reloaded: nothing has changed."),
    );
    if (done) await compare();
    await context.again();
  }

  return {
    element: el(
      "div",
      {},
      heading("The file", button("Compare", compare), button("Reload …", reload, { kind: "main" })),
      found,
      heading("In force"),
      el("div", { class: "row bar" }, filter),
      rows.element,
    ),
    interval: 10000,
    async begin() {
      await compare();
    },
    async refresh() {
      rows.update((await table("config")).rows);
    },
  };
}

function listed(changes) {
  if (!changes.length) return [el("p", {}, "The file is what is in force.")];
  const what = changes.length === 1 ? "One thing is" : `${changes.length} things are`;
  return [
    el("p", {}, `${what} different in the file:`),
    el("ul", { class: "changes" }, ...changes.map((change) => el("li", {}, el("code", {}, change)))),
  ];
}

function refused(error) {
  return [
    el("p", { class: "notice bad" }, error.message),
    el("ul", { class: "changes" }, ...(error.problems ?? []).map((problem) => el("li", {}, el("code", {}, problem)))),
  ];
}
