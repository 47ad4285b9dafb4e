// htmx: its settings, and what becomes of answers that are no success.
//
//   HTML      shown whatever its status is: a form with its problems (422), a page that says "not found"
//   else      a toast with the box's own words (RFC 9457)
//   nothing   a toast: the box did not answer. A live region says nothing and keeps what it shows
//   sign-in   the session has ended: the whole page goes there

import htmx from "htmx.org";
import { announce, type Answer, isByItself, onHtmx } from "./page";
import { toast } from "./toasts";

Object.assign(htmx.config, {
  includeIndicatorStyles: false, // the policy allows no <style>
  allowEval: false,
  allowScriptTags: false,
  attributesToSettle: ["class"], // a style attribute, as a script may have set one, is against the policy
  selfRequestsOnly: true,
  historyCacheSize: 0, // nothing of a session stays in the browser's storage
  defaultSettleDelay: 0, // what is seen works: no dialog that is not modal yet, no button that htmx does not know
  scrollIntoViewOnBoost: false,
  timeout: 30_000,
});

const SIGN_IN = "/sign-in";

onHtmx<Answer>("htmx:beforeSwap", (answer, event) => {
  const { xhr } = answer;
  if (isGone(xhr)) {
    event.preventDefault();
    location.assign(`${SIGN_IN}?next=${encodeURIComponent(location.pathname + location.search)}`);
  } else if (xhr.status >= 400) {
    if (isByItself(answer)) event.preventDefault();
    else if (isPage(xhr)) Object.assign(answer, { shouldSwap: true, isError: false });
    else toast("error", "Not done", words(xhr));
  }
});

onHtmx<Answer>("htmx:sendError", (answer) => {
  if (!isByItself(answer)) silence();
});

onHtmx<Answer>("htmx:timeout", (answer) => {
  if (!isByItself(answer)) silence();
});

onHtmx<Answer>("htmx:afterSettle", (answer) => {
  if (!answer.boosted) return;
  const title = document.querySelector<HTMLElement>("main h1") ?? document.querySelector("main");
  if (title) {
    title.tabIndex = -1;
    title.focus({ preventScroll: true });
  }
  announce(document.title);
});

function isGone(xhr: XMLHttpRequest): boolean {
  const came = xhr.responseURL ? new URL(xhr.responseURL).pathname : "";
  return came.startsWith(SIGN_IN) && !location.pathname.startsWith(SIGN_IN);
}

function isPage(xhr: XMLHttpRequest): boolean {
  return xhr.getResponseHeader("Content-Type")?.startsWith("text/html") ?? false;
}

function words(xhr: XMLHttpRequest): string {
  try {
    return String(JSON.parse(xhr.responseText).detail ?? "");
  } catch {
    return `The box answered ${xhr.status}.`;
  }
}

function silence(): void {
  toast("error", "The box did not answer", "Nothing is known of what was asked. Look again, then try again.");
}
