// Counts: the figures of the side bar. An element asks for them (hx-get="/counts" hx-swap="none", on load and
// when something moved), and each [data-count=name] of the answer goes to wherever the page shows that name.

import { onHtmx } from "./page";

interface Asked {
  xhr: XMLHttpRequest;
  successful?: boolean;
  pathInfo: { requestPath: string };
}

const NAMED = "[data-count]";

onHtmx<Asked>("htmx:afterRequest", ({ xhr, successful, pathInfo }) => {
  if (!successful || pathInfo.requestPath !== "/counts") return;
  const answer = new DOMParser().parseFromString(xhr.responseText, "text/html");
  const told = new Map([...answer.querySelectorAll<HTMLElement>(NAMED)].map((one) => [one.dataset.count, one]));
  document.querySelectorAll<HTMLElement>(NAMED).forEach((place) => {
    const one = told.get(place.dataset.count);
    place.className = one?.className ?? "count";
    if (place.textContent !== (one?.textContent ?? "")) place.textContent = one?.textContent ?? "";
  });
});
