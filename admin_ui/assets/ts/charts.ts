// Charts: figure.chart with a drawing whose columns are g.column[data-tip="14:00|Delivered 412|Waiting 3"].
// A pointer over a column, or left and right while the drawing has the focus, show its lines; keys also tell
// them. Escape takes them away.

import { announce, make, on } from "./page";

const COLUMN = "g.column[data-tip]";
const GAP = 8;
const DRAWING = "figure.chart svg";
const STEPS: Record<string, (at: number, count: number) => number> = {
  ArrowRight: (at, count) => Math.min(at + 1, count - 1),
  ArrowLeft: (at, count) => (at < 0 ? count - 1 : Math.max(at - 1, 0)),
  Home: () => 0,
  End: (_, count) => count - 1,
};

document.addEventListener("pointerover", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const column = target?.closest<SVGGElement>(COLUMN);
  if (column) show(column);
});

document.addEventListener("pointerout", (event) => {
  const figure = event.target instanceof Element ? event.target.closest("figure.chart") : null;
  const to = event.relatedTarget;
  if (figure && !(to instanceof Node && figure.contains(to))) hide(figure);
});

on("focusout", DRAWING, (drawing) => hide(drawing.closest("figure.chart")));

on("keydown", DRAWING, (drawing, event) => {
  const figure = drawing.closest("figure.chart");
  if (event.key === "Escape") return hide(figure);
  const columns = [...drawing.querySelectorAll<SVGGElement>(COLUMN)];
  const step = STEPS[event.key];
  if (!step || !columns.length) return;
  event.preventDefault();
  const column = columns[step(columns.findIndex((one) => one.classList.contains("is-shown")), columns.length)];
  if (!column) return;
  show(column);
  announce(linesOf(column).join(", "));
});

function linesOf(column: Element): string[] {
  return (column.getAttribute("data-tip") ?? "").split("|");
}

function show(column: SVGGElement): void {
  const figure = column.closest<HTMLElement>("figure.chart");
  if (!figure || column.classList.contains("is-shown")) return;
  hide(figure);
  column.classList.add("is-shown");
  const tip = make("div", "tip");
  tip.setAttribute("aria-hidden", "true");
  linesOf(column).forEach((line, index) => tip.append(make(index ? "div" : "b", "", line)));
  figure.append(tip);
  place(tip, column);
}

/** Above the column, within the window. */
function place(tip: HTMLElement, column: SVGGElement): void {
  const box = column.getBoundingClientRect();
  const left = box.left + box.width / 2 - tip.offsetWidth / 2;
  const most = document.documentElement.clientWidth - tip.offsetWidth - GAP;
  tip.style.left = `${Math.max(GAP, Math.min(left, most))}px`;
  tip.style.top = `${Math.max(GAP, box.top - tip.offsetHeight - GAP)}px`;
}

function hide(figure: Element | null): void {
  figure?.querySelectorAll(".tip").forEach((tip) => tip.remove());
  figure?.querySelectorAll(".is-shown").forEach((column) => column.classList.remove("is-shown"));
}
