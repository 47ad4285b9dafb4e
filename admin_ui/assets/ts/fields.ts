// Fields: [data-check] is checked by the browser's own rules when it is left, never while somebody types.
// What is wrong takes the place of the help (the first element of aria-describedby) and is gone once it is
// right. What the server found wrong stays until the form is sent again.

import { icon, make, on } from "./page";

type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

interface Blame {
  error: HTMLElement;
  help: HTMLElement | null;
  wasHidden: boolean;
  described: string | null;
}

const TRIANGLE = "M12 9v4M12 17h.01M10.3 3.9 2 18a2 2 0 0 0 1.7 3h16.6a2 2 0 0 0 1.7-3L13.7 3.9a2 2 0 0 0-3.4 0";
const blames = new WeakMap<Field, Blame>();

on("focusout", "[data-check]", (element) => {
  const field = element as Field;
  absolve(field);
  if (field.value && !field.validity.valid) blame(field);
});

on("input", "[data-check]", (element) => {
  const field = element as Field;
  if (blames.has(field) && field.validity.valid) absolve(field);
});

/** The field's own words in data-check, else the browser's. */
function blame(field: Field): void {
  const described = field.getAttribute("aria-describedby");
  const help = document.getElementById(described?.split(" ")[0] ?? "");
  const error = make("p", "error");
  error.id = `${field.id || field.name}-wrong`;
  error.append(icon(TRIANGLE), make("span", "", field.dataset.check || field.validationMessage));
  if (help) help.after(error);
  else (field.closest(".field") ?? field.parentElement)?.append(error);
  const wasHidden = help !== null && help.hidden !== false;
  if (help) help.hidden = true;
  field.setAttribute("aria-invalid", "true");
  field.setAttribute("aria-describedby", error.id);
  blames.set(field, { error, help, wasHidden, described });
}

function absolve(field: Field): void {
  const found = blames.get(field);
  if (!found) return;
  blames.delete(field);
  found.error.remove();
  if (found.help) found.help.hidden = found.wasHidden;
  field.removeAttribute("aria-invalid");
  if (found.described) field.setAttribute("aria-describedby", found.described);
  else field.removeAttribute("aria-describedby");
}
