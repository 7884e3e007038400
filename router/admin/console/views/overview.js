// The whole at a glance: what needs attention, how much goes through, the servers.

import { path, post } from "../api.js";
import { Chart } from "../chart.js";
import { attempt, confirmed } from "../dialog.js";
import { bar, button, el, heading, pill, write } from "../dom.js";
import { count, duration, rate, text } from "../format.js";
import { DataTable } from "../table.js";

export const title = "Overview";

export function create(context) {
  const charts = [
    new Chart("Commands per second", [{ key: "commands", label: "commands" }], rate, 10),
    new Chart(
      "Latency",
      [
        { key: "p50", label: "p50" },
        { key: "p95", label: "p95" },
        { key: "p99", label: "p99" },
      ],
      duration,
      0.001,
    ),
    new Chart("Errors per second", [{ key: "errors", label: "errors" }], rate, 1),
    new Chart(
      "Connections",
      [
        { key: "clients", label: "clients" },
        { key: "inUse", label: "to servers, in use" },
      ],
      count,
      5,
    ),
  ];
  const notices = el("ul", { class: "notices", "aria-label": "What needs attention" });
  const groups = el("div", { class: "groups" });
  const maintenance = button("Maintenance …", () => setMaintenance(context));
  const router = el("p", { class: "muted" });
  const cards = new Map();
  const element = el(
    "div",
    {},
    notices,
    el("div", { class: "charts" }, ...charts.map((chart) => chart.element)),
    heading("Servers", maintenance),
    groups,
    router,
  );
  return {
    element,
    interval: null,
    pulse(found) {
      for (const chart of charts) chart.draw(context.history.points, context.history.longest);
      attention(notices, found);
      const names = new Set(found.groups.map((group) => group.group_name));
      for (const [name, card] of cards) if (!names.has(name)) remove(cards, name, card);
      for (const group of found.groups) {
        if (!cards.has(group.group_name)) {
          cards.set(group.group_name, new Group(group.group_name, context));
          groups.append(cards.get(group.group_name).element);
        }
        cards.get(group.group_name).update(group, found);
      }
      const [version] = found.version;
      write(maintenance, version.maintenance ? "End maintenance …" : "Maintenance …");
      write(router, `Version ${version.version}, Python ${version.python}; started ${version.started} UTC, ${duration(version.uptime_seconds)} ago.`);
    },
  };
}

function remove(cards, name, card) {
  card.element.remove();
  cards.delete(name);
}

/** What an operator should know first: [how bad, text]. */
export function warnings({ groups, servers, version, reloadRefused }) {
  const found = [];
  if (version[0].maintenance) found.push(["warn", "Maintenance: new logins are refused, /readyz fails."]);
  if (reloadRefused) found.push(["bad", "The last reload was refused; the old configuration goes on. The log says why."]);
  for (const group of groups) {
    const own = servers.filter((server) => server.group_name === group.group_name);
    if (group.servers_up === 0) found.push(["bad", `No server of group ${group.group_name} answers.`]);
    else if (group.primary_server === null && own.some((server) => server.role !== "replica")) {
      found.push(["bad", `Group ${group.group_name} has no primary: writes wait, then fail.`]);
    }
    if (group.paused) found.push(["warn", `Group ${group.group_name} is paused: statements wait.`]);
  }
  for (const server of servers) {
    const name = `${server.group_name}/${server.server}`;
    if (!server.up) found.push(["bad", `${name} does not answer.`]);
    if (server.fenced) found.push(["bad", `${name} is fenced: it could be written but is not the primary.`]);
    if (server.draining) found.push(["warn", `${name} is draining: it takes nothing new.`]);
    if (server.lag_seconds === "inf") found.push(["bad", `${name} applies nothing of its primary.`]);
    if (server.waiting > 0) found.push(["warn", `${count(server.waiting)} statements wait for a connection to ${name}.`]);
  }
  return found;
}

function attention(list, found) {
  const lines = warnings(found);
  const mark = JSON.stringify(lines);
  if (list.mark === mark) return;
  list.mark = mark;
  const shown = lines.length ? lines : [["good", "Nothing needs attention."]];
  list.replaceChildren(...shown.map(([tone, line]) => el("li", { class: `notice ${tone}` }, line)));
}

async function setMaintenance(context) {
  const on = !context.last.version[0].maintenance;
  const question = on
    ? ["/readyz will fail, so that load balancers send nobody, and new logins get error 3032. Sessions go on."]
    : ["New logins are taken again."];
  if (!(await confirmed(on ? "Begin maintenance?" : "End maintenance?", question, on ? "Begin" : "End"))) return;
  await attempt(() => post("maintenance", { on }), (done) => (done.on ? "Maintenance has begun." : "Maintenance is over."));
  await context.beat();
}

