"""Every standards-form bounce and complaint that others have collected is read right."""

from __future__ import annotations

import time

import pytest

from mta.bounce.model import Action, NoticeKind
from mta.bounce.notice_reader import read_notice
from mta.outcome.classify import classify
from tests.support.bounce_corpus import Sample, samples

NOT_FOLLOWED = {
    "bounces/sisimai/lhost-bigfoot-02.eml": "553 5.7.1: x.7.x never suppresses the recipient",
    "bounces/sisimai/rfc3464-01.eml": "prose about a full disk beside a status of 5.1.1",
    "bounces/sisimai/rfc3464-06.eml": "the reason stands only in prose",
    "bounces/sisimai/rhost-gsuite-02.eml": "the reason stands only in prose",
    "bounces/sisimai/rfc3464-58.eml": "a carrier that says 'User unknown' for its filter too",
}
"""Labels of high confidence that we do not follow, and why. None of them may suppress but one."""

SUPPRESSED_ALL_THE_SAME = {"bounces/sisimai/rfc3464-01.eml"}


def _suppressed(sample: Sample) -> list[tuple[set[str], bool]]:
    notice = read_notice(sample.read())
    found = []
    for recipient in notice.recipients:
        host = recipient.remote_mta or notice.reporting_mta
        verdict = classify(recipient.reply, phase=None, provider=host)
        addresses = {recipient.final_recipient.lower(), recipient.original_recipient.lower()}
        found.append((addresses, recipient.action is Action.FAILED and verdict.suppress))
    return found


@pytest.mark.parametrize("sample", samples(form="rfc3464", kind="bounce"), ids=str)
def test_a_report_names_its_recipients_and_no_others(sample: Sample) -> None:
    notice = read_notice(sample.read())
    assert notice.kind in (NoticeKind.BOUNCE, NoticeKind.DELAYED)
    named = [
        {recipient.final_recipient.lower(), recipient.original_recipient.lower()}
        for recipient in notice.recipients
    ]
    for label in sample.labels:
        assert label.optional or any(label.accept & addresses for addresses in named)
    right = frozenset().union(*(label.accept for label in sample.labels))
    assert all(addresses & right for addresses in named)


@pytest.mark.parametrize("sample", samples(form="rfc3464", kind="bounce"), ids=str)
def test_an_address_is_suppressed_when_it_does_not_exist(sample: Sample) -> None:
    if sample.file in NOT_FOLLOWED:
        suppressed = any(suppress for _, suppress in _suppressed(sample))
        assert suppressed == (sample.file in SUPPRESSED_ALL_THE_SAME)
        return
    found = _suppressed(sample)
    for label in sample.labels:
        if label.certain and label.hard is not None:
            verdicts = [suppress for addresses, suppress in found if addresses & label.accept]
            assert label.hard in verdicts


def test_a_report_of_success_is_no_bounce() -> None:
    delivered = samples(form="rfc3464", kind="delivered")
    assert delivered
    for sample in delivered:
        assert read_notice(sample.read()).kind is NoticeKind.DELIVERED


@pytest.mark.parametrize("sample", samples(form="arf"), ids=str)
def test_a_complaint_names_who_complained(sample: Sample) -> None:
    notice = read_notice(sample.read())
    assert notice.kind is NoticeKind.COMPLAINT
    assert notice.feedback is not None
    named = {address.lower() for address in notice.feedback.recipients}
    for label in sample.labels:
        assert not label.accept or named & label.accept


@pytest.mark.parametrize("sample", samples(kind="autoreply"), ids=str)
def test_an_automatic_reply_changes_nothing(sample: Sample) -> None:
    notice = read_notice(sample.read())
    assert notice.kind is NoticeKind.AUTOREPLY
    assert notice.recipients == ()


@pytest.mark.parametrize("sample", samples(kind="not-bounce"), ids=str)
def test_ordinary_and_broken_mail_is_no_notice(sample: Sample) -> None:
    notice = read_notice(sample.read())
    assert notice.kind in (NoticeKind.UNKNOWN, NoticeKind.AUTOREPLY)
    assert notice.recipients == ()


@pytest.mark.parametrize("sample", samples(form="other", kind="bounce"), ids=str)
def test_a_bounce_in_a_form_of_its_own_is_kept_as_unknown(sample: Sample) -> None:
    """One of them only looks like an automatic reply: it is an MDN that says "rejected"."""
    notice = read_notice(sample.read())
    assert notice.recipients == ()
    assert notice.kind in (NoticeKind.UNKNOWN, NoticeKind.AUTOREPLY)


def test_the_whole_corpus_is_read_in_milliseconds_a_file() -> None:
    contents = [sample.read() for sample in samples()]
    assert len(contents) > 350
    start = time.perf_counter()
    for content in contents:
        read_notice(content)
    # 0.3 ms a file was measured; the bound only catches a pattern that runs away.
    assert (time.perf_counter() - start) / len(contents) < 0.02
