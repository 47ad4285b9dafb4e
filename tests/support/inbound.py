"""An inbound listener on a loopback port, its dropbox, and what reads it, without the rest of a box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from appliance.core import clock
from appliance.core.ids import IdMaker
from mta.bounce import return_path
from mta.bounce.apply import Applier, Collaborators
from mta.bounce.dropbox import Dropbox, Folder
from mta.bounce.listener import Desk
from mta.bounce.news import News, Original
from mta.bounce.rate import Rate
from mta.bounce.return_path import ReturnPathKeys, TokenKind
from tests.support.smtp_box import Box, directory

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mta.bounce.dropbox import Item
    from mta.directory import Directory

KEYS = ReturnPathKeys({1: b"k" * 32}, 1)
OTHER_KEYS = ReturnPathKeys({1: b"x" * 32}, 1)
DOMAIN = "bounces.box.example"
_ids = IdMaker(0)


def new_id(at: int = 0) -> int:
    return IdMaker(0).make(at) if at else _ids.make(clock.now_ms())


def own_directory() -> Directory:
    return directory(
        own_names=frozenset({"box.example"}), bounce_domains=frozenset({DOMAIN, "b.shop.example"})
    )


def token(
    message_id: int,
    n: int | None = 0,
    *,
    kind: TokenKind = TokenKind.BOUNCE,
    keys: ReturnPathKeys = KEYS,
    domain: str = DOMAIN,
) -> str:
    return f"{return_path.encode(keys, message_id, n, kind)}@{domain}"


def dsn(
    final: str, *, original: str = "", action: str = "failed", reply: str = "550 5.1.1 no such user"
) -> bytes:
    """A delivery status notification about one recipient."""
    status = reply.split()[1]
    first = f"Original-Recipient: rfc822; {original}\r\n" if original else ""
    return (
        "From: MAILER-DAEMON@mx.example.net\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\n\r\nSorry.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
        "Reporting-MTA: dns; mx.example.net\r\n\r\n"
        f"{first}Final-Recipient: rfc822; {final}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: smtp; {reply}\r\n--b--\r\n"
    ).encode()


def arf(
    *, mail_from: str = "", recipient: str = "", message_id: str = "", kind: str = "abuse"
) -> bytes:
    """A feedback report."""
    fields = [f"Feedback-Type: {kind}", "User-Agent: SomeLoop/1.0", "Version: 1"]
    fields += [f"Original-Mail-From: <{mail_from}>"] if mail_from else []
    fields += [f"Original-Rcpt-To: <{recipient}>"] if recipient else []
    returned = f"Message-ID: {message_id}\r\n" if message_id else ""
    return (
        "From: fbl@provider.example\r\n"
        'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
        "--b\r\n\r\nA complaint.\r\n--b\r\nContent-Type: message/feedback-report\r\n\r\n"
        + "\r\n".join(fields)
        + "\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
        + f"{returned}Subject: news\r\n\r\nhello\r\n--b--\r\n"
    ).encode()


@dataclass
class Refusals:
    """What was refused at RCPT, what was read."""

    refused: list[str] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def not_ours(self, why: str) -> None:
        self.refused.append(str(why))

    def read(self, result: str) -> None:
        self.results.append(str(result))

    def complained(self, reporter: str) -> None:
        self.complaints.append(reporter)


@dataclass
class Sent:
    """What the box sent (Originals), and whom it told the news."""

    everybody: list[Original] = field(default_factory=list)
    headers: dict[str, int] = field(default_factory=dict)
    told: list[News] = field(default_factory=list)
    forwarded: list[Item] = field(default_factory=list)
    has_postmaster: bool = True
    error: Exception | None = None

    def message(self, *addresses: str, header: str = "") -> int:
        """A message that was sent; its id."""
        message_id = new_id()
        for n, address in enumerate(addresses):
            self.everybody.append(
                Original(message_id=message_id, n=n, address=address, tenant_id=7)
            )
        if header:
            self.headers[header] = message_id
        return message_id

    async def recipients_of(self, message_id: int) -> Sequence[Original]:
        return [one for one in self.everybody if one.message_id == message_id]

    async def recipient(self, message_id: int, n: int) -> Original | None:
        found = await self.recipients_of(message_id)
        return next((one for one in found if one.n == n), None)

    async def find(self, message_id_header: str, address: str) -> Original | None:
        found = await self.recipients_of(self.headers.get(message_id_header, 0))
        same = [one for one in found if one.address == address]
        return same[0] if same else found[0] if len(found) == 1 else None

    async def tell(self, news: News) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(news)

    async def forward(self, item: Item) -> bool:
        if self.error is not None:
            raise self.error
        self.forwarded.append(item)
        return self.has_postmaster


def dropbox(root: Path, **changes: Any) -> Dropbox:
    for folder in Folder:
        (root / folder).mkdir(exist_ok=True)
    return Dropbox(root, **changes)


class InboundBox(Box):
    """The listener with its dropbox; `async with`, as Box."""

    def __init__(self, root: Path, *, per_minute: int = 1000, **changes: Any) -> None:
        self.dropbox = dropbox(root, min_free=changes.pop("min_free", 0))
        self.refusals = Refusals()
        self.sent = Sent()
        desk = Desk(
            directory=lambda: self.directory,
            keys=KEYS,
            dropbox=self.dropbox,
            rate=Rate(per_minute, lambda address: address),
            observer=self.refusals,
        )
        values: dict[str, Any] = {
            "directory": own_directory(),
            "make_handler": desk.session_of,
            "offers_auth": False,
        }
        super().__init__(**(values | changes))
        self.applier = self.fresh_applier()

    def fresh_applier(self, **changes: Any) -> Applier:
        """As after a restart."""
        values: dict[str, Any] = {
            "dropbox": self.dropbox,
            "originals": self.sent,
            "keys": KEYS,
            "tell": self.sent.tell,
            "forward": self.sent.forward,
            "observer": self.refusals,
        }
        return Applier(Collaborators(**(values | changes)))

    async def read_all(self) -> list[str]:
        """Read until nothing waits; the results."""
        while await self.applier.step():
            pass
        return self.refusals.results

    async def deliver(self, *recipients: str, content: bytes, sender: str = "") -> str:
        """One notice over a connection of its own; the reply to its last dot, or the refusal."""
        wire = await self.ready()
        try:
            answer = await wire.begin(sender, *recipients)
            if not answer.startswith("250"):
                return answer
            assert (await wire.ask("DATA")).startswith("354")
            return await wire.ask(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        finally:
            await wire.close()

    def kept(self, which: Folder) -> list[str]:
        return self.dropbox.ids(which)
