// Typed confirmation: [data-confirm-words="stop all sending"] keeps its form's submit button off until the
// same is typed; [data-confirm-left] in the form says how much is left. The server checks the words as well.

import { each, on } from "./page";

const FIELD = "input[data-confirm-words]";

each<HTMLInputElement>(FIELD, compare);
on<"input", HTMLInputElement>("input", FIELD, compare);

function compare(field: HTMLInputElement): void {
  const words = field.dataset.confirmWords ?? "";
  const isSame = field.value === words;
  for (const one of field.form?.elements ?? []) {
    if (one instanceof HTMLButtonElement && one.type === "submit") one.disabled = !isSame;
  }
  const place = field.form?.querySelector("[data-confirm-left]");
  if (place) place.textContent = isSame ? "It matches." : said(words, field.value);
}

function said(words: string, typed: string): string {
  if (!words.startsWith(typed)) return "It does not match.";
  const left = words.length - typed.length;
  return left === 1 ? "1 character to go." : `${left} characters to go.`;
}
