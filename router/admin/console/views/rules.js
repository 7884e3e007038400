// The rules in their order, and how often each was hit.

import { table } from "../api.js";
import { bar, el, heading } from "../dom.js";
import { count, rate } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Rules";

const COLUMNS = [
  { key: "position", label: "#", number: true },
  { key: "name", label: "Name", kind: "name" },
  { key: "conditions", label: "When", kind: "code wide", show: (row) => row.conditions || "always" },
  { key: "effect", label: "Then", kind: "wide" },
  { key: "hits", label: "Hits", number: true, show: (row) => count(row.hits) },
  { key: "rate", label: "per second", number: true, show: (row) => rate(row.rate) },
  { key: "part", label: "Part", show: part, by: (row) => row.part, title: "Of all hits" },
];

export function create(context) {
  const rows = new DataTable("Rules", COLUMNS, (row) => `${row.position} ${row.name}`, {
    sort: "position",
    empty: "The configuration has no rules.",
  });
  const filter = context.filter(rows, "Filter rules");
  let before = null;
  return {
    element: el("div", {}, heading("Rules", el("span", { class: "muted" }, "the first that fits is taken")), el("div", { class: "row bar" }, filter), rows.element),
    interval: 2000,
    async refresh() {
      const found = (await table("rules")).rows;
      const at = performance.now() / 1000;
      const all = found.reduce((sum, row) => sum + row.hits, 0);
      const since = before;
      rows.update(
        found.map((row) => {
          const known = since?.hits.get(row.name);
          const grown = known === undefined ? null : Math.max(0, row.hits - known) / (at - since.at);
          return { ...row, part: all ? row.hits / all : 0, rate: grown };
        }),
      );
      before = { at, hits: new Map(found.map((row) => [row.name, row.hits])) };
    },
  };
}

function part(row) {
  const percent = 100 * row.part;
  return bar([["used", percent]], `${percent.toFixed(0)} %`);
}
