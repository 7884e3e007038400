// Questions before something is done, what became of it, and details.

import { Refused } from "./api.js";
import { button, el } from "./dom.js";

function opened(title, content, buttons) {
  const name = `dialog-${Date.now()}`;
  const dialog = el("dialog", { "aria-labelledby": name }, el("h2", { id: name }, title), ...content, el("div", { class: "row end" }, ...buttons));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Asks before something is done. The answer that does nothing has the focus.
 * @param {string} title
 * @param {(Node | string)[]} content
 * @param {string} action what the button says
 * @returns {Promise<boolean>}
 */
export function confirmed(title, content, action, { danger = false, possible = true } = {}) {
  return new Promise((answer) => {
    const no = button("Cancel", () => dialog.close());
    const yes = button(action, () => dialog.close("yes"), { kind: danger ? "danger" : "main", disabled: !possible });
    no.autofocus = true;
    const dialog = opened(title, content.map((each) => (typeof each === "string" ? el("p", {}, each) : each)), [no, yes]);
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"));
  });
}

/** Shows something until it is closed. */
export function shown(title, ...content) {
  const close = button("Close", () => dialog.close());
  close.autofocus = true;
  const dialog = opened(title, content, [close]);
  return dialog;
}

/** Says something for a few seconds. */
export function say(text, tone = "good") {
  const toast = el("p", { class: `toast ${tone}` }, text);
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), tone === "bad" ? 12000 : 5000);
}

/** Does something that the router may refuse; says what came of it. */
export async function attempt(work, told) {
  try {
    const found = await work();
    const text = told(found);
    if (text) say(text);
    return true;
  } catch (error) {
    say([error.message, ...(error instanceof Refused ? error.problems : [])].join("\n"), "bad");
    return false;
  }
}
