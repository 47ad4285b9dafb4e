// Rows: one that was not there before a region asked again is tr.new, and flashes once. A row is known by its
// data-row, or by the page that its first link leads to.

import { type Answer, isByItself, onHtmx } from "./page";

const ROWS = "tbody tr";

onHtmx<Answer>("htmx:beforeSwap", (answer, event) => {
  const { id } = answer.target;
  if (!id || !isByItself(answer) || event.defaultPrevented) return;
  const before = new Set(rowsOf(answer.target).map(keyOf));
  if (!before.size) return;
  const mark = () => {
    const isNew = (row: HTMLElement) => keyOf(row) !== "" && !before.has(keyOf(row));
    for (const row of rowsOf(document.getElementById(id))) row.classList.toggle("new", isNew(row));
  };
  document.addEventListener("htmx:afterSettle", mark, { once: true });
});

function rowsOf(region: Element | null): HTMLElement[] {
  return [...(region?.querySelectorAll<HTMLElement>(ROWS) ?? [])];
}

function keyOf(row: HTMLElement): string {
  return row.dataset.row ?? row.querySelector("a[href]")?.getAttribute("href") ?? "";
}
