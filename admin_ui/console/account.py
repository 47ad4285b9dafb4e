"""One's own account: name, password, second factor, passkeys, sessions.

What changes how one signs in asks for the password again. Secrets and codes are shown once, by the answer to the
form itself: they are in no address and no cookie.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import segno
from litestar import Response, get, post
from markupsafe import Markup

from admin_ui.api.nouns import Id
from admin_ui.api.own import session_cookie
from admin_ui.console.guard import SIGNED_IN
from admin_ui.console.visit import NO_PROBLEM, Problem, Visit, WhoVisits
from admin_ui.rooms import Behind
from appliance.core.errors import ConflictError, SignInError, UsageError
from appliance.people.rules import LEAST_PASSWORD, MOST_PASSWORD

_OPT: Final = {SIGNED_IN: True}
_HERE: Final = "/account"
_MOST_NAME: Final = 200
_WRONG: Final = (UsageError, SignInError, ConflictError)


@get(_HERE, opt=_OPT)
async def account(visit: WhoVisits) -> Response[bytes]:
    """The page."""
    return await _account(visit)


async def _account(visit: Visit, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    own, people = visit.own, visit.rooms.people
    user, passkeys, sessions, codes = await asyncio.gather(
        people.account.user(own.seen),
        people.account.passkeys(own.seen),
        people.sessions.list(own.token),
        people.account.recovery_codes_left(own.seen),
    )
    return await visit.page(
        "account.html",
        problem=problem,
        user=user,
        passkeys=passkeys,
        sessions=sessions,
        codes_left=codes,
        least=LEAST_PASSWORD,
    )


@post("/account/name", opt=_OPT)
async def rename(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Change one's name."""
    try:
        user = await rooms.people.account.rename(
            visit.own.seen, visit.form.text("name", most=_MOST_NAME)
        )
    except UsageError as error:
        return await _account(visit, Problem.of(error))
    return visit.to(_HERE, "Saved", f"You are called {user.name}.")


@post("/account/password", opt=_OPT)
async def change_password(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """A new password; all other sessions end and the cookie changes."""
    form, own = visit.form, visit.own
    try:
        opened = await rooms.people.account.change_password(
            own.seen,
            own.token,
            own.client,
            old=form.secret("old", most=MOST_PASSWORD),
            new=form.secret("new", most=MOST_PASSWORD),
        )
    except _WRONG as error:
        return await _account(visit, _at("old", error, "password"))
    answer = visit.to(_HERE, "The password is new", "All your other sessions have ended.")
    answer.cookies.append(session_cookie(rooms, opened))
    return answer


@post("/account/second-factor", opt=_OPT)
async def begin_second_factor(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """The secret, as a picture for the telephone."""
    try:
        new = await rooms.people.account.begin_second_factor(
            visit.own.seen, visit.own.client, password=_password(visit)
        )
    except _WRONG as error:
        return await _account(visit, _at("password", error, "second-factor"))
    return await _confirm(visit, new.ticket, new.secret, new.uri)


async def _confirm(
    visit: Visit, ticket: str, secret: str, uri: str, problem: Problem = NO_PROBLEM
) -> Response[bytes]:
    return await visit.page(
        "account_second_factor.html",
        problem=problem,
        ticket=ticket,
        secret=secret,
        uri=uri,
        picture=_picture(uri),
    )


@post("/account/second-factor/confirm", opt=_OPT)
async def confirm_second_factor(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Its first code; the recovery codes are shown this once."""
    form = visit.form
    ticket = form.text("ticket", most=128)
    try:
        codes = await rooms.people.account.confirm_second_factor(
            visit.own.seen, ticket, form.needed("code", most=64)
        )
    except _WRONG as error:
        secret, uri = form.text("secret", most=256), form.text("uri", most=1024)
        return await _confirm(visit, ticket, secret, uri, _at("code", error))
    return await visit.page("account_codes.html", codes=codes)


@post("/account/second-factor/drop", opt=_OPT)
async def drop_second_factor(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Be asked for no code any more."""
    try:
        await rooms.people.account.drop_second_factor(
            visit.own.seen, visit.own.client, password=_password(visit)
        )
    except _WRONG as error:
        return await _account(visit, _at("password", error, "drop-second-factor"))
    return visit.to(_HERE, "Second factor removed", "The password alone signs you in.")


@post("/account/recovery-codes", opt=_OPT)
async def recovery_codes(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """New ones in the place of all former."""
    try:
        codes = await rooms.people.account.new_recovery_codes(
            visit.own.seen, visit.own.client, password=_password(visit)
        )
    except _WRONG as error:
        return await _account(visit, _at("password", error, "recovery-codes"))
    return await visit.page("account_codes.html", codes=codes)


@post("/account/passkeys/{passkey_id:int}/remove", opt=_OPT)
async def remove_passkey(passkey_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """Forget one."""
    try:
        await rooms.people.account.remove_passkey(
            visit.own.seen, visit.own.client, passkey_id=passkey_id, password=_password(visit)
        )
    except _WRONG as error:
        return await _account(visit, _at("password", error, f"passkey-{passkey_id}"))
    return visit.to(_HERE, "Passkey removed")


@post("/account/sessions/{session_id:int}/end", opt=_OPT)
async def end_session(session_id: Id, rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """End one of one's sessions."""
    await rooms.people.sessions.end(visit.own.token, session_id)
    return visit.to(_HERE, "Session ended")


@post("/account/sessions/end-others", opt=_OPT)
async def end_others(rooms: Behind, visit: WhoVisits) -> Response[bytes]:
    """End all but this one."""
    ended = await rooms.people.sessions.end_others(visit.own.token)
    return visit.to(_HERE, "Signed out elsewhere", f"{ended} other sessions have ended.")


def _password(visit: Visit) -> str:
    return visit.form.secret("password", most=MOST_PASSWORD)


def _at(field: str, error: UsageError | SignInError | ConflictError, dialog: str = "") -> Problem:
    """Wrong passwords and codes are told beside their field."""
    found = Problem.of(error, dialog)
    return Problem(words=found.words, field=found.field or field, dialog=dialog)


def _picture(uri: str) -> Markup:
    """A QR code that a telephone reads from the screen."""
    drawn: str = segno.make(uri, error="m").svg_inline(
        scale=4, border=2, dark="#000", light="#fff", svgclass="qr", lineclass=None, omitsize=False
    )
    return Markup(drawn)  # noqa: S704 - made here, of squares alone


HANDLERS: Final[list[Any]] = [
    account,
    rename,
    change_password,
    begin_second_factor,
    confirm_second_factor,
    drop_second_factor,
    recovery_codes,
    remove_passkey,
    end_session,
    end_others,
]
