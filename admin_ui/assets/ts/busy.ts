// Busy: the button that was pressed says that something is under way, keeps its width, and cannot be pressed
// again; neither can its form be sent again. It is itself again when htmx has its answer or the page is
// come back to. Forms that keep the page where it is (a download, a new tab) are left alone.

import { onHtmx } from "./page";

const SKIPPED = "form[data-download], form[data-theme-form], form[method=dialog], form[target=_blank]";
const SENT = new WeakSet<HTMLFormElement>();
const BUSY = new Map<HTMLElement, Node[]>();

/** Begin. */
export function start(form: HTMLFormElement, button: HTMLElement | null): void {
  SENT.add(form);
  const shown = button ?? form.querySelector<HTMLElement>("button[type=submit], button:not([type])");
  if (shown && !BUSY.has(shown)) show(shown);
}

/** Be as before. */
export function stop(form: HTMLFormElement): void {
  SENT.delete(form);
  for (const button of BUSY.keys()) {
    if (!button.isConnected || form.contains(button) || (button as HTMLButtonElement).form === form) restore(button);
  }
}

/** Whether it is under way. */
export function isSent(form: HTMLFormElement): boolean {
  return SENT.has(form);
}

function show(button: HTMLElement): void {
  const word = button.textContent?.trim() && button.dataset.busy;
  BUSY.set(button, [...button.childNodes]);
  button.style.minWidth = `${button.getBoundingClientRect().width}px`;
  button.setAttribute("aria-busy", "true");
  button.setAttribute("aria-disabled", "true");
  if (word) button.replaceChildren(word); // the turning sign is the style's
}

function restore(button: HTMLElement): void {
  button.replaceChildren(...(BUSY.get(button) ?? []));
  BUSY.delete(button);
  button.style.minWidth = "";
  button.removeAttribute("aria-busy");
  button.removeAttribute("aria-disabled");
}

function formOf(element: unknown): HTMLFormElement | null {
  return element instanceof HTMLFormElement && !element.matches(SKIPPED) ? element : null;
}

// Before anybody else hears of it: a second time is no time at all.
document.addEventListener(
  "submit",
  (event) => {
    const form = formOf(event.target);
    if (!form || !SENT.has(form)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  },
  true,
);

// After everybody else: what was not taken over by a script is sent by the browser.
window.addEventListener("submit", (event) => {
  const form = formOf(event.target);
  if (form && !event.defaultPrevented) start(form, event.submitter);
});

interface Asked {
  elt: Element;
  requestConfig: { triggeringEvent?: Event };
}

onHtmx<Asked>("htmx:beforeSend", ({ elt, requestConfig }) => {
  const form = formOf(elt);
  const event = requestConfig.triggeringEvent;
  if (form && event instanceof SubmitEvent) start(form, event.submitter);
});

onHtmx<Asked>("htmx:afterRequest", ({ elt }) => {
  const form = formOf(elt);
  if (form) stop(form);
});

window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  document.querySelectorAll("form").forEach(stop);
});
