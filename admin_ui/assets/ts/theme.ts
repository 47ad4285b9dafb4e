// Theme: form[data-theme-form] with a button name=theme for each of dark, light and system, or with one that
// changes between dark and light. Without a script the server sets the same cookie.

import { each, on } from "./page";

const YEAR = 365 * 86_400;
const isLight = matchMedia("(prefers-color-scheme: light)");

on<"submit", HTMLFormElement>("submit", "form[data-theme-form]", (form, event) => {
  const button = event.submitter;
  if (!(button instanceof HTMLButtonElement) || button.name !== "theme") return;
  event.preventDefault();
  choose(button.value);
  form.closest("details")?.removeAttribute("open");
  document.querySelectorAll<HTMLFormElement>("form[data-theme-form]").forEach(mark);
});

each<HTMLFormElement>("form[data-theme-form]", mark);

function choose(value: string): void {
  const isChosen = value === "dark" || value === "light";
  if (isChosen) document.documentElement.dataset.theme = value;
  else delete document.documentElement.dataset.theme;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  const kept = isChosen ? `${value}; max-age=${YEAR}` : "; max-age=0";
  document.cookie = `pillarbox_theme=${kept}; path=/; SameSite=Lax${secure}`;
}

function mark(form: HTMLFormElement): void {
  const chosen = document.documentElement.dataset.theme;
  const buttons = [...form.querySelectorAll<HTMLButtonElement>("button[name=theme]")];
  const only = buttons.length === 1 ? buttons[0] : undefined;
  if (only) {
    const shown = chosen ?? (isLight.matches ? "light" : "dark");
    only.value = shown === "dark" ? "light" : "dark";
    return;
  }
  for (const button of buttons) {
    const isThis = button.value === chosen || (!chosen && !["dark", "light"].includes(button.value));
    button.setAttribute("aria-pressed", String(isThis));
  }
}
