"""MTA-22: port 25 takes what is addressed to the box itself, keeps it before it says 250, and no more."""

from __future__ import annotations

import resource
import shutil
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mta.bounce.dropbox import Folder
from mta.bounce.return_path import TokenKind
from tests.support.inbound import DOMAIN, OTHER_KEYS, InboundBox, dsn, new_id, token
from tests.support.smtp_box import LIMITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOUNCE = dsn("ann@example.net")


async def test_a_notice_is_on_disk_before_its_250(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        to = token(new_id())
        answer = await box.deliver(to, content=BOUNCE, sender="")
        assert answer.startswith("250 2.0.0 notice kept as ")
        (notice_id,) = box.kept(Folder.NEW)
        assert answer.endswith(notice_id)
        item = box.dropbox.read(notice_id)
        assert item.raw == BOUNCE
        assert item.arrived.recipients == (to,)
        assert item.arrived.sender == ""
        assert item.arrived.client == "127.0.0.1"
        assert item.arrived.helo == "app.example"


@pytest.mark.parametrize(
    "recipient",
    ["postmaster", "postmaster@box.example", "abuse@box.example", f"fbl@{DOMAIN}"],
)
async def test_the_box_takes_mail_to_its_own_addresses_from_anybody(
    tmp_path: Path, recipient: str
) -> None:
    async with InboundBox(tmp_path) as box:
        answer = await box.deliver(recipient, content=b"hello\r\n", sender="who@example.org")
        assert answer.startswith("250")


async def test_an_unsubscribe_token_is_taken(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        to = token(new_id(), kind=TokenKind.UNSUBSCRIBE)
        assert (await box.deliver(to, content=b"stop\r\n")).startswith("250")


@pytest.mark.parametrize(
    "recipient", ["ann@example.net", "ann%example.net@elsewhere.example", "ann@[192.0.2.1]"]
)
async def test_a_relay_attempt_is_refused_and_counted(tmp_path: Path, recipient: str) -> None:
    async with InboundBox(tmp_path) as box:
        answer = await box.deliver(recipient, content=b"", sender="postmaster@box.example")
        assert answer.startswith("550 5.7.1 relaying is not allowed")
        assert box.refusals.refused == ["relay"]
        assert box.kept(Folder.NEW) == []


async def test_an_unknown_user_of_an_own_domain_is_refused(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        assert (await box.deliver("ann@box.example", content=b"")).startswith("550 5.1.1")
        assert box.refusals.refused == ["unknown_address"]


async def test_a_forged_token_is_refused_and_suppresses_nobody(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        answer = await box.deliver(token(message_id, keys=OTHER_KEYS), content=BOUNCE)
        assert answer.startswith("550 5.1.1")
        assert box.refusals.refused == ["forged"]
        assert await box.read_all() == []
        assert box.sent.told == []


async def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        old = new_id(1_704_067_200_000)
        assert (await box.deliver(token(old), content=BOUNCE)).startswith("550 5.7.1")


async def test_after_a_refused_recipient_the_others_still_get_it(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        wire = await box.ready()
        good = token(new_id())
        await wire.begin("", "ann@example.net", good)
        await wire.ask("DATA")
        assert (await wire.ask(BOUNCE + b".\r\n")).startswith("250")
        (notice_id,) = box.kept(Folder.NEW)
        assert box.dropbox.read(notice_id).arrived.recipients == (good,)
        await wire.close()


async def test_auth_is_not_offered(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        wire = await box.secure()
        assert "AUTH" not in await wire.ask("EHLO app.example")
        assert (await wire.ask("AUTH PLAIN AGEAYg==")).startswith("502")
        await wire.close()


async def test_a_notice_comes_over_starttls_too(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        wire = await box.secure()
        await wire.begin("", token(new_id()))
        await wire.ask("DATA")
        assert (await wire.ask(BOUNCE + b".\r\n")).startswith("250")
        (notice_id,) = box.kept(Folder.NEW)
        assert box.dropbox.read(notice_id).arrived.tls.startswith("TLSv1.")
        await wire.close()


async def test_an_address_may_bring_so_many_notices_a_minute(tmp_path: Path) -> None:
    async with InboundBox(tmp_path, per_minute=2) as box:
        to = token(new_id())
        answers = [await box.deliver(to, content=BOUNCE) for _ in range(3)]
        # MAIL was refused, so RCPT stands alone.
        assert [answer[:3] for answer in answers] == ["250", "250", "503"]
        assert any(refusal.startswith("452 4.7.1") for refusal in box.seen.refusals)


async def test_guessing_recipients_is_slowed_like_sending(tmp_path: Path) -> None:
    async with InboundBox(tmp_path, per_minute=3) as box:
        wire = await box.ready()
        await wire.ask("MAIL FROM:<>")
        answers = [await wire.ask(f"RCPT TO:<a{n}@box.example>") for n in range(4)]
        assert [answer[:9] for answer in answers] == ["550 5.1.1"] * 2 + ["452 4.7.1"] * 2
        await wire.close()


async def test_a_notice_that_is_too_large_is_refused(tmp_path: Path) -> None:
    limits = replace(LIMITS, max_message_bytes=2000)
    async with InboundBox(tmp_path, limits=limits) as box:
        answer = await box.deliver(token(new_id()), content=b"x" * 3000 + b"\r\n")
        assert answer.startswith("552 5.3.4")
        assert box.kept(Folder.NEW) == []


async def test_sessions_of_one_address_are_limited(tmp_path: Path) -> None:
    async with InboundBox(tmp_path, sessions=(10, 1)) as box:
        first, second = await box.connect(), await box.connect()
        assert second.greeting.startswith("421 4.7.0")
        await first.close()
        await second.close()


async def test_bare_line_feeds_are_refused_unless_the_listener_is_set_to_mend_them(
    tmp_path: Path,
) -> None:
    content = BOUNCE.replace(b"\r\n", b"\n") + b"\r\n"
    async with InboundBox(tmp_path) as box:
        assert (await box.deliver(token(new_id()), content=content)).startswith("521 5.5.2")
    async with InboundBox(tmp_path, normalise_line_ends=True) as box:
        assert (await box.deliver(token(new_id()), content=content)).startswith("250")


@contextmanager
def files_no_larger_than(octets: int) -> Iterator[None]:
    """What a full disk is to the box: write() fails half way through the file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (octets, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_452_and_the_listener_goes_on_by_itself(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        to = token(new_id())
        large = BOUNCE + b"x" * 500 * 100 + b"\r\n"
        with files_no_larger_than(20_000):
            assert (await box.deliver(to, content=large)).startswith("452 4.3.1")
            assert (await box.deliver(to, content=BOUNCE)).startswith("250")
        assert (await box.deliver(to, content=large)).startswith("250")
        assert len(box.kept(Folder.NEW)) == 2
        assert list((tmp_path / "new").glob("*.draft")) == []


async def test_notices_leave_the_last_space_to_the_queue(tmp_path: Path) -> None:
    floor = shutil.disk_usage(tmp_path).free * 2
    async with InboundBox(tmp_path, min_free=floor) as box:
        assert (await box.deliver(token(new_id()), content=BOUNCE)).startswith("452 4.3.1")


async def test_a_store_that_cannot_write_is_451(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        shutil.rmtree(tmp_path / "new")
        assert (await box.deliver(token(new_id()), content=BOUNCE)).startswith("451 4.3.0")
        (tmp_path / "new").mkdir()
        assert (await box.deliver(token(new_id()), content=BOUNCE)).startswith("250")


async def test_a_client_that_leaves_in_data_leaves_nothing(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        wire = await box.ready()
        await wire.begin("", token(new_id()))
        await wire.ask("DATA")
        wire.send(BOUNCE)
        await wire.close()
        assert (await box.deliver(token(new_id()), content=BOUNCE)).startswith("250")
        assert len(list((tmp_path / "new").iterdir())) == 1
