// Elements. Texts become text nodes and nothing else: what clients sent is never markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with attributes and children. `on` holds listeners by event; null, undefined and false leave an attribute
 * out.
 * @param {string} name
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null | undefined)} children
 */
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same of SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Changes the text only if it is another one, so that what is selected stays so. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** A button; `what` is said to those who do not see where it stands. */
export function button(text, act, { kind = "", what = null, disabled = false } = {}) {
  return el("button", { type: "button", class: kind || null, "aria-label": what, disabled, on: { click: act } }, text);
}

/** A small word with a colour: good, warn, bad, or none. */
export function pill(text, tone = "") {
  return el("span", { class: `pill ${tone}`.trim() }, text);
}

/** A bar of `parts`, [class, percent of its length], those behind first; `label` says it in words. */
export function bar(parts, label) {
  const rects = [["room", 100], ...parts].map(([kind, width]) => svg("rect", { class: kind, width, height: 6 }));
  return el(
    "span",
    { class: "measure" },
    svg("svg", { viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" }, ...rects),
    el("span", {}, label),
  );
}

/** A heading with something at its right. */
export function heading(text, ...more) {
  return el("div", { class: "heading" }, el("h2", {}, text), ...more);
}

/** A field with its label. */
export function field(label, control) {
  return el("label", { class: "field" }, el("span", {}, label), control);
}
