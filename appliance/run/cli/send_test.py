"""`pillarbox send-test`: one real message through the running box, and its story as it happens.

It is submitted as a tenant's login would submit it, so that the same rules apply: sending domain, limits,
signing, delivery. Exit code 0 when everybody got it, 1 when it failed, 75 when it still waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from appliance.core import clock, ids
from appliance.core.errors import NotFoundError, UsageError
from appliance.run.cli.filters import a_label
from appliance.run.cli.session import Command, Session, pass_session
from appliance.run.cli.story import Story, anywhere, line_of

if TYPE_CHECKING:
    from appliance.credentials import CredentialRecord
    from appliance.run.cli.box import Box
    from appliance.run.cli.rooms import Rooms

EXIT_FAILED: Final = 1
EXIT_WAITS: Final = 75  # EX_TEMPFAIL
_POLL_SECONDS: Final = 0.1
_FINAL: Final = ("delivered", "bounced", "expired", "suppressed", "cancelled", "corrupt")


@click.command("send-test", cls=Command)
@click.argument("to")
@click.option("--from", "sender", required=True, help="Address of a tenant's sending domain.")
@click.option("--credential", metavar="NAME", help="As this login; else as one that may.")
@click.option("--subject", default="Pillarbox test", show_default=True)
@click.option("--timeout", default=60.0, show_default=True, help="Seconds to watch it.")
@pass_session
def command(
    session: Session, *, to: str, sender: str, credential: str | None, subject: str, timeout: float
) -> None:
    """Send a small message to TO and watch it until it is delivered or has failed."""
    for name, text in (("TO", to), ("--from", sender)):
        if "@" not in text or any(not char.isprintable() or char in " <>" for char in text):
            raise UsageError(f"{name}: {text!r} is no address, such as jane@example.com")
    if not subject.isprintable():
        raise UsageError("--subject holds a control character")
    login = session.box.ask(lambda rooms: _login(rooms, sender, credential))
    message_id = _submit(session.box, login, sender, to, subject)
    session.out.note(f"accepted as {ids.to_text(message_id)}")
    story = _watch(session, message_id, timeout)
    raise click.exceptions.Exit(_exit_code(story))


async def _login(rooms: Rooms, sender: str, name: str | None) -> CredentialRecord:
    if name:
        return await rooms.credential(name)
    domain = a_label(sender.rpartition("@")[2])
    owners = {
        one.name: one.tenant_id
        for one in await rooms.domains.list(rooms.scope)
        if one.verified and one.tenant_id and f".{domain}".endswith(f".{one.name}")
    }
    if not owners:
        raise NotFoundError(
            f"no tenant has {domain} as a verified sending domain: `pillarbox domain list` shows them"
        )
    owner = owners[max(owners, key=len)]
    for one in await rooms.credentials.list(rooms.scope):
        allowed = one.policy.allowed_from
        if one.tenant_id == owner and not one.revoked_at and (not allowed or domain in allowed):
            return one
    raise NotFoundError(f"the tenant of {domain} has no login: make one with `credential create`")


def _submit(box: Box, login: CredentialRecord, sender: str, to: str, subject: str) -> int:
    from appliance.credentials import entries
    from appliance.run.handover import payload_of
    from mta.directory import Tenant
    from mta.message import Client, RecipientRequest, Source, Submission

    now = clock.now_ms()
    text = _text(sender, to, subject, now)
    submission = Submission(
        source=Source.API,
        tenant=Tenant(id=login.tenant_id, name=""),  # travels by its id
        credential=next(entries(login)),
        client=Client(address="127.0.0.1", port=0, helo="", tls="", protocol="LOCAL"),
        envelope_from=sender,
        recipients=(RecipientRequest(address=to),),
        data=text.encode(),
        received_at=now,
        smtputf8=not (sender + to).isascii(),
        body_8bit=not text.isascii(),
    )
    answer = box.owners.submit(payload_of(submission))
    if "refused" in answer:
        code, enhanced, words = answer["refused"]
        raise UsageError(f"the box refuses it: {code} {enhanced} {words}")
    return int(answer["id"])


def _text(sender: str, to: str, subject: str, now: int) -> str:
    from email.header import Header
    from email.utils import format_datetime

    title = subject if subject.isascii() else Header(subject, "utf-8", maxlinelen=900).encode()
    lines = (
        f"Date: {format_datetime(clock.aware(now))}",
        f"From: <{sender}>",
        f"To: <{to}>",
        f"Subject: {title}",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "This message was sent by `pillarbox send-test`. If you can read it, the box delivers.",
        "",
    )
    return "\r\n".join(lines)


def _watch(session: Session, message_id: int, timeout: float) -> Story:
    """Print each event when it is known; the story as it stands at the end."""
    end = clock.monotonic() + timeout
    told: set[tuple[str, int, int]] = set()
    while True:
        story = anywhere(session.box, message_id)
        if not session.out.as_json:
            _tell_new(session, story, told)
        if _is_over(story) or clock.monotonic() >= end:
            break
        time.sleep(_POLL_SECONDS)
    if session.out.as_json:
        session.out.show(story.for_json(), ())
    elif not _is_over(story):
        session.out.note(f"it still waits: pillarbox queue show {ids.to_text(message_id)}")
    return story


def _tell_new(session: Session, story: Story, told: set[tuple[str, int, int]]) -> None:
    from appliance.run.timeline import tell

    for event in story.events:
        key = event.kind, event.n, event.at
        if key not in told:
            told.add(key)
            for one in tell(event.n, event.kind, event.at, event.data):
                words = line_of(one.at, one.what, one.words, story.message["accepted_at"])
                session.out.line(None, words)


def _endings(story: Story) -> dict[int, str]:
    """How it ended for each recipient. By events, which may follow a state by a moment."""
    return {event.n: event.kind for event in story.events if event.kind in _FINAL}


def _is_over(story: Story) -> bool:
    return len(_endings(story)) == len(story.recipients)


def _exit_code(story: Story) -> int:
    if not _is_over(story):
        return EXIT_WAITS
    return 0 if set(_endings(story).values()) == {"delivered"} else EXIT_FAILED
