// Reveal: button[data-reveal="#password"] shows what is typed there, and hides it again.

import { each, on } from "./page";

each("button[data-reveal]", (button) => (button.hidden = false));

on("click", "button[data-reveal]", (button) => {
  const field = document.querySelector<HTMLInputElement>(button.dataset.reveal ?? "");
  if (!field) return;
  const isShown = field.type === "text";
  field.type = isShown ? "password" : "text";
  button.setAttribute("aria-pressed", String(!isShown));
});
