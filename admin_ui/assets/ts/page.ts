// Page: how islands hold on to it, while parts of it come and go.

import htmx from "htmx.org";

type Handler<E extends Event, T extends Element> = (element: T, event: E) => void;

/** Call when an event comes from within an element that matches. */
export function on<K extends keyof DocumentEventMap, T extends HTMLElement = HTMLElement>(
  type: K,
  selector: string,
  handler: Handler<DocumentEventMap[K], T>,
): void {
  document.addEventListener(type, (event) => {
    const within = event.target instanceof Element ? event.target.closest<T>(selector) : null;
    if (within) handler(within, event);
  });
}

/** Call for each element that matches: of the page as it loads, and of what is swapped in. */
export function each<T extends HTMLElement = HTMLElement>(
  selector: string,
  handler: (element: T) => void,
): void {
  htmx.onLoad((root) => {
    if (!(root instanceof Element)) return;
    if (root.matches(selector)) handler(root as T);
    root.querySelectorAll<T>(selector).forEach(handler);
  });
}

/** Listen to one of htmx's events; its detail has no type of its own. */
export function onHtmx<D>(type: string, handler: (detail: D, event: CustomEvent<D>) => void): void {
  document.addEventListener(type, (event) => {
    const custom = event as CustomEvent<D>;
    handler(custom.detail, custom);
  });
}

export interface Answer {
  elt: Element;
  target: Element;
  xhr: XMLHttpRequest;
  boosted?: boolean;
  shouldSwap: boolean;
  isError: boolean;
  requestConfig?: { triggeringEvent?: Event; elt: Element };
}

/** Whether a part of the page asked by itself: as it loaded, or because something happened on the box. */
export function isByItself(answer: Pick<Answer, "requestConfig">): boolean {
  const type = answer.requestConfig?.triggeringEvent?.type ?? "load";
  return type === "load" || type.startsWith("live:");
}

/** Tell a screen reader. */
export function announce(words: string): void {
  const place = document.querySelector("#announcer");
  if (!place) return;
  place.textContent = "";
  // The same words again are a change only if they were gone in between.
  setTimeout(() => (place.textContent = words), 50);
}

/** An element with a class and words. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  words = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = words;
  return made;
}

/** An icon like those that the server draws. */
export function icon(path: string): SVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const drawn = document.createElementNS(space, "path");
  const given = { class: "icon", width: "16", height: "16", viewBox: "0 0 24 24", "aria-hidden": "true" };
  for (const [name, value] of Object.entries(given)) svg.setAttribute(name, value);
  drawn.setAttribute("d", path);
  svg.append(drawn);
  return svg;
}
