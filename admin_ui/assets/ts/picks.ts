// Picks: input[name=pick] in a form's rows, [data-select-all] ticks them all, and [data-bulk] is there once
// one is ticked: it says how many rows ([data-bulk-count]) and how many messages ([data-bulk-messages], the sum
// of their data-messages). Without a script it is always there.

import { each, on } from "./page";

const PICK = "input[name=pick]";
const ALL = "input[data-select-all]";

on<"change", HTMLInputElement>("change", ALL, (all) => {
  for (const one of picksOf(all.form)) one.checked = all.checked;
  count(all.form);
});

on<"change", HTMLInputElement>("change", PICK, (pick) => count(pick.form));
each<HTMLInputElement>(PICK, (pick) => count(pick.form));
each("[data-bulk]", (bar) => count(bar.closest("form")));
on<"reset", HTMLFormElement>("reset", "form", (form) => setTimeout(() => count(form)));
// A browser that comes back to a page ticks what was ticked, and says nothing.
window.addEventListener("pageshow", () => document.querySelectorAll("form").forEach(count));

function picksOf(form: HTMLFormElement | null): HTMLInputElement[] {
  const named = form?.elements.namedItem("pick");
  if (named instanceof RadioNodeList) return [...named] as unknown as HTMLInputElement[];
  return named instanceof HTMLInputElement ? [named] : [];
}

function count(form: HTMLFormElement | null): void {
  const bar = form?.querySelector<HTMLElement>("[data-bulk]");
  const picks = picksOf(form);
  const ticked = picks.filter((one) => one.checked);
  if (bar) {
    bar.hidden = ticked.length === 0;
    say(bar, "[data-bulk-count]", ticked.length);
    say(bar, "[data-bulk-messages]", ticked.reduce((sum, one) => sum + Number(one.dataset.messages ?? 0), 0));
  }
  for (const all of form?.querySelectorAll<HTMLInputElement>(ALL) ?? []) {
    all.checked = picks.length > 0 && ticked.length === picks.length;
    all.indeterminate = ticked.length > 0 && !all.checked;
  }
}

function say(bar: HTMLElement, selector: string, figure: number): void {
  bar.querySelectorAll(selector).forEach((place) => (place.textContent = figure.toLocaleString("en-US")));
}
