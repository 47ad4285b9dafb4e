"""MTA-22, MTA-23, MTA-24: what a notice means is found out after its 250, once, and by its token."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core import clock, ids
from appliance.core.errors import NotRunningError, StoreError
from mta.bounce import apply, turns
from mta.bounce.apply import PATIENCE, RETRY
from mta.bounce.dropbox import Arrived, Folder
from mta.bounce.news import Original
from mta.bounce.return_path import TokenKind
from mta.policy.refusal import Refused
from mta.status import EventKind
from tests.support.inbound import DOMAIN, KEYS, InboundBox, arf, dsn, new_id, token

if TYPE_CHECKING:
    from pathlib import Path

    from mta.bounce.news import News

HEADER = "<order-1@shop.example>"
AUTOREPLY = b"From: ann@example.net\r\nAuto-Submitted: auto-replied\r\n\r\nI am away.\r\n"


async def test_a_bounce_to_a_token_is_told_once_and_the_notice_is_done(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net", "ben@example.net")
        await box.deliver(token(message_id, 1), content=dsn("ben@example.net"))
        assert await box.read_all() == ["bounced"]
        (news,) = box.sent.told
        assert (news.original.message_id, news.original.n) == (message_id, 1)
        assert news.kind is EventKind.BOUNCED_LATE
        assert news.data["hard"]
        assert box.kept(Folder.NEW) == []
        assert box.kept(Folder.DONE) == [news.data["notice"]]


async def test_a_bounce_that_names_another_than_its_token_suppresses_nobody(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net", "ben@example.net")
        await box.deliver(token(message_id, 0), content=dsn("ben@example.net"))
        assert await box.read_all() == ["contradicts"]
        assert box.sent.told == []


async def test_a_bounce_forged_for_a_stranger_only_reaches_the_tokens_own_recipient(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        victim = box.sent.message("victim@example.org")
        mine = box.sent.message("ann@example.net")
        await box.deliver(token(mine), content=dsn("victim@example.org"))
        await box.read_all()
        assert [news.original.message_id for news in box.sent.told] == [mine]
        assert box.sent.told[0].data["hard"] is False
        assert victim != mine


async def test_a_whole_message_token_finds_the_recipient_in_the_report(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net", "ben@example.net")
        report = dsn("b.en@inner.example", original="ben@example.net")
        await box.deliver(token(message_id, None), content=report)
        assert await box.read_all() == ["bounced"]
        assert box.sent.told[0].original.address == "ben@example.net"


async def test_a_report_about_nobody_we_wrote_to_is_kept(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net", "ben@example.net")
        await box.deliver(token(message_id, None), content=dsn("who@example.org"))
        assert await box.read_all() == ["unmatched"]
        assert len(box.kept(Folder.UNREADABLE)) == 1


async def test_a_delay_is_told_as_one(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        report = dsn("ann@example.net", action="delayed", reply="450 4.2.2 mailbox full")
        await box.deliver(token(message_id), content=report)
        assert await box.read_all() == ["delayed"]
        assert box.sent.told[0].kind is EventKind.DELAYED_LATE


async def test_an_automatic_reply_changes_nothing(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        await box.deliver(token(box.sent.message("ann@example.net")), content=AUTOREPLY)
        assert await box.read_all() == ["autoreply"]
        assert box.sent.told == []
        assert len(box.kept(Folder.DONE)) == 1


async def test_what_nobody_can_read_is_kept(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        await box.deliver(token(box.sent.message("ann@example.net")), content=b"Hi!\r\n\r\nHm.\r\n")
        assert await box.read_all() == ["unreadable"]
        (notice_id,) = box.kept(Folder.UNREADABLE)
        assert box.dropbox.read(notice_id, Folder.UNREADABLE).raw == b"Hi!\r\n\r\nHm.\r\n"


async def test_a_complaint_is_found_by_the_return_path_of_the_message(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net", "ben@example.net")
        report = arf(mail_from=token(message_id, 1))
        await box.deliver(f"fbl@{DOMAIN}", content=report)
        assert await box.read_all() == ["complained"]
        assert box.sent.told[0].kind is EventKind.COMPLAINED
        assert box.sent.told[0].original.address == "ben@example.net"
        assert box.refusals.complaints == ["SomeLoop/1.0"]


async def test_a_complaint_without_a_token_is_found_by_message_id_and_address(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        box.sent.message("ann@example.net", "ben@example.net", header=HEADER)
        report = arf(recipient="ben@example.net", message_id=HEADER)
        await box.deliver(f"complaints@{DOMAIN}", content=report)
        assert await box.read_all() == ["complained"]
        assert box.sent.told[0].original.address == "ben@example.net"


async def test_a_redacted_complaint_is_certain_only_for_a_sole_recipient(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        box.sent.message("ann@example.net", header=HEADER)
        box.sent.message("ben@example.net", "cy@example.net", header="<2@shop.example>")
        await box.deliver(f"fbl@{DOMAIN}", content=arf(message_id=HEADER))
        await box.deliver(f"fbl@{DOMAIN}", content=arf(message_id="<2@shop.example>"))
        assert await box.read_all() == ["complained", "unmatched"]
        assert [news.original.address for news in box.sent.told] == ["ann@example.net"]


async def test_a_complaint_with_a_forged_return_path_is_not_believed(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        forged = token(message_id)[: -len(DOMAIN) - 5] + f"aaaa@{DOMAIN}"
        await box.deliver(f"fbl@{DOMAIN}", content=arf(mail_from=forged))
        assert await box.read_all() == ["unmatched"]
        assert box.sent.told == []


async def test_mail_to_the_complaint_address_that_is_none_is_kept(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        await box.deliver(f"fbl@{DOMAIN}", content=b"Subject: Welcome to our loop\r\n\r\nHi\r\n")
        assert await box.read_all() == ["unreadable"]


async def test_mail_to_an_unsubscribe_token_unsubscribes(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        to = token(message_id, kind=TokenKind.UNSUBSCRIBE)
        await box.deliver(to, content=b"Subject: unsubscribe\r\n\r\n", sender="ann@example.net")
        assert await box.read_all() == ["unsubscribed"]
        assert box.sent.told[0].kind is EventKind.UNSUBSCRIBED


async def test_mail_to_postmaster_is_sent_on(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        await box.deliver("abuse@box.example", content=b"Subject: spam\r\n\r\nStop it.\r\n")
        assert await box.read_all() == ["postmaster"]
        assert [item.raw for item in box.sent.forwarded] == [b"Subject: spam\r\n\r\nStop it.\r\n"]
        assert len(box.kept(Folder.DONE)) == 1


async def test_mail_to_postmaster_stays_when_it_is_sent_to_nobody(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        box.sent.has_postmaster = False
        await box.deliver("postmaster@box.example", content=b"Subject: hi\r\n\r\n")
        await box.read_all()
        assert len(box.kept(Folder.POSTMASTER)) == 1


async def test_mail_to_postmaster_that_is_refused_stays(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        box.sent.error = Refused(550, "5.6.0", "the From header cannot be read")
        await box.deliver("postmaster@box.example", content=b"From: ,\r\n\r\n")
        await box.read_all()
        assert len(box.kept(Folder.POSTMASTER)) == 1


@pytest.mark.parametrize("error", [NotRunningError("mta-0 is silent"), StoreError("locked")])
async def test_a_notice_waits_for_its_owner_and_others_go_on(
    tmp_path: Path, error: Exception
) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        at = clock.now_ms()
        later = box.fresh_applier(now=lambda: at)
        await box.deliver(token(message_id), content=dsn("ann@example.net"))
        await box.deliver(token(message_id), content=AUTOREPLY)
        box.sent.error = error
        while await later.step():
            pass
        assert box.refusals.results == ["autoreply"]
        assert len(box.kept(Folder.NEW)) == 1
        box.sent.error = None
        assert not await later.step()  # not yet
        at += RETRY + 1
        assert await later.step()
        assert box.refusals.results == ["autoreply", "bounced"]


async def test_a_message_that_is_not_known_yet_is_waited_for(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        at = clock.now_ms()
        later = box.fresh_applier(now=lambda: at)
        await box.deliver(token(new_id()), content=dsn("ann@example.net"))
        assert await later.step()
        assert len(box.kept(Folder.NEW)) == 1
        at += PATIENCE + RETRY
        assert await later.step()
        assert box.refusals.results == ["unmatched"]
        assert len(box.kept(Folder.UNREADABLE)) == 1


async def test_a_poisoned_notice_is_set_aside_and_the_next_is_read(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        await box.deliver(token(message_id), content=dsn("ann@example.net"))
        await box.deliver(token(message_id), content=AUTOREPLY)
        box.sent.error = RuntimeError("a bug")
        assert await box.read_all() == ["unreadable", "autoreply"]
        assert len(box.kept(Folder.UNREADABLE)) == 1


async def test_a_file_that_is_none_of_ours_is_set_aside(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        (tmp_path / "new" / "odd.eml").write_bytes(b"what is this")
        assert await box.read_all() == ["unreadable"]
        assert box.kept(Folder.UNREADABLE) == ["odd"]


async def test_a_token_is_judged_by_the_time_at_which_the_notice_came(tmp_path: Path) -> None:
    """The reader may be behind: what was valid when it was taken is acted on."""
    async with InboundBox(tmp_path) as box:
        at = 1_704_067_200_000 + clock.DAY
        message_id = box.sent.message("ann@example.net")
        old = new_id(at)
        box.sent.everybody = [
            type(one)(message_id=old, n=one.n, address=one.address, tenant_id=one.tenant_id)
            for one in box.sent.everybody
        ]
        assert message_id != old
        arrived = Arrived(at=at + clock.DAY, sender="", recipients=(token(old),), client="::1")
        box.dropbox.put(arrived, dsn("ann@example.net"))
        assert await box.read_all() == ["bounced"]


async def test_a_notice_to_one_address_written_twice_is_applied_once(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        to = token(box.sent.message("ann@example.net"))
        _put(box, to, to, to.upper(), "postmaster@box.example", "ABUSE@box.example")
        assert await box.read_all() == ["bounced", "postmaster"]
        assert len(box.sent.told) == 1


@pytest.mark.parametrize("n", [0, None])
async def test_a_notice_is_judged_beside_the_event_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int | None
) -> None:
    judging: list[threading.Thread] = []

    def beside(name: str) -> None:
        real = getattr(apply.news, name)

        def judge(*args: Any) -> Any:
            judging.append(threading.current_thread())
            return real(*args)

        monkeypatch.setattr(apply.news, name, judge)

    for name in ("names", "of_recipient", "of_message"):
        beside(name)
    async with InboundBox(tmp_path) as box:
        _put(box, token(box.sent.message("ann@example.net", "ben@example.net"), n))
        assert await box.read_all() == ["bounced"]
    assert judging
    assert threading.main_thread() not in judging


class Hanging:
    """Two shards, the owner of the first of which does not answer; a clock that stands."""

    def __init__(self, box: InboundBox) -> None:
        self.box, self.at, self.is_hanging = box, clock.now_ms(), True
        self.asked: list[int] = []
        self.order: list[str] = []
        self.applier = box.fresh_applier(now=lambda: self.at, tell=self._tell)

    async def _tell(self, news: News) -> None:
        self.order.append(str(news.data["notice"]))
        self.asked.append(ids.shard_of(news.original.message_id))
        if self.asked[-1] == 0 and self.is_hanging:
            raise NotRunningError("did not answer late within 30 s")

    def put(self, shard: int, after: int = 0) -> str:
        """A bounce of a message of the shard."""
        message_id = ids.IdMaker(shard).make(self.at + after)
        original = Original(message_id=message_id, n=0, address="ann@example.net", tenant_id=7)
        self.box.sent.everybody.append(original)
        return _put(self.box, token(message_id), at=self.at + after)

    async def read(self) -> list[int]:
        """Until nothing has its turn now: who was asked."""
        self.asked.clear()
        while await self.applier.step():
            pass
        return list(self.asked)


def _put(box: InboundBox, *recipients: str, at: int = 0, content: bytes = b"") -> str:
    arrived = Arrived(at=at or clock.now_ms(), sender="", recipients=recipients, client="::1")
    return box.dropbox.put(arrived, content or dsn("ann@example.net"))


async def test_a_shard_that_hangs_is_asked_once_and_the_others_notices_go_on(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        hanging = Hanging(box)
        for n in range(20):
            hanging.put(n % 2, after=n)
        assert sorted(await hanging.read()) == [0] + [1] * 10
        assert len(box.kept(Folder.DONE)) == 10
        for _ in range(3):
            assert await hanging.read() == []  # not yet
            hanging.at += RETRY + 1
            assert await hanging.read() == [0]
        hanging.is_hanging = False
        hanging.at += RETRY + 1
        assert await hanging.read() == [0] * 10
        assert box.kept(Folder.NEW) == []


async def test_what_just_came_is_read_before_what_waits_for_a_hanging_shard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "_AT_ONCE", 10)
    async with InboundBox(tmp_path) as box:
        hanging = Hanging(box)
        for n in range(40):
            hanging.put(0, after=n)
        assert await hanging.read() == [0]
        hanging.at += RETRY + 1
        assert await hanging.applier.step()  # asks, for half a minute
        just_came = hanging.put(1, after=50)
        assert await hanging.applier.step()
        assert hanging.order[-1] == just_came
        assert box.kept(Folder.DONE) == [just_came]


async def test_what_waits_for_a_hanging_shard_is_not_read_anew_in_every_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []
    real = apply.read_notice
    monkeypatch.setattr(apply, "read_notice", lambda raw: read.append(raw) or real(raw))
    async with InboundBox(tmp_path) as box:
        hanging = Hanging(box)
        for n in range(10):
            hanging.put(0, after=n)
        await hanging.read()
        read.clear()
        hanging.at += RETRY + 1
        await hanging.read()
        assert len(read) == 1


async def test_one_that_silences_its_shard_by_itself_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        hanging = Hanging(box)
        poison = hanging.put(0)
        for n in range(5):
            hanging.put(0, after=1 + n)
        real = hanging._tell

        async def tell(news: News) -> None:
            hanging.is_hanging = news.data["notice"] == poison
            await real(news)

        hanging.applier = box.fresh_applier(now=lambda: hanging.at, tell=tell)
        for _ in range(60):
            await hanging.read()
            hanging.at += RETRY + 1
        assert box.kept(Folder.NEW) == [poison]


async def test_an_owner_that_does_not_say_whom_it_wrote_to_is_asked_once(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        asked: list[int] = []

        class Silent:
            async def recipient(self, message_id: int, n: int) -> Original | None:
                asked.append(n)
                raise NotRunningError("did not answer queue_show within 15 s")

            async def recipients_of(self, message_id: int) -> list[Original]:
                asked.append(-1)
                raise NotRunningError("did not answer queue_show within 15 s")

        at = clock.now_ms()
        applier = box.fresh_applier(now=lambda: at, originals=Silent())
        message_id = new_id()
        for n in (0, 1, None, 2):
            _put(box, token(message_id, n))
        while await applier.step():
            pass
        assert len(asked) == 1
        assert len(box.kept(Folder.NEW)) == 4


async def test_a_queue_that_does_not_take_mail_to_the_admin_is_asked_once(tmp_path: Path) -> None:
    async with InboundBox(tmp_path) as box:
        tried: list[str] = []

        async def forward(item: Any) -> bool:
            tried.append(item.id)
            raise StoreError("did not answer submit within 60 s")

        at = clock.now_ms()
        applier = box.fresh_applier(now=lambda: at, forward=forward)
        for _ in range(5):
            _put(box, "abuse@box.example")
        _put(box, token(box.sent.message("ann@example.net")))
        while await applier.step():
            pass
        assert len(tried) == 1
        assert box.refusals.results == ["bounced"]


async def test_a_notice_that_cannot_be_set_aside_does_not_stop_the_others(
    tmp_path: Path,
) -> None:
    async with InboundBox(tmp_path) as box:
        (tmp_path / "new" / "odd.eml").write_bytes(b"what is this")
        (tmp_path / "unreadable").rmdir()
        _put(box, token(box.sent.message("ann@example.net")))
        assert await box.read_all() == ["bounced"]
        assert box.kept(Folder.NEW) == ["odd"]


CRASHING = """
import asyncio, json, os, signal, sys
from pathlib import Path
from mta.bounce.apply import Applier, Collaborators
from mta.bounce.dropbox import Dropbox
from mta.bounce.news import Original
from mta.bounce.return_path import ReturnPathKeys

