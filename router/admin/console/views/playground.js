// Where a statement would go, without running it.

import { post, table } from "../api.js";
import { button, el, field, heading } from "../dom.js";
import { text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Playground";

const COLUMNS = [
  { key: "step", label: "Step", number: true },
  { key: "server", label: "Server", show: (row) => text(row.server), kind: "name" },
  { key: "role", label: "Role", show: (row) => text(row.role) },
  { key: "shard", label: "Shard", show: (row) => text(row.shard) },
  { key: "reason", label: "Reason", kind: "wide" },
  { key: "sql", label: "What it would be asked", kind: "sql wide", show: (row) => text(row.sql) },
];

export function create() {
  const sql = el("textarea", { rows: 6, spellcheck: "false", class: "code", placeholder: "SELECT * FROM orders WHERE id = 1", required: true });
  const user = el("select", {});
  const schemas = el("datalist", { id: "schemas" });
  const schema = el("input", { list: "schemas", placeholder: "that of the user", autocomplete: "off" });
  const client = el("input", { placeholder: "for rules: an address", autocomplete: "off" });
  const rows = new DataTable("Plan", COLUMNS, (row) => String(row.step), { empty: "Give a statement and press Explain." });
  const plan = el("pre", { class: "code", tabindex: 0 });
  const whole = el("details", { class: "card", hidden: true }, el("summary", {}, "The plan as JSON"), plan);
  const problem = el("p", { class: "notice bad", role: "alert", hidden: true });

  rows.update([]);

  async function explain() {
    problem.hidden = true;
    try {
      const found = await post("explain", { sql: sql.value, user: user.value, schema: schema.value || null, client: client.value || null });
      rows.update(found.rows.map((row) => Object.fromEntries(found.columns.map((name, at) => [name, row[at]]))));
      plan.textContent = JSON.stringify(found.plan, null, 2);
      whole.hidden = false;
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      rows.update([]);
      whole.hidden = true;
    }
  }

  sql.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) explain();
  });
  return {
    element: el(
      "div",
      {},
      heading("Playground", el("span", { class: "muted" }, "as EXPLAIN ROUTE: nothing is run")),
      el(
        "div",
        { class: "card form" },
        field("Statement", sql),
        el("div", { class: "row fields" }, field("User", user), field("Default schema", schema), field("Client", client), schemas),
        el("div", { class: "row" }, button("Explain", explain, { kind: "main" }), el("span", { class: "muted" }, "Ctrl+Enter")),
      ),
      problem,
      rows.element,
      whole,
    ),
    interval: null,
    filter: sql,
    async begin() {
      const keys = (await table("config")).rows.map((row) => row.path);
      options(user, named(keys, /^users\.(.+)\.default_schema$/));
      options(schemas, named(keys, /^schemas\.(.+)\.transactions$/));
    },
  };
}

/** The names in the configuration, by a key that every user or schema has. */
function named(keys, pattern) {
  return keys.map((key) => pattern.exec(key)?.[1]).filter(Boolean);
}

function options(list, names) {
  const chosen = list.value;
  list.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
  if (names.includes(chosen)) list.value = chosen;
}
