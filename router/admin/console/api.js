// The HTTP API of the router that this page is from.

const PREFIX = "api/v1/";

/** What the router answered instead; `problems` are places in the configuration file. */
export class Refused extends Error {
  constructor(message, problems = []) {
    super(message);
    this.problems = problems;
  }
}

/** The router did not answer at all. */
export class Unreachable extends Error {}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(PREFIX + path, { ...options, signal: AbortSignal.timeout(30000) });
  } catch (error) {
    throw new Unreachable("The router does not answer.", { cause: error });
  }
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(body.error ?? `${response.status} ${response.statusText}`, body.problems);
  return body;
}

/** Look at something. */
export function get(path) {
  return ask(path, {});
}

/** Change something, or ask for something that takes a body. */
export function post(path, body = {}) {
  return ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

/** A path of names, none of which is more than one piece of it. */
export function path(...names) {
  return names.map(encodeURIComponent).join("/");
}

/** Rows as objects by their columns. */
export function records({ columns, rows }) {
  return rows.map((row) => Object.fromEntries(columns.map((name, at) => [name, row[at]])));
}

/** Several tables of one moment, as objects: `{at, servers: […], …}`. */
export async function snapshot(...names) {
  const { at, tables } = await get(`snapshot?tables=${names.join(",")}`);
  return { at, ...Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, records(table)])) };
}

/** One table: `{rows, total}`. */
export async function table(name, options = {}) {
  const found = await get(`tables/${name}?${new URLSearchParams(options)}`);
  return { rows: records(found), total: found.total };
}
