// Kinds of statements: what takes the time, what fails, what is frequent.

import { table } from "../api.js";
import { shown } from "../dialog.js";
import { button, el, field, heading, write } from "../dom.js";
import { ago, clock, count, duration, text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Digests";

const MOST = 200;
const ORDERS = [
  ["-total_seconds", "time in total"],
  ["-count", "count"],
  ["-p95_seconds", "p95"],
  ["-max_seconds", "longest"],
  ["-errors", "errors"],
  ["-rows_sent", "rows"],
  ["-last_seen", "last seen"],
];

export function create(context) {
  const order = el(
    "select",
    { on: { change: () => choose() } },
    ...ORDERS.map(([value, label]) => el("option", { value }, label)),
  );
  const about = el("span", { class: "muted" });
  const rows = new DataTable("Digests", COLUMNS, (row) => [row.digest_id, row.user, row.schema, row.route].join(" "), {
    sort: "total_seconds",
    down: true,
    empty: "No statement has been counted yet.",
  });
  const filter = context.filter(rows, "Filter digests");

  function choose() {
    rows.sort = null;
    const column = COLUMNS.find((each) => `-${each.key}` === order.value);
    rows.sortBy(column);
    return context.again();
  }

  return {
    element: el("div", {}, heading("Digests", about), el("div", { class: "row bar" }, filter, field("Top by", order)), rows.element),
    interval: 3000,
    async refresh() {
      const found = await table("digests", { limit: MOST, order: order.value });
      const all = found.rows.reduce((sum, row) => sum + row.total_seconds, 0);
      rows.update(found.rows.map((row) => ({ ...row, part: all ? row.total_seconds / all : 0, mean: row.count ? row.total_seconds / row.count : null })));
      const left = found.total > found.rows.length ? ` of ${count(found.total)}` : "";
      write(about, `${count(found.rows.length)}${left} kinds of statements since the start`);
    },
  };
}

const COLUMNS = [
  { key: "digest_text", label: "Statement", kind: "sql first", show: opens, by: (row) => row.digest_text },
  { key: "user", label: "User", kind: "short" },
  { key: "schema", label: "Schema", show: (row) => text(row.schema), kind: "short" },
  { key: "route", label: "Route", kind: "short" },
  { key: "count", label: "Count", number: true, show: (row) => count(row.count) },
  { key: "errors", label: "Errors", number: true, show: (row) => count(row.errors) },
  { key: "total_seconds", label: "Total", number: true, show: (row) => duration(row.total_seconds) },
  { key: "part", label: "Part", number: true, show: (row) => `${(100 * row.part).toFixed(1)} %`, title: "Of the time of all that are shown" },
  { key: "mean", label: "Mean", number: true, show: (row) => duration(row.mean) },
  { key: "p95_seconds", label: "p95", number: true, show: (row) => duration(row.p95_seconds), title: "95 of 100 took no longer" },
  { key: "max_seconds", label: "Longest", number: true, show: (row) => duration(row.max_seconds) },
  { key: "last_seen", label: "Last", number: true, show: (row) => ago(row.last_seen) },
];

function opens(row) {
  return button(row.digest_text, () => details(row), { kind: "link", what: `Details of ${row.digest_text.slice(0, 200)}` });
}

function details(row) {
  const facts = [
    ["Digest", row.digest_id],
    ["User", row.user],
    ["Schema", text(row.schema)],
    ["Route", row.route],
    ["Count", count(row.count)],
    ["Errors", count(row.errors)],
    ["Rows sent", count(row.rows_sent)],
    ["Time in total", duration(row.total_seconds)],
    ["Shortest, mean, longest", [row.min_seconds, row.mean, row.max_seconds].map(duration).join(", ")],
    ["95 of 100 took at most", duration(row.p95_seconds)],
    ["First, last", `${clock(row.first_seen)}, ${clock(row.last_seen)} (${ago(row.last_seen)})`],
  ];
  shown(
    "Digest",
    el("pre", { class: "sql", tabindex: 0 }, row.digest_text),
    el("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    ...(row.example ? [el("h3", {}, "An example"), el("pre", { class: "sql", tabindex: 0 }, row.example)] : []),
  );
}
