// Palette: dialog#palette with input[data-palette]; htmx fetches the [role=option]s into its list. Ctrl K (or
// "/" outside a field) opens it, arrows choose, Enter follows the link or presses the button of the option,
// Escape closes and the focus goes back: the dialog does that. Who presses Enter before the answer is there means
// what it will bring first, not what the list still shows.

import { on, onHtmx } from "./page";

const FIELD = "input[data-palette]";
const OPTION = "[role=option]";

document.addEventListener("keydown", (event) => {
  const isShortcut = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey;
  const isSlash = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey && !isTyping(event.target);
  if ((isShortcut || isSlash) && open()) event.preventDefault();
});

on<"keydown", HTMLInputElement>("keydown", FIELD, (field, event) => {
  const options = optionsOf(field);
  const at = options.findIndex((one) => one.getAttribute("aria-selected") === "true");
  if (event.isComposing) return;
  if (event.key === "Enter" && field.value !== (field.dataset.shown ?? "")) field.dataset.go = field.value;
  else if (!options.length) return;
  else if (event.key === "ArrowDown") choose(field, options, (at + 1) % options.length);
  else if (event.key === "ArrowUp") choose(field, options, (at - 1 + options.length) % options.length);
  else if (event.key === "Enter") follow(options[Math.max(at, 0)]);
  else return;
  event.preventDefault();
});

on<"input", HTMLInputElement>("input", FIELD, (field) => delete field.dataset.go);

onHtmx<{ target: Element; pathInfo: { finalRequestPath: string } }>("htmx:afterSwap", ({ target, pathInfo }) => {
  const field = target.closest("#palette")?.querySelector<HTMLInputElement>(FIELD);
  if (!field) return;
  const options = optionsOf(field);
  field.dataset.shown = new URL(pathInfo.finalRequestPath, location.href).searchParams.get("q") ?? "";
  choose(field, options, 0);
  if (field.dataset.go !== field.dataset.shown) return;
  delete field.dataset.go;
  follow(options[0]);
});

function open(): boolean {
  const dialog = document.querySelector<HTMLDialogElement>("dialog#palette");
  if (!dialog || document.querySelector("dialog:modal")) return dialog?.open ?? false;
  dialog.showModal();
  const field = dialog.querySelector<HTMLInputElement>(FIELD);
  field?.focus();
  field?.select();
  if (field) choose(field, optionsOf(field), 0);
  return true;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox], [type=radio]), textarea, select"));
}

function optionsOf(field: HTMLInputElement): HTMLElement[] {
  return [...(field.closest("#palette")?.querySelectorAll<HTMLElement>(OPTION) ?? [])];
}

function choose(field: HTMLInputElement, options: HTMLElement[], at: number): void {
  options.forEach((one, index) => {
    one.id ||= `palette-option-${index}`;
    one.setAttribute("aria-selected", String(index === at));
  });
  const chosen = options[at];
  field.setAttribute("aria-expanded", String(options.length > 0));
  if (chosen) field.setAttribute("aria-activedescendant", chosen.id);
  else field.removeAttribute("aria-activedescendant");
  chosen?.scrollIntoView({ block: "nearest" });
}

function follow(option: HTMLElement | undefined): void {
  const act = "a[href], button";
  const found = option?.matches(act) ? option : option?.querySelector<HTMLElement>(act);
  found?.click();
}
