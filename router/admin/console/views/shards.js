// Where the rows of sharded schemas are.

import { snapshot } from "../api.js";
import { el, heading, pill } from "../dom.js";
import { text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Shards";

const COLUMNS = [
  { key: "schema", label: "Schema", kind: "name" },
  { key: "shard", label: "Shard", kind: "name" },
  { key: "group_name", label: "Group" },
  { key: "state", label: "Servers up", show: (row) => pill(`${row.up} of ${row.servers}`, row.up === row.servers ? "good" : row.up ? "warn" : "bad"), by: (row) => [row.up, row.servers] },
  { key: "primary", label: "Primary", show: (row) => text(row.primary) },
  { key: "database_name", label: "Database", kind: "code" },
  { key: "tables", label: "Tables with rows there", kind: "wide" },
];

export function create(context) {
  const rows = new DataTable("Shards", COLUMNS, (row) => `${row.schema}/${row.shard}`, {
    sort: "schema",
    empty: "No schema of the configuration is sharded.",
  });
  const filter = context.filter(rows, "Filter shards");
  return {
    element: el("div", {}, heading("Shards"), el("div", { class: "row bar" }, filter), rows.element),
    interval: 5000,
    async refresh() {
      const { shards, groups } = await snapshot("shards", "groups");
      const known = new Map(groups.map((group) => [group.group_name, group]));
      rows.update(
        shards.map((shard) => {
          const group = known.get(shard.group_name);
          return { ...shard, up: group?.servers_up ?? 0, servers: group?.servers ?? 0, primary: group?.primary_server };
        }),
      );
    },
  };
}
