// Passkeys: form[data-passkey="sign-in|register"][hidden], shown where the browser knows passkeys.
//
//   data-options   where the challenge is had: POST -> {ticket, options}
//   data-answer    where the answer goes: POST {ticket, credential}, and the form's name when registering;
//                  without it data-options less "/options"
//   data-next      where to go then
//
// A field "password" goes with the first question, "csrf" with both. What fails is a toast in words.

import { isSent, start, stop } from "./busy";
import { each, on } from "./page";
import { toast } from "./toasts";

const FORM = "form[data-passkey]";

interface Asked {
  ticket: string;
  options: PublicKeyCredentialCreationOptionsJSON & PublicKeyCredentialRequestOptionsJSON;
}

const isKnown = typeof PublicKeyCredential !== "undefined" && "parseRequestOptionsFromJSON" in PublicKeyCredential;

each<HTMLFormElement>(FORM, (form) => (form.hidden = !isKnown));

on<"submit", HTMLFormElement>("submit", FORM, async (form, event) => {
  event.preventDefault();
  if (isSent(form)) return;
  start(form, event.submitter);
  try {
    await go(form);
  } catch (error) {
    stop(form);
    toast("error", form.dataset.passkey === "register" ? "No passkey added" : "Not signed in", said(error));
  }
});

async function go(form: HTMLFormElement): Promise<void> {
  const { options: from = "", answer, next = "/" } = form.dataset;
  const isNew = form.dataset.passkey === "register";
  const asked = await post<Asked>(form, from, isNew ? { password: valueOf(form, "password") } : {});
  const credential = isNew ? await create(asked) : await get(asked);
  const name = isNew ? { name: valueOf(form, "name") } : {};
  const to = answer ?? from.replace(/\/options$/, "");
  await post(form, to, { ticket: asked.ticket, credential: credential.toJSON(), ...name });
  location.assign(next);
}

async function create({ options }: Asked): Promise<PublicKeyCredential> {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return credentialOf(await navigator.credentials.create({ publicKey }));
}

async function get({ options }: Asked): Promise<PublicKeyCredential> {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return credentialOf(await navigator.credentials.get({ publicKey }));
}

function credentialOf(found: Credential | null): PublicKeyCredential {
  if (found instanceof PublicKeyCredential) return found;
  throw new Error("The browser gave no passkey.");
}

function valueOf(form: HTMLFormElement, name: string): string {
  const field = form.elements.namedItem(name);
  return field instanceof HTMLInputElement ? field.value : "";
}

async function post<T>(form: HTMLFormElement, url: string, body: unknown): Promise<T> {
  const headers: Record<string, string> = { "Content-Type": "application/json", Accept: "application/json" };
  const csrf = valueOf(form, "csrf");
  if (csrf) headers["X-CSRF-Token"] = csrf;
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(found.detail ?? `The box answered ${answer.status}.`);
  return found as T;
}

function said(error: unknown): string {
  if (error instanceof DOMException && error.name === "NotAllowedError") {
    return "The browser was not allowed to use a passkey, or it took too long. Try again, or use a password.";
  }
  if (error instanceof DOMException && error.name === "InvalidStateError") {
    return "This device has a passkey of this account already.";
  }
  if (error instanceof TypeError) return "The box did not answer. Try again in a moment.";
  return error instanceof Error ? error.message : String(error);
}
