// Times: time[data-relative] says "in 13 m" or "2 m ago", as the server wrote it, and counts on.
// body[data-now], the server's clock in ms as the page was made, mends a clock that is wrong here.

import { each } from "./page";

const EVERY = 15_000;
const UNITS: [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000], ["s", 1000]];

const told = Number(document.body.dataset.now);
const apart = told ? Date.now() - told : 0;
const skew = Math.abs(apart) > 5000 && performance.now() < 5000 ? apart : 0;

each<HTMLTimeElement>("time[data-relative]", count);
setInterval(() => {
  if (!document.hidden) document.querySelectorAll<HTMLTimeElement>("time[data-relative]").forEach(count);
}, EVERY);

function count(element: HTMLTimeElement): void {
  const at = Date.parse(element.dateTime);
  if (Number.isNaN(at)) return;
  const words = relative(at - (Date.now() - skew));
  if (element.textContent !== words) element.textContent = words;
}

function relative(ms: number): string {
  const unit = UNITS.find(([, span]) => Math.abs(ms) >= span);
  if (!unit) return "now";
  const words = `${Math.floor(Math.abs(ms) / unit[1])} ${unit[0]}`;
  return ms > 0 ? `in ${words}` : `${words} ago`;
}
