// Small charts of the last minutes, drawn as SVG.

import { el, svg, write } from "./dom.js";
import { clock } from "./format.js";

const WIDTH = 300;
const HEIGHT = 72;

/**
 * A card with a title, the newest values and lines; pointing at a place shows the values there.
 */
export class Chart {
  /**
   * @param {string} title
   * @param {{key: string, label: string}[]} series the first one is filled
   * @param {(value: number | null) => string} format
   * @param {number} least the least that the top of the chart stands for
   */
  constructor(title, series, format, least) {
    this.series = series;
    this.format = format;
    this.least = least;
    this.title = title;
    this.points = [];
    this.longest = 1;
    this.pointed = null;
    this.values = series.map(() => el("b"));
    this.top = el("span", { class: "scale" });
    this.when = el("span", { class: "muted when" });
    this.lines = series.map((_, at) => svg("path", { class: `line s${at}`, "vector-effect": "non-scaling-stroke" }));
    this.area = svg("path", { class: "area" });
    this.cursor = svg("line", { class: "cursor", y1: 0, y2: HEIGHT, "vector-effect": "non-scaling-stroke" });
    this.picture = svg(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": title },
      svg("line", { class: "grid", x1: 0, x2: WIDTH, y1: HEIGHT / 2, y2: HEIGHT / 2, "vector-effect": "non-scaling-stroke" }),
      series.length === 1 ? this.area : null,
      ...this.lines,
      this.cursor,
    );
    this.picture.addEventListener("pointermove", (event) => this.point(event));
    this.picture.addEventListener("pointerleave", () => this.point(null));
    const legend = series.map((each, at) =>
      el("span", { class: series.length > 1 ? `key s${at}` : "key" }, series.length > 1 ? `${each.label} ` : "", this.values[at]),
    );
    this.element = el(
      "section",
      { class: "card chart", "aria-label": title },
      el("div", { class: "heading" }, el("h3", {}, title), this.when),
      el("p", { class: "legend" }, ...legend),
      el("div", { class: "plot" }, this.picture, this.top),
    );
  }

  point(event) {
    if (event === null || !this.points.length) {
      this.pointed = null;
    } else {
      const box = this.picture.getBoundingClientRect();
      const step = ((event.clientX - box.left) / box.width) * (this.longest - 1) - (this.longest - this.points.length);
      this.pointed = this.points[Math.max(0, Math.min(this.points.length - 1, Math.round(step)))];
    }
    this.#tell();
  }

  /** Draws the points, the newest at the right; there is room for `longest`. */
  draw(points, longest) {
    this.points = points;
    this.longest = longest;
    const known = points.flatMap((point) => this.series.map(({ key }) => point[key])).filter((value) => value !== null);
    const top = nice(Math.max(this.least, ...known));
    this.series.forEach(({ key }, at) => {
      const line = this.#path(key, top);
      this.lines[at].setAttribute("d", line);
      if (at === 0) this.area.setAttribute("d", this.#filled(line));
    });
    write(this.top, this.format(top).replace(/\.0+(?=\s|$)/, ""));
    this.#tell();
  }

  #x(at) {
    return (WIDTH * (this.longest - this.points.length + at)) / (this.longest - 1);
  }

  #path(key, top) {
    let pen = "M";
    let line = "";
    this.points.forEach((point, at) => {
      const value = point[key];
      if (value === null) {
        pen = "M";
        return;
      }
      line += `${pen}${this.#x(at).toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 4)).toFixed(1)}`;
      pen = "L";
    });
    return line;
  }

  #filled(line) {
    return line && `${line}L${WIDTH} ${HEIGHT}L${this.#x(0).toFixed(1)} ${HEIGHT}Z`;
  }

  #tell() {
    const point = this.pointed ?? this.points.at(-1);
    this.series.forEach(({ key }, at) => write(this.values[at], point ? this.format(point[key]) : "–"));
    write(this.when, this.pointed ? clock(this.pointed.at) : "");
    const x = this.pointed ? this.#x(this.points.indexOf(this.pointed)) : -1;
    this.cursor.setAttribute("x1", x);
    this.cursor.setAttribute("x2", x);
    const said = this.series.map(({ label }, at) => `${label} ${this.values[at].textContent}`).join(", ");
    this.picture.setAttribute("aria-label", `${this.title}: ${said}; the last minutes as a line`);
  }
}

/** The next number that is good to read: 1, 2 or 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((each) => each * power).find((each) => each >= value * 0.999);
}
