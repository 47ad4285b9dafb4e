"""Bounces and complaints that others collected, through a real listener, to the token they answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mta.bounce.dropbox import Folder
from mta.bounce.notice_reader import read_notice
from mta.status import EventKind
from tests.integration.mta.bounce.test_corpus import NOT_FOLLOWED
from tests.support.bounce_corpus import Sample, samples
from tests.support.inbound import DOMAIN, InboundBox, new_id, token

if TYPE_CHECKING:
    from pathlib import Path

_BARE = re.compile(rb"\r\n|\r|\n")


def _content(sample: Sample) -> bytes:
    """As it would come over SMTP: CRLF, no mbox line, no NUL."""
    raw = sample.read().replace(b"\0", b"")
    if raw.startswith(b"From "):
        raw = raw.partition(b"\n")[2]
    raw = _BARE.sub(b"\r\n", raw)
    return raw if raw.endswith(b"\r\n") else raw + b"\r\n"


def _addresses(sample: Sample) -> list[str]:
    """The recipients that the sample's message must have had.

    Where two would do (an alias and its mailbox) it was written to the one that the report names.
    """
    notice = read_notice(sample.read())
    named = {recipient.address.lower() for recipient in notice.recipients}
    wanted = [label.accept for label in sample.labels if label.accept]
    return [min(accept & named or accept) for accept in wanted]


async def test_each_bounce_reaches_the_recipient_of_its_token_and_hard_ones_only_suppress(
    tmp_path: Path,
) -> None:
    chosen = [s for s in samples(form="rfc3464", kind="bounce") if len(_addresses(s)) == 1]
    assert len(chosen) > 200
    async with InboundBox(tmp_path) as box:
        expected = {}
        for sample in chosen:
            message_id = box.sent.message(*_addresses(sample))
            answer = await box.deliver(token(message_id), content=_content(sample))
            assert answer.startswith("250"), f"{sample}: {answer}"
            expected[message_id] = sample
        results = set(await box.read_all())
        assert results <= {"bounced", "delayed", "informed"}
        for news in box.sent.told:
            sample = expected.pop(news.original.message_id)
            (label,) = [label for label in sample.labels if label.accept]
            if label.certain and label.hard is not None and sample.file not in NOT_FOLLOWED:
                assert news.data["hard"] == label.hard, sample
        assert expected == {}


async def test_a_report_of_several_recipients_finds_each_of_them(tmp_path: Path) -> None:
    chosen = [s for s in samples(form="rfc3464", kind="bounce") if len(_addresses(s)) > 1]
    assert chosen
    async with InboundBox(tmp_path) as box:
        for sample in chosen:
            box.sent.told.clear()
            addresses = _addresses(sample)
            message_id = box.sent.message(*addresses)
            await box.deliver(token(message_id, None), content=_content(sample))
            await box.read_all()
            told = {news.original.address for news in box.sent.told}
            wanted = {
                a for a, label in zip(addresses, sample.labels, strict=False) if not label.optional
            }
            assert wanted <= told, sample


async def test_each_complaint_reaches_the_recipient_whose_token_it_returns(tmp_path: Path) -> None:
    chosen = samples(form="arf")
    assert len(chosen) >= 10
    async with InboundBox(tmp_path) as box:
        for sample in chosen:
            box.sent.told.clear()
            message_id = box.sent.message(*(_addresses(sample) or ["ann@example.net"]))
            await box.deliver(token(message_id), content=_content(sample))
            await box.read_all()
            told = [(news.original.message_id, news.kind) for news in box.sent.told]
            kinds = {EventKind.COMPLAINED, EventKind.UNSUBSCRIBED}
            assert all(one == message_id and kind in kinds for one, kind in told), sample
            is_neutral = box.refusals.results[-1] == "informed"
            assert len(told) == (0 if is_neutral else 1), sample


async def test_none_of_them_tells_anything_about_a_message_that_is_not_ours(
    tmp_path: Path,
) -> None:
    """Sent to the complaint address, without a token: nobody is suppressed."""
    async with InboundBox(tmp_path) as box:
        box.sent.message("ann@example.net", header="<ours@shop.example>")
        for sample in samples():
            await box.deliver(f"fbl@{DOMAIN}", content=_content(sample))
        assert set(await box.read_all()) <= {"unmatched", "unreadable", "informed"}
        assert box.sent.told == []
        assert box.kept(Folder.NEW) == []
        assert new_id() > 0
