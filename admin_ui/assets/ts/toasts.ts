// Toasts: #toasts holds .toast[data-kind=success|error]. Success goes after 6 s, and that time stands still
// while a pointer or the focus is on the toasts or nobody sees the page; an error stays until it is closed.

import { icon, make, on } from "./page";

const LIFE = 6000;
const STEP = 500;
const MOST = 4;
const CROSS = "M18 6 6 18M6 6l12 12";
const SIGNS = { success: "M20 6 9 17l-5-5", error: CROSS };

const ages = new WeakMap<Element, number>();

/** Tell what has become of something. */
export function toast(kind: "success" | "error", title: string, text = ""): void {
  const place = document.querySelector("#toasts");
  if (!place) return;
  const made = make("div", "toast");
  made.dataset.kind = kind;
  const words = make("div", "");
  words.append(make("b", "", title), text);
  const close = make("button", "button quiet small icon-only");
  close.type = "button";
  close.dataset.close = "";
  close.setAttribute("aria-label", "Close");
  close.append(icon(CROSS));
  made.append(icon(SIGNS[kind]), words, close);
  place.append(made);
  while (place.children.length > MOST) place.firstElementChild?.remove();
}

on("click", ".toast [data-close]", (button) => button.closest(".toast")?.remove());

setInterval(() => {
  const place = document.querySelector("#toasts");
  if (!place?.firstElementChild || document.hidden || place.matches(":hover, :focus-within")) return;
  place.querySelectorAll('.toast[data-kind="success"]').forEach((one) => {
    const age = (ages.get(one) ?? 0) + STEP;
    ages.set(one, age);
    if (age >= LIFE) one.remove();
  });
}, STEP);
