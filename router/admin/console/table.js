// A table that can be sorted and filtered, and whose rows stay the same elements while their values change.

import { el, write } from "./dom.js";

/**
 * @typedef {object} Column
 * @property {string} key
 * @property {string} label
 * @property {(row: any) => (string | Node)} [show] default: the value
 * @property {(row: any) => any} [by] what it is sorted and compared by; default: the value
 * @property {boolean} [number] at the right, the largest first
 * @property {string} [kind] a class of its cells
 * @property {string} [title] what it means
 * @property {boolean} [plain] cannot be sorted by
 */
export class DataTable {
  /**
   * @param {string} caption
   * @param {Column[]} columns
   * @param {(row: any) => string} key what tells rows apart
   * @param {{sort?: string, down?: boolean, empty?: string}} options
   */
  constructor(caption, columns, key, { sort = null, down = false, empty = "Nothing here." } = {}) {
    this.columns = columns;
    this.key = key;
    this.sort = sort;
    this.down = down;
    this.emptyText = empty;
    this.rows = [];
    this.words = [];
    this.known = new Map();
    this.heads = columns.map((column) => this.#head(column));
    this.body = el("tbody");
    this.note = el("p", { class: "empty", hidden: true });
    this.table = el(
      "table",
      {},
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, ...this.heads)),
      this.body,
    );
    this.element = el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, this.table, this.note);
    this.#mark();
  }

  #head(column) {
    const classes = [column.number ? "number" : "", column.kind ?? ""].join(" ").trim() || null;
    const content = column.plain
      ? el("span", { class: column.label ? null : "hidden" }, column.label || "Actions")
      : el("button", { type: "button", class: "sort", on: { click: () => this.sortBy(column) } }, column.label);
    return el("th", { scope: "col", class: classes, title: column.title ?? null }, content);
  }

  sortBy(column) {
    this.down = this.sort === column.key ? !this.down : Boolean(column.number);
    this.sort = column.key;
    this.#mark();
    this.#draw();
  }

  #mark() {
    this.columns.forEach((column, at) => {
      if (column.plain) return;
      const order = column.key !== this.sort ? "none" : this.down ? "descending" : "ascending";
      this.heads[at].setAttribute("aria-sort", order);
    });
  }

  /** Only rows that have all of these words. */
  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.#draw();
  }

  /** Other values. */
  update(rows) {
    this.rows = rows;
    this.#draw();
  }

  #draw() {
    const wanted = this.rows.filter((row) => this.#fits(row));
    const column = this.columns.find((each) => each.key === this.sort);
    if (column) wanted.sort((one, other) => compared(value(column, one), value(column, other), this.down));
    const before = this.known;
    this.known = new Map();
    const elements = wanted.map((row) => {
      const key = this.key(row);
      const line = before.get(key) ?? this.#line();
      this.known.set(key, line);
      this.columns.forEach((each, at) => fill(line.cells[at], each, row));
      return line.element;
    });
    place(this.body, elements);
    this.note.hidden = wanted.length > 0;
    write(this.note, this.rows.length ? "Nothing fits the filter." : this.emptyText);
  }

  #fits(row) {
    if (!this.words.length) return true;
    const text = this.columns.map((column) => String(row[column.key] ?? "")).join(" ").toLowerCase();
    return this.words.every((word) => text.includes(word));
  }

  #line() {
    const cells = this.columns.map((column) =>
      el("td", { class: [column.number ? "number" : "", column.kind ?? ""].join(" ").trim() || null }),
    );
    return { cells, element: el("tr", {}, ...cells) };
  }
}

function value(column, row) {
  return column.by ? column.by(row) : row[column.key];
}

/** Fills a cell if its value is another one. */
function fill(cell, column, row) {
  const shown = column.show ? column.show(row) : (row[column.key] ?? "–");
  if (typeof shown === "object") {
    const mark = JSON.stringify(value(column, row));
    if (cell.mark === mark) return;
    cell.mark = mark;
    cell.replaceChildren(shown);
  } else {
    write(cell, String(shown));
  }
}

/** The children in this order, moving as few as possible, so that focus stays where it is. */
function place(parent, elements) {
  const wanted = new Set(elements);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  elements.forEach((element, at) => {
    if (parent.children[at] !== element) parent.insertBefore(element, parent.children[at] ?? null);
  });
}

function compared(one, other, down) {
  const known = (each) => each !== null && each !== undefined;
  if (!known(one) || !known(other)) return Number(known(other)) - Number(known(one));
  const order =
    typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true });
  return down ? -order : order;
}
