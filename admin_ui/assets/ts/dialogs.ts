// Dialogs are the browser's own, opened by <button command="show-modal" commandfor="id">. Here is what it
// lacks: a press beside the dialog closes it, dialog[data-open] opens as it comes (the server found a field
// wrong, or was asked for it without a script), and browsers that do not know `command` yet learn it.

import { each, on } from "./page";

each<HTMLDialogElement>("dialog[data-open]", (dialog) => {
  dialog.removeAttribute("data-open");
  dialog.removeAttribute("open"); // as the server wrote it, which is not modal
  dialog.showModal();
  dialog.querySelector<HTMLElement>("[aria-invalid='true']")?.focus();
});

let pressed: Element | null = null;
document.addEventListener("pointerdown", (event) => {
  pressed = event.target instanceof Element ? event.target : null;
});

on<"click", HTMLDialogElement>("click", "dialog:modal", (dialog, event) => {
  const isBackdrop = event.target === dialog && pressed === dialog && isBeside(dialog, event);
  if (isBackdrop) dialog.close();
});

function isBeside(dialog: HTMLDialogElement, { clientX: x, clientY: y }: MouseEvent): boolean {
  const box = dialog.getBoundingClientRect();
  return x < box.left || x > box.right || y < box.top || y > box.bottom;
}

if (!("command" in HTMLButtonElement.prototype)) {
  on("click", "button[command][commandfor]", (button) => {
    const dialog = document.getElementById(button.getAttribute("commandfor") ?? "");
    if (!(dialog instanceof HTMLDialogElement)) return;
    if (button.getAttribute("command") === "show-modal" && !dialog.open) dialog.showModal();
    else if (button.getAttribute("command") !== "show-modal") dialog.close();
  });
}
