// Live: body[data-live="/live"] names the stream; each event becomes `live:<topic>` on the body, at most once
// a second and the last one always, and a region asks for itself anew:
//
//   <div hx-get="/queue" hx-select="#rows" hx-trigger="live:queue from:body" ...>
//
// html[data-stream="on|cut"] says how the stream is. After a cut, and when a hidden page is seen again, every
// region asks once. A region in which somebody works (rows ticked, a dialog, a field) waits until they are done.

import htmx from "htmx.org";
import { type Answer, isByItself, onHtmx } from "./page";
import { Stream } from "./stream";

const EVERY = 1000;
const LATE = 500; // a region that waited looks so soon whether it may
const REGION = '[hx-trigger*="live:"], [data-hx-trigger*="live:"]';
/** Those of admin_ui/desks.py (a test compares), and two of the stream's own. */
const TOPICS = [
  "messages", "queue", "bounces", "suppressions", "domains", "credentials", "keys", "webhooks", "jobs",
  "notifications", "sending", "tenants", "people", "audit", "egress", "warmup", "shaping", "blocklists", "services",
  "all", "signed-out",
];

const last = new Map<string, number>();
const timers = new Map<string, number>();
const waiting = new Set<Element>();

function happened(topic: string, data: unknown): void {
  if (topic === "signed-out") leave();
  else if (topic === "all") everything();
  else pace(topic, data);
}

/** At once if nothing was told for a second, else when it is over. */
function pace(topic: string, data: unknown): void {
  const rest = (last.get(topic) ?? -EVERY) + EVERY - performance.now();
  clearTimeout(timers.get(topic));
  if (rest <= 0) tell(topic, data);
  else timers.set(topic, window.setTimeout(() => tell(topic, data), rest));
}

function tell(topic: string, data: unknown): void {
  last.set(topic, performance.now());
  htmx.trigger(document.body, `live:${topic}`, { data });
}

function everything(): void {
  pace("all", null);
  const found = [...document.querySelectorAll(REGION)].map(triggerOf).filter((said) => !said.includes("live:all"));
  const topics = found.flatMap((said) => [...said.matchAll(/live:([\w-]+)/g)].map((match) => match[1] ?? ""));
  for (const topic of new Set(topics)) pace(topic, null);
}

function triggerOf(region: Element): string {
  return region.getAttribute("hx-trigger") ?? region.getAttribute("data-hx-trigger") ?? "";
}

function leave(): void {
  if (location.pathname.startsWith("/sign-in")) return;
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Whether somebody works in it: what they do must not be swapped away. */
function isInUse(region: Element): boolean {
  const field = "input:not([type=checkbox], [type=radio]):focus, textarea:focus, select:focus";
  return region.querySelector(`${field}, input[name=pick]:checked, dialog:modal, details.menu[open]`) !== null;
}

function retry(): void {
  for (const region of waiting) {
    if (region.isConnected && isInUse(region)) continue;
    waiting.delete(region);
    if (region.isConnected) everything();
  }
  if (waiting.size) window.setTimeout(retry, LATE);
}

onHtmx<Answer>("htmx:beforeRequest", (answer, event) => {
  if (!isByItself(answer) || !isInUse(answer.target)) return;
  event.preventDefault();
  if (!waiting.size) window.setTimeout(retry, LATE);
  waiting.add(answer.target);
});

// It may have begun while the answer was on its way.
onHtmx<Answer>("htmx:beforeSwap", (answer, event) => {
  if (!isByItself(answer)) return;
  if (isInUse(answer.target)) event.preventDefault();
  else keepFocus(answer.target);
});

/** Focus goes to what stands in the place of what had it. */
function keepFocus(region: Element): void {
  const focused = document.activeElement;
  if (!focused || !region.contains(focused) || focused.id) return; // by id htmx does it
  const key = ["href", "name", "value", "commandfor", "data-copy", "aria-label"]
    .filter((name) => focused.hasAttribute(name))
    .map((name) => `[${name}=${CSS.escape(focused.getAttribute(name) ?? "")}]`);
  if (!key.length) return;
  const find = () => {
    if (document.activeElement !== document.body) return;
    document.querySelector<HTMLElement>(focused.localName + key.join(""))?.focus({ preventScroll: true });
  };
  document.addEventListener("htmx:afterSettle", find, { once: true });
}

function begin(url: string): void {
  const changed = (isOn: boolean) => (document.documentElement.dataset.stream = isOn ? "on" : "cut");
  const stream = new Stream(url, TOPICS, { happened, changed });
  let wasHidden = document.hidden;
  const follow = () => {
    if (document.hidden) stream.stop();
    else stream.start();
    if (wasHidden && !document.hidden) everything();
    wasHidden = document.hidden;
  };
  document.addEventListener("visibilitychange", follow);
  window.addEventListener("offline", () => stream.doubt());
  window.addEventListener("pagehide", () => stream.stop());
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    wasHidden = true;
    follow();
  });
  follow();
}

if (document.body.dataset.live) begin(document.body.dataset.live);
