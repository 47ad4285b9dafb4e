// Menus are details.menu: a press elsewhere or Escape closes what is open, and Escape gives the focus back.

const OPEN = "details.menu[open]";

document.addEventListener("click", (event) => {
  document.querySelectorAll<HTMLDetailsElement>(OPEN).forEach((menu) => {
    if (event.target instanceof Node && !menu.contains(event.target)) menu.open = false;
  });
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  document.querySelectorAll<HTMLDetailsElement>(OPEN).forEach((menu) => {
    if (menu.contains(document.activeElement)) menu.querySelector("summary")?.focus();
    menu.open = false;
  });
});
