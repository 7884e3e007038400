// Who is connected, what they do, and their end.

import { path, post, records, table } from "../api.js";
import { attempt, confirmed } from "../dialog.js";
import { button, el, heading, pill, write } from "../dom.js";
import { count, duration, text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Sessions";

const MOST = 500;
const TONES = { running: "accent", waiting: "warn" };

export function create(context) {
  const texts = el("input", { type: "checkbox", on: { change: () => context.again() } });
  const busy = el("input", { type: "checkbox", on: { change: () => context.again() } });
  const shownRows = el("span", { class: "muted" });
  const latest = (id) => rows.rows.find((row) => row.connection_id === id);
  const rows = new DataTable("Sessions", columns(context, latest), (row) => String(row.connection_id), {
    sort: "state_seconds",
    down: true,
    empty: "Nobody is connected.",
  });
  const filter = context.filter(rows, "Filter sessions");
  return {
    element: el(
      "div",
      {},
      heading("Sessions", shownRows),
      el(
        "div",
        { class: "row bar" },
        filter,
        el("label", { class: "check" }, busy, "busy only"),
        el("label", { class: "check", title: "They may be secrets; that you look is logged." }, texts, "with literals"),
      ),
      rows.element,
    ),
    interval: 2000,
    async refresh() {
      if (busy.checked) {
        const found = await busySessions(texts.checked);
        rows.update(found);
        write(shownRows, found.length < MOST ? `${found.length} busy` : `the first ${MOST} that are busy`);
      } else {
        const found = await table("sessions", { limit: MOST, order: "-state_seconds", texts: texts.checked });
        rows.update(found.rows);
        const left = found.total > found.rows.length ? `; ${found.rows.length} of them are here` : "";
        write(shownRows, `${count(found.total)} connected${left}`);
      }
    },
  };
}

/** Those that run something or hold something, of however many. */
async function busySessions(texts) {
  const sql = `SELECT * FROM sessions WHERE state <> 'idle' OR in_transaction OR pinned_by IS NOT NULL
    ORDER BY state_seconds DESC LIMIT ${MOST}`;
  return records(await post("query", { sql, texts }));
}

function columns(context, latest) {
  return [
    { key: "connection_id", label: "Id", number: true },
    { key: "user", label: "User", kind: "name" },
    { key: "host", label: "Host", kind: "code" },
    { key: "program_name", label: "Program", show: (row) => text(row.program_name), kind: "short" },
    { key: "schema", label: "Schema", show: (row) => text(row.schema), kind: "short" },
    { key: "state", label: "State", show: (row) => pill(row.state, TONES[row.state]), by: (row) => row.state },
    { key: "state_seconds", label: "For", number: true, show: (row) => duration(row.state_seconds) },
    { key: "server", label: "Server", show: (row) => text(row.server), kind: "short" },
    { key: "held", label: "Holds", show: held, by: (row) => [row.in_transaction, row.pinned_by], title: "Why it keeps a connection" },
    { key: "tls", label: "TLS", show: (row) => (row.tls ? "yes" : "no") },
    { key: "statement", label: "Statement", kind: "sql", show: (row) => text(row.statement) },
    { key: "act", label: "", plain: true, kind: "acts", show: (row) => acts(context, row, latest), by: (row) => [row.connection_id, row.state] },
  ];
}

function held(row) {
  const words = [row.in_transaction ? "transaction" : "", row.pinned_by ?? ""].filter(Boolean);
  return el("span", { class: "pills" }, ...(words.length ? words.map((word) => pill(word, "warn")) : ["–"]));
}

function acts(context, row, latest) {
  const now = () => latest(row.connection_id) ?? row;
  const kill = button("Kill …", () => end(context, now(), false), { what: `Kill session ${row.connection_id}` });
  const stop = button("Stop …", () => end(context, now(), true), { what: `Stop the statement of session ${row.connection_id}` });
  return el("span", { class: "row" }, row.state === "idle" ? null : stop, kill);
}

async function end(context, row, queryOnly) {
  const who = `session ${row.connection_id} of ${row.user} from ${row.host}`;
  const statement = row.statement ? [el("pre", { class: "sql" }, row.statement)] : [];
  const question = queryOnly
    ? [`The statement that ${who} runs ends with error 1317.`, ...statement]
    : [`This ends ${who}. Its transaction is rolled back.`, ...statement];
  const name = queryOnly ? `Stop the statement of ${row.connection_id}?` : `Kill session ${row.connection_id}?`;
  if (!(await confirmed(name, question, queryOnly ? "Stop" : "Kill", { danger: true }))) return;
  await attempt(
    () => post(`${path("sessions", String(row.connection_id))}/kill`, { query_only: queryOnly }),
    () => (queryOnly ? `The statement of session ${row.connection_id} was stopped.` : `Session ${row.connection_id} was killed.`),
  );
  await context.again();
}
