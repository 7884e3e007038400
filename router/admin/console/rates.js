// What happened between two looks, from counters that only grow.

/** How much a counter has grown; one that is smaller now began again. */
export function grown(before, now) {
  return now >= before ? now - before : now;
}

/** Of the metrics: totals, per server, and the buckets of durations, from the rows of the table `metrics`. */
export function measured(metrics) {
  const found = { commands: 0, errors: 0, clients: 0, inUse: 0, reloadRefused: false, buckets: new Map(), servers: new Map() };
  for (const { name, labels, value } of metrics) {
    switch (name) {
      case "router_query_duration_seconds_bucket":
        add(found.buckets, label(labels, "le"), value);
        break;
      case "router_query_duration_seconds_count":
        found.commands += value;
        add(found.servers, `${label(labels, "group")}/${label(labels, "backend")}`, value);
        break;
      case "router_errors_total":
        found.errors += value;
        break;
      case "router_client_connections":
        found.clients = value;
        break;
      case "router_backend_connections":
        if (label(labels, "state") === "in_use") found.inUse += value;
        break;
      case "router_config_last_reload_successful":
        found.reloadRefused = value === 0;
        break;
    }
  }
  return found;
}

function add(map, key, value) {
  map.set(key, (map.get(key) ?? 0) + value);
}

/** The value of a label in `a=x,b=y`; names of servers and groups may hold no comma. */
function label(labels, name) {
  const found = labels.split(",").find((each) => each.startsWith(`${name}=`));
  return found === undefined ? "" : found.slice(name.length + 1);
}

/** A quantile of the durations between two looks, null if there were none: linear inside a bucket. */
export function quantile(before, now, part) {
  const bounds = [...now.keys()].sort((one, other) => limit(one) - limit(other));
  const counts = bounds.map((bound) => grown(before.get(bound) ?? 0, now.get(bound)));
  const total = counts.at(-1) ?? 0;
  if (!total) return null;
  const wanted = part * total;
  const at = counts.findIndex((each) => each >= wanted);
  const lower = at > 0 ? limit(bounds[at - 1]) : 0;
  if (bounds[at] === "+Inf") return lower;
  const below = at > 0 ? counts[at - 1] : 0;
  return lower + (limit(bounds[at]) - lower) * ((wanted - below) / (counts[at] - below));
}

function limit(bound) {
  return bound === "+Inf" ? Infinity : Number(bound);
}

/** The last minutes, a point for each look. */
export class History {
  /** @param {number} longest points that are kept */
  constructor(longest = 90) {
    this.longest = longest;
    this.points = [];
    this.last = null;
  }

  /** Takes what was measured at a time; gives the new point, null for the first look. */
  add(at, metrics) {
    const now = { at, ...measured(metrics) };
    const before = this.last;
    this.last = now;
    if (before === null || at <= before.at) return null;
    const seconds = at - before.at;
    const point = {
      at,
      commands: grown(before.commands, now.commands) / seconds,
      errors: grown(before.errors, now.errors) / seconds,
      p50: quantile(before.buckets, now.buckets, 0.5),
      p95: quantile(before.buckets, now.buckets, 0.95),
      p99: quantile(before.buckets, now.buckets, 0.99),
      clients: now.clients,
      inUse: now.inUse,
      servers: new Map([...now.servers].map(([key, value]) => [key, grown(before.servers.get(key) ?? 0, value) / seconds])),
    };
    this.points.push(point);
    if (this.points.length > this.longest) this.points.shift();
    return point;
  }
}
