"""Signing in: by password and code, by a passkey, by an issuer; and links that came by mail.

Who fails hears one and the same thing (appliance/people); the second step's ticket travels in a cookie that no
script reads. With a session one is led on at once.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from litestar import Response, get, post
from litestar.params import PathParameter

from admin_ui.api.guard import COOKIE
from admin_ui.api.own import OPT, TICKET, departure_cookie, pages, ticket_cookie
from admin_ui.console.guest import AGuest, Guest
from admin_ui.console.visit import NO_PROBLEM, Problem
from appliance.core.errors import (
    ConflictError,
    NotFoundError,
    PillarboxError,
    SignInError,
    UsageError,
)
from appliance.core.scope import Scope
from appliance.people import SecondFactorNeeded
from appliance.people.rules import LEAST_PASSWORD, MOST_PASSWORD

Token = Annotated[str, PathParameter(min_length=1, max_length=128)]
_MOST_NAME: Final = 200
_SYSTEM: Final = Scope.system(by="console")
_SENT: Final = "If the address has an account, a letter with a link is on its way to it."
_GONE: Final = "This link was used, has run out, or was taken back."
_FAILED: Final = (UsageError, SignInError, ConflictError)


@get("/sign-in", opt=OPT, guards=[pages])
async def sign_in(guest: AGuest) -> Response[bytes]:
    """The page."""
    token = guest.request.cookies.get(COOKIE, "")
    if token and await guest.rooms.people.sessions.seen(token) is not None:
        return guest.to(guest.next)
    return await _sign_in(guest)


async def _sign_in(guest: Guest, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    issuers = guest.rooms.people.single_sign_on.names
    return await guest.page("sign_in.html", problem=problem, issuers=issuers)


@post("/sign-in", opt=OPT, guards=[pages])
async def with_password(guest: AGuest) -> Response[bytes]:
    """The first step."""
    form = guest.form
    try:
        email, password = (
            form.needed("email", most=320),
            form.secret("password", most=MOST_PASSWORD),
        )
        found = await guest.rooms.people.sign_in.with_password(email, password, guest.client)
    except _FAILED as error:
        return await _sign_in(guest, Problem.of(error))
    if isinstance(found, SecondFactorNeeded):
        answer = guest.to(_with_next("/sign-in/code", guest))
        answer.cookies.append(ticket_cookie(guest.rooms, found))
        return answer
    return guest.enter(found)


@get("/sign-in/code", opt=OPT, guards=[pages])
async def ask_code(guest: AGuest) -> Response[bytes]:
    """The second step's page."""
    if not guest.request.cookies.get(TICKET):
        return guest.to("/sign-in", "Begin again", "The sign-in has run out.", kind="error")
    return await _ask_code(guest)


