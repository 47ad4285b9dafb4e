from __future__ import annotations

from typing import Any

import pytest

from mta.bounce import news
from mta.bounce.model import Action, Feedback, Notice, NoticeKind, NoticeRecipient
from mta.bounce.news import Original, Result
from mta.policy import address as addresses
from mta.reply import Reply
from mta.status import EventKind
from tests.unit.mta.bounce.work import calls

UNKNOWN_USER = Reply(550, "5.1.1", "no such user")


def original(n: int = 0, address: str = "ann@example.net") -> Original:
    return Original(message_id=1, n=n, address=address, tenant_id=7)


ANN, BEN = original(), original(1, "ben@example.net")


def report(final: str, **changes: Any) -> NoticeRecipient:
    values: dict[str, Any] = {
        "final_recipient": final,
        "action": Action.FAILED,
        "reply": UNKNOWN_USER,
        "remote_mta": "mx.example.net",
    }
    return NoticeRecipient(**(values | changes))


def bounce(*reports: NoticeRecipient) -> Notice:
    return Notice(kind=NoticeKind.BOUNCE, recipients=reports)


def complaint(*recipients: str, kind: str = "abuse") -> Notice:
    feedback = Feedback(type=kind, recipients=recipients, user_agent="Loop/1")
    return Notice(kind=NoticeKind.COMPLAINT, feedback=feedback)


def only(notice: Notice, *everybody: Original, about: Original = ANN) -> news.Finding:
    (finding,) = news.of_recipient(notice, about, everybody or (ANN, BEN), "n-1")
    return finding


def test_a_bounce_says_all_that_the_log_shows() -> None:
    finding = only(bounce(report("ann@example.net")))
    assert finding.result is Result.BOUNCED
    assert finding.news is not None
    assert finding.news.kind is EventKind.BOUNCED_LATE
    assert finding.news.original is ANN
    assert finding.news.data == {
        "tenant": 7,
        "to": "ann@example.net",
        "notice": "n-1",
        "reply": "550 5.1.1 no such user",
        "category": "user_unknown",
        "hard": True,
        "reason": finding.news.data["reason"],
        "remote_mta": "mx.example.net",
    }


@pytest.mark.parametrize("final", ["ANN@Example.NET", "ann@example.net."])
def test_an_address_is_the_same_in_any_case(final: str) -> None:
    assert only(bounce(report(final))).news.data["hard"]


def test_an_internationalised_domain_is_the_same_in_both_forms() -> None:
    assert news.same_address("ann@bücher.example", "ann@xn--bcher-kva.example")


def test_the_original_recipient_counts_where_the_receiver_rewrote_it() -> None:
    finding = only(bounce(report("ann@inner.example.net", original_recipient="ann@example.net")))
    assert finding.news.data["hard"]


def test_a_forward_is_the_tokens_recipient_and_never_hard() -> None:
    finding = only(bounce(report("old@elsewhere.example")))
    assert finding.result is Result.BOUNCED
    assert finding.news.original is ANN
    assert finding.news.data["hard"] is False
    assert finding.news.data["reported"] == "old@elsewhere.example"


def test_a_report_that_names_only_a_pipe_means_the_tokens_recipient() -> None:
    assert only(bounce(report(""))).news.data["hard"]


def test_a_report_about_another_recipient_contradicts_its_token() -> None:
    finding = only(bounce(report("ben@example.net")))
    assert finding == news.Finding(result=Result.CONTRADICTS)


def test_of_several_reports_the_gravest_of_the_named_one_counts() -> None:
    delayed = report("ann@example.net", action=Action.DELAYED, reply=Reply(450, "4.2.2", "full"))
    finding = only(bounce(delayed, report("ann@example.net"), report("ben@example.net")))
    assert finding.news.kind is EventKind.BOUNCED_LATE
    assert finding.news.original is ANN


def test_a_delay_is_not_hard_whatever_the_digits_say() -> None:
    finding = only(bounce(report("ann@example.net", action=Action.DELAYED)))
    assert finding.result is Result.DELAYED
    assert finding.news.kind is EventKind.DELAYED_LATE
    assert finding.news.data["hard"] is False


@pytest.mark.parametrize("action", [Action.DELIVERED, Action.RELAYED, Action.EXPANDED])
def test_good_news_changes_nothing(action: Action) -> None:
    finding = only(bounce(report("ann@example.net", action=action, reply=Reply(250, "", "ok"))))
    assert finding == news.Finding(result=Result.INFORMED)