root, message_id, kills = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "kill"
only = Original(message_id=message_id, n=0, address="ann@example.net", tenant_id=7)

class Originals:
    async def recipient(self, message_id, n): return only
    async def recipients_of(self, message_id): return [only]

class Nobody:
    def read(self, result): pass
    def complained(self, reporter): pass

async def tell(news):
    with (root / "told").open("a") as file:
        file.write(json.dumps(news.data) + "\\n")
    if kills:
        os.kill(os.getpid(), signal.SIGKILL)

async def main():
    applier = Applier(Collaborators(
        dropbox=Dropbox(root), originals=Originals(), keys=ReturnPathKeys({1: b"k" * 32}, 1),
        tell=tell, forward=tell, observer=Nobody()))
    while await applier.step():
        pass

asyncio.run(main())
"""


async def _run_reader(root: Path, message_id: int, how: str) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CRASHING, str(root), str(message_id), how
    )
    return await process.wait()


async def test_a_reader_killed_before_it_was_done_tells_the_same_news_again(
    tmp_path: Path,
) -> None:
    """The news carry the notice's id: who was told twice can see that it is the same."""
    async with InboundBox(tmp_path) as box:
        message_id = box.sent.message("ann@example.net")
        answer = await box.deliver(token(message_id), content=dsn("ann@example.net"))
        assert await _run_reader(tmp_path, message_id, "kill") == -9
        assert len(box.kept(Folder.NEW)) == 1
        assert await _run_reader(tmp_path, message_id, "live") == 0
        assert await _run_reader(tmp_path, message_id, "live") == 0
        told = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
        assert len(told) == 2
        assert told[0] == told[1]
        assert answer.endswith(told[0]["notice"])
        assert len(box.kept(Folder.DONE)) == 1
    assert KEYS.current == "b"  # the same key as in the script