async def _ask_code(guest: Guest, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    """Of the telephone; or a recovery code, which has letters: another keyboard on a phone."""
    said = guest.form.said("recovery") or guest.request.query_params.get("recovery", "")
    return await guest.page("sign_in_code.html", problem=problem, is_recovery=bool(said))


@post("/sign-in/code", opt=OPT, guards=[pages])
async def with_code(guest: AGuest) -> Response[bytes]:
    """The second step."""
    ticket = guest.request.cookies.get(TICKET, "")
    try:
        code = guest.form.needed("code", most=64)
        opened = await guest.rooms.people.sign_in.with_code(ticket, code, guest.client)
    except _FAILED as error:
        return await _ask_code(guest, Problem.of(error))
    answer = guest.enter(opened)
    answer.cookies.append(ticket_cookie(guest.rooms, None))
    return answer


@get("/sign-in/with/{name:str}", opt=OPT, guards=[pages])
async def depart(name: Token, guest: AGuest) -> Response[bytes]:
    """To an issuer; it sends the browser back to the API's callback (admin_ui/api/sign_in.py)."""
    try:
        departure = await guest.rooms.people.single_sign_on.depart(name, guest.client)
    except SignInError as error:
        return await _sign_in(guest, Problem.of(error))
    answer = guest.to(departure.url)
    answer.cookies.append(departure_cookie(guest.rooms, departure.ticket))
    return answer


@get("/password", opt=OPT, guards=[pages])
async def forgotten(guest: AGuest) -> Response[bytes]:
    """Ask for a link."""
    return await guest.page("password_forgotten.html")


@post("/password", opt=OPT, guards=[pages])
async def send_link(guest: AGuest) -> Response[bytes]:
    """The same answer whether anybody has the address or not, and as fast."""
    try:
        email = guest.form.needed("email", most=320)
        await guest.rooms.people.password_links.ask(email, guest.client)
    except UsageError as error:
        return await guest.page("password_forgotten.html", problem=Problem.of(error))
    return guest.to("/sign-in", "Look into your mail", _SENT)


@get("/password/{link:str}", opt=OPT, guards=[pages])
async def new_password(link: Token, guest: AGuest) -> Response[bytes]:
    """Choose a new one."""
    return await guest.page("password_new.html", token=link, least=LEAST_PASSWORD)


@post("/password/{link:str}", opt=OPT, guards=[pages])
async def use_link(link: Token, guest: AGuest) -> Response[bytes]:
    """A new password; signing in with it comes next."""
    try:
        password = guest.form.secret("password", most=MOST_PASSWORD)
        address = guest.client.address
        await guest.rooms.people.password_links.use(link, password, address)
    except NotFoundError:
        return await _gone(guest)
    except UsageError as error:
        return await guest.page(
            "password_new.html", problem=_at("password", error), token=link, least=LEAST_PASSWORD
        )
    return guest.to("/sign-in", "The password is new", "Sign in with it.")


@get("/invitation/{link:str}", opt=OPT, guards=[pages])
async def invitation(link: Token, guest: AGuest) -> Response[bytes]:
    """What somebody is asked into."""
    return await _invitation(link, guest)


async def _invitation(link: str, guest: Guest, problem: Problem = NO_PROBLEM) -> Response[bytes]:
    try:
        asked, has_account = await guest.rooms.people.invitations.look(link)
    except NotFoundError:
        return await _gone(guest)
    tenant = await guest.rooms.tenants.by_id(_SYSTEM, asked.tenant_id) if asked.tenant_id else None
    return await guest.page(
        "invitation.html",
        problem=problem,
        footer_of=tenant,
        token=link,
        asked=asked,
        has_account=has_account,
        least=LEAST_PASSWORD,
    )


@post("/invitation/{link:str}", opt=OPT, guards=[pages])
async def accept(link: Token, guest: AGuest) -> Response[bytes]:
    """Come in; who has an account signs in with it."""
    form = guest.form
    try:
        opened = await guest.rooms.people.invitations.accept(
            link,
            guest.client,
            name=form.text("name", most=_MOST_NAME),
            password=form.secret("password", most=MOST_PASSWORD),
        )
    except NotFoundError:
        return await _gone(guest)
    except _FAILED as error:
        return await _invitation(link, guest, Problem.of(error))
    if opened is None:
        return guest.to("/sign-in", "You are a member", "Sign in with your account.")
    return guest.enter(opened, "/")


@get("/welcome/{link:str}", opt=OPT, guards=[pages])
async def welcome(link: Token, guest: AGuest) -> Response[bytes]:
    """The first admin's page."""
    return await guest.page("welcome.html", token=link, least=LEAST_PASSWORD)


@post("/welcome/{link:str}", opt=OPT, guards=[pages])
async def become_admin(link: Token, guest: AGuest) -> Response[bytes]:
    """Become the first admin of the box."""
    form = guest.form
    try:
        opened = await guest.rooms.people.first_admin.welcome(
            link,
            guest.client,
            email=form.needed("email", most=320),
            name=form.text("name", most=_MOST_NAME),
            password=form.secret("password", most=MOST_PASSWORD),
        )
    except NotFoundError:
        return await _gone(guest)
    except _FAILED as error:
        return await guest.page(
            "welcome.html", problem=Problem.of(error), token=link, least=LEAST_PASSWORD
        )
    return guest.enter(opened, "/")


async def _gone(guest: Guest) -> Response[bytes]:
    return await guest.page("link_gone.html", status=404, words=_GONE)


def _at(name: str, error: PillarboxError) -> Problem:
    found = Problem.of(error)
    return Problem(words=found.words, field=found.field or name)


def _with_next(path: str, guest: Guest) -> str:
    return path if guest.next == "/" else f"{path}?next={quote(guest.next, safe='')}"


HANDLERS: Final[list[Any]] = [
    sign_in,
    with_password,
    ask_code,
    with_code,
    depart,
    forgotten,
    send_link,
    new_password,
    use_link,
    invitation,
    accept,
    welcome,
    become_admin,
]