@pytest.mark.parametrize(
    ("kind", "result"),
    [(NoticeKind.AUTOREPLY, Result.AUTOREPLY), (NoticeKind.UNKNOWN, Result.UNREADABLE)],
)
def test_what_reports_nothing_is_only_counted(kind: NoticeKind, result: Result) -> None:
    assert only(Notice(kind=kind)) == news.Finding(result=result)
    assert news.of_message(Notice(kind=kind), (ANN, BEN), "n-1") == [news.Finding(result=result)]


def test_a_whole_message_token_needs_the_reports_recipient() -> None:
    notice = bounce(report("ben@example.net"), report("who@example.org"), report("ann@example.net"))
    findings = news.of_message(notice, (ANN, BEN), "n-1")
    assert [f.result for f in findings] == [Result.BOUNCED, Result.UNMATCHED, Result.BOUNCED]
    assert [f.news.original for f in findings if f.news] == [BEN, ANN]


def test_the_only_recipient_of_a_message_is_meant_whatever_the_report_calls_it() -> None:
    (finding,) = news.of_message(bounce(report("old@elsewhere.example")), (ANN,), "n-1")
    assert finding.news.original is ANN
    assert finding.news.data["hard"] is False


@pytest.mark.parametrize("named", [(), ("ann@example.net",), ("hash@redacted.example",)])
def test_a_complaint_to_a_token_is_about_its_recipient(named: tuple[str, ...]) -> None:
    finding = only(complaint(*named))
    assert finding.result is Result.COMPLAINED
    assert finding.news.kind is EventKind.COMPLAINED
    assert finding.news.original is ANN


def test_a_complaint_of_another_recipient_contradicts_its_token() -> None:
    assert only(complaint("ben@example.net")).result is Result.CONTRADICTS


def test_a_complaint_to_a_whole_message_token_must_say_who_complains() -> None:
    (found,) = news.of_message(complaint("BEN@example.net"), (ANN, BEN), "n-1")
    assert found.news.original is BEN
    (unknown,) = news.of_message(complaint(), (ANN, BEN), "n-1")
    assert unknown.result is Result.UNMATCHED


def test_an_opt_out_unsubscribes() -> None:
    assert only(complaint(kind="opt-out")).news.kind is EventKind.UNSUBSCRIBED


def test_not_spam_is_no_complaint() -> None:
    assert only(complaint(kind="not-spam")) == news.Finding(result=Result.INFORMED)


def test_names_tells_whether_the_others_must_be_looked_at() -> None:
    assert news.names(bounce(report("ann@example.net")), ANN)
    assert not news.names(bounce(report("ben@example.net")), ANN)
    assert news.names(complaint(), ANN)
    assert not news.names(complaint("ben@example.net"), ANN)
    assert news.names(Notice(kind=NoticeKind.UNKNOWN), ANN)


def strangers(count: int) -> Notice:
    return bounce(*(report(f"u{n}@foreign.example") for n in range(count)))


def many(count: int) -> list[Original]:
    return [original(n, f"user{n}@example{n}.org") for n in range(count)]


@pytest.mark.parametrize("judge", ["recipient", "message", "complaint", "complaint to a message"])
def test_a_report_of_many_about_a_message_to_many_is_judged_in_linear_time(judge: str) -> None:
    def judged(count: int) -> int:
        everybody = many(count)
        complained = complaint(*(f"u{n}@foreign.example" for n in range(count)))
        works = {
            "recipient": lambda: news.of_recipient(strangers(count), ANN, everybody, "n-1"),
            "message": lambda: news.of_message(strangers(count), everybody, "n-1"),
            "complaint": lambda: news.of_recipient(complained, ANN, everybody, "n-1"),
            "complaint to a message": lambda: news.of_message(complained, everybody, "n-1"),
        }
        return calls(works[judge])

    judged(1)  # what is done only once is done
    assert judged(100) < 3 * judged(50)


def test_what_is_no_domain_is_found_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    encode = addresses.idna.encode

    def counted(domain: str, **options: Any) -> bytes:
        encoded.append(domain)
        return encode(domain, **options)

    monkeypatch.setattr(addresses.idna, "encode", counted)
    bad = "\u0300" + "\u00fc" * 60 + ".example"  # begins with a combining mark
    reports = [report(f"u{n}@{bad}", original_recipient=f"v{n}@{bad}.") for n in range(50)]
    for _ in range(3):
        only(bounce(*reports))
    assert len(encoded) == 1


def test_a_report_is_about_the_first_recipient_that_either_of_its_addresses_names() -> None:
    everybody = [ANN, BEN, original(2, "Ann@Example.net")]
    both = report("ann@example.net", original_recipient="ben@example.net")
    findings = news.of_message(bounce(both, report("BEN@example.net")), everybody, "n-1")
    assert [finding.news.original for finding in findings if finding.news] == [ANN, BEN]