/** One group with its servers. */
class Group {
  constructor(name, context) {
    this.name = name;
    this.context = context;
    this.paused = false;
    this.state = el("span");
    this.facts = el("span", { class: "muted" });
    this.pause = button("Pause …", () => this.#pause(), { what: `Pause group ${name}` });
    this.table = new DataTable(`Servers of group ${name}`, this.#columns(), (row) => row.server, {});
    this.element = el(
      "section",
      { class: "card group", "aria-label": `Group ${name}` },
      el("div", { class: "heading" }, el("h3", {}, name), this.state, this.facts, el("span", { class: "grow" }), this.pause),
      this.table.element,
    );
  }

  #columns() {
    return [
      { key: "server", label: "Server", kind: "name" },
      { key: "state", label: "State", show: (row) => pill(...stateOf(row)), by: (row) => stateOf(row)[0] },
      { key: "role", label: "Role", show: (row) => pill(row.role, row.role === "primary" ? "accent" : ""), by: (row) => row.role },
      { key: "address", label: "Address", kind: "code" },
      { key: "lag_seconds", label: "Lag", number: true, show: (row) => duration(row.lag_seconds), by: lag },
      { key: "probe_seconds", label: "Probe", number: true, show: (row) => duration(row.probe_seconds), title: "How long a short question takes" },
      { key: "rate", label: "Commands/s", number: true, show: (row) => rate(row.rate) },
      {
        key: "pool",
        label: "Connections",
        title: "In use and idle, of those there may be",
        show: pool,
        by: (row) => [row.in_use, row.idle, row.max_connections],
      },
      { key: "waiting", label: "Waiting", number: true, show: (row) => count(row.waiting) },
      { key: "failures", label: "Lost", number: true, show: (row) => count(row.failures), title: "Connections that were lost" },
      { key: "act", label: "", plain: true, kind: "acts", show: (row) => this.#drainButton(row), by: (row) => [row.draining, row.role] },
    ];
  }

  #drainButton(row) {
    const name = `${this.name}/${row.server}`;
    return row.draining
      ? button("Undrain", () => this.#undrain(row), { what: `Undrain ${name}` })
      : button("Drain …", () => this.#drain(row), { what: `Drain ${name}` });
  }

  update(group, { servers, pools, rates }) {
    const limits = new Map(pools.map((pool) => [`${pool.group_name}/${pool.server}`, pool.max_connections]));
    const own = servers.filter((server) => server.group_name === this.name);
    this.table.update(
      own.map((server) => {
        const key = `${this.name}/${server.server}`;
        return { ...server, max_connections: limits.get(key), rate: rates?.get(key) ?? null };
      }),
    );
    this.paused = Boolean(group.paused);
    write(this.pause, this.paused ? "Resume" : "Pause …");
    this.pause.setAttribute("aria-label", `${this.paused ? "Resume" : "Pause"} group ${this.name}`);
    this.state.replaceChildren(this.paused ? pill("paused", "warn") : "");
    write(this.facts, `${group.servers_up} of ${group.servers} up · reads from ${text(group.reads_from)} · ${text(group.consistency)}`);
  }

  async #pause() {
    if (this.paused) {
      await attempt(() => post(`${path("groups", this.name)}/resume`), () => `Group ${this.name} goes on.`);
    } else {
      const question = ["Nothing new begins in this group for 60 seconds at most; clients wait. What is under way is brought to its end."];
      if (!(await confirmed(`Pause group ${this.name}?`, question, "Pause"))) return;
      await attempt(
        () => post(`${path("groups", this.name)}/pause`),
        ({ done }) => (done ? `Group ${this.name} is quiet.` : `Group ${this.name} is paused, but somebody is still there.`),
      );
    }
    await this.context.beat();
  }

  async #drain(row) {
    const name = `${this.name}/${row.server}`;
    const last = row.role === "primary" ? ["It is the primary: until there is another one, writes of this group wait and then fail."] : [];
    const question = ["Nothing new is sent to this server until it is undrained. Whoever is there may finish.", ...last];
    if (!(await confirmed(`Drain ${name}?`, question, "Drain", { danger: last.length > 0 }))) return;
    await attempt(
      () => post(`${path("servers", this.name, row.server)}/drain`),
      ({ done, found }) => (done ? `${name} is drained: nobody is there.` : `${name} drains: ${found[0].in_use} connections are in use.`),
    );
    await this.context.beat();
  }

  async #undrain(row) {
    const name = `${this.name}/${row.server}`;
    await attempt(() => post(`${path("servers", this.name, row.server)}/undrain`), () => `${name} is used again.`);
    await this.context.beat();
  }
}

function lag(row) {
  return row.lag_seconds === "inf" ? Infinity : row.lag_seconds;
}

function stateOf(row) {
  if (!row.up) return ["down", "bad"];
  if (row.fenced) return ["fenced", "bad"];
  if (row.draining) return ["draining", "warn"];
  return row.paused ? ["paused", "warn"] : ["up", "good"];
}

/** A bar: what is in use, what is idle, what there may be. */
function pool({ in_use, idle, max_connections }) {
  const most = Math.max(1, max_connections ?? in_use + idle);
  const part = (value) => (100 * Math.min(value, most)) / most;
  const parts = [
    ["idle", part(in_use + idle)],
    ["used", part(in_use)],
  ];
  return bar(parts, `${in_use} + ${idle} / ${max_connections ?? "–"}`);
}
