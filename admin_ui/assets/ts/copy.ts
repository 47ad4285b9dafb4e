// Copy: [data-copy="#id"] copies the text of that element and says so for 2 s.

import { announce, icon, on } from "./page";
import { toast } from "./toasts";

const TICK = "M20 6 9 17l-5-5";
const SHOWN = 2000;
const kept = new Map<HTMLElement, Node[]>();

on("click", "[data-copy]", async (button) => {
  const source = document.querySelector(button.dataset.copy ?? "");
  if (!source) return;
  if (await put(textOf(source))) show(button);
  else toast("error", "Not copied", "The browser does not allow it. Select the text and copy it.");
});

function textOf(source: Element): string {
  const isField = source instanceof HTMLInputElement || source instanceof HTMLTextAreaElement;
  return isField ? source.value : (source.textContent ?? "").trim();
}

async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return putOldWay(text); // over plain HTTP there is no clipboard but this one
  }
}

function putOldWay(text: string): boolean {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  const back = document.activeElement;
  (document.querySelector("dialog:modal") ?? document.body).append(field);
  field.select();
  const isDone = document.execCommand("copy");
  field.remove();
  if (back instanceof HTMLElement) back.focus();
  return isDone;
}

function show(button: HTMLElement): void {
  announce("Copied");
  if (kept.has(button)) return;
  kept.set(button, [...button.childNodes]);
  button.style.minWidth = `${button.getBoundingClientRect().width}px`;
  button.dataset.copied = "";
  const word = button.textContent?.trim() ? [document.createTextNode("Copied")] : [];
  button.replaceChildren(icon(TICK), ...word);
  setTimeout(() => restore(button), SHOWN);
}

function restore(button: HTMLElement): void {
  button.replaceChildren(...(kept.get(button) ?? []));
  kept.delete(button);
  delete button.dataset.copied;
  button.style.minWidth = "";
}
