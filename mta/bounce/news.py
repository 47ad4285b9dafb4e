"""News: what a notice says of recipients of ours; pure.

The signed return path decides who is meant, the report only what happened. A report that came to one
recipient's token:
  - names that recipient: it is believed, and a hard bounce is hard;
  - names nobody of the message: an alias or a forward on the receiver's side. It is the token's
    recipient, and never hard: an old address that somebody forwards to may be dead while his mailbox
    is read every day (many soft ones suppress it in the end);
  - names another recipient of the same message: it contradicts its token, and changes nothing.
With one token for a whole message (MTA-22 "message") the report must name a recipient of it, unless
there was only one. Whoever got such a message can report for the others on it: that is the price of that mode.

A report may name a thousand and a message have 100,000 recipients: each address is read once, and no two
lists are compared one by one. Still call it in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from mta.bounce.mailbox import mailbox_of
from mta.bounce.model import Action, NoticeKind
from mta.outcome.classify import classify
from mta.status import EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set

    from mta.bounce.mailbox import Mailbox
    from mta.bounce.model import Feedback, Notice, NoticeRecipient


class Result(StrEnum):
    """What was made of a notice; the words of the metric `bounces_in`."""

    BOUNCED = "bounced"
    DELAYED = "delayed"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    INFORMED = "informed"  # delivered, relayed, "not spam": nothing to do
    AUTOREPLY = "autoreply"
    CONTRADICTS = "contradicts"  # names another recipient than its token: ignored
    UNMATCHED = "unmatched"  # names nobody we wrote to, or a message we do not know: kept
    UNREADABLE = "unreadable"  # kept
    POSTMASTER = "postmaster"  # mail to the admin


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A recipient of a message that we sent."""

    message_id: int
    n: int
    address: str
    tenant_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One event to be told to the shard that owns the message."""

    original: Original
    kind: EventKind
    data: dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A result, with its event where it makes one."""

    result: Result
    news: News | None = None


_GRAVITY: Final = (
    Action.FAILED,
    Action.DELAYED,
    Action.EXPANDED,
    Action.RELAYED,
    Action.DELIVERED,
)
_OPT_OUT: Final = frozenset({"opt-out", "opt-out-list"})
_NOTHING_TO_DO: Final = {
    NoticeKind.AUTOREPLY: Result.AUTOREPLY,
    NoticeKind.UNKNOWN: Result.UNREADABLE,
}


def of_recipient(
    notice: Notice, original: Original, everybody: Sequence[Original], notice_id: str
) -> list[Finding]:
    """What a notice to the token of one recipient says.

    `everybody`: the recipients of the message; needed only where the notice does not name this one.
    """
    if notice.feedback is not None:
        return [_complaint_about(notice.feedback, original, everybody, notice_id)]
    if not notice.recipients:
        return [Finding(result=_NOTHING_TO_DO[notice.kind])]
    mailbox = mailbox_of(original.address)
    reports = [(report, _mailboxes(report)) for report in notice.recipients]
    named = [report for report, mailboxes in reports if mailbox in mailboxes]
    if named:
        return [_told(_gravest(named), original, notice, notice_id, is_named=True)]
    if _is_any_of(everybody, {one for _, mailboxes in reports for one in mailboxes}):
        return [Finding(result=Result.CONTRADICTS)]
    return [_told(_gravest(notice.recipients), original, notice, notice_id, is_named=False)]


def names(notice: Notice, original: Original) -> bool:
    """Whether the notice names this recipient, or nobody."""
    mailbox = mailbox_of(original.address)
    if notice.feedback is not None:
        return not notice.feedback.recipients or mailbox in _complainants(notice.feedback)
    return not notice.recipients or any(mailbox in _mailboxes(one) for one in notice.recipients)


def of_message(notice: Notice, everybody: Sequence[Original], notice_id: str) -> list[Finding]:
    """What a notice to the token of a whole message says."""
    if len(everybody) == 1:
        return of_recipient(notice, everybody[0], everybody, notice_id)
    if notice.feedback is not None:
        return _complaints(notice.feedback, everybody, notice_id)
    if not notice.recipients:
        return [Finding(result=_NOTHING_TO_DO[notice.kind])]
    findings = []
    for report, original in _matched(notice.recipients, everybody):
        if original is None:
            findings.append(Finding(result=Result.UNMATCHED))
        else:
            findings.append(_told(report, original, notice, notice_id, is_named=True))
    return findings


def of_complaint(feedback: Feedback, found: Iterable[Original], notice_id: str) -> list[Finding]:
    """A complaint without a token, about recipients found by Message-ID and address."""
    findings = [_complained(feedback, original, notice_id) for original in found]
    return findings or [Finding(result=Result.UNMATCHED)]


def unsubscribed(original: Original, notice_id: str) -> Finding:
    """Mail to an unsubscribe address, whatever it says."""
    data = {"via": "mailto", **_about(original, notice_id)}
    news = News(original=original, kind=EventKind.UNSUBSCRIBED, data=data)
    return Finding(result=Result.UNSUBSCRIBED, news=news)


def same_address(one: str, other: str) -> bool:
    """Whether two addresses mean the same mailbox, as far as a stranger can tell."""
    return bool(one) and mailbox_of(one) == mailbox_of(other)


def _told(
    report: NoticeRecipient, original: Original, notice: Notice, notice_id: str, *, is_named: bool
) -> Finding:
    if report.action not in (Action.FAILED, Action.DELAYED):
        return Finding(result=Result.INFORMED)
    remote = report.remote_mta or notice.reporting_mta
    verdict = classify(report.reply, phase=None, provider=remote)
    has_failed = report.action is Action.FAILED
    data: dict[str, object] = {
        "reply": report.reply.line(),
        "category": verdict.category,
        "hard": has_failed and verdict.suppress and (is_named or not report.address),
        "reason": verdict.reason,
        "remote_mta": remote,
        **_about(original, notice_id),
    }
    if not is_named and report.address:
        data["reported"] = report.address
    kind = EventKind.BOUNCED_LATE if has_failed else EventKind.DELAYED_LATE
    result = Result.BOUNCED if has_failed else Result.DELAYED
    return Finding(result=result, news=News(original=original, kind=kind, data=data))


def _complaints(feedback: Feedback, everybody: Sequence[Original], notice_id: str) -> list[Finding]:
    complainants = _complainants(feedback)
    named = [one for one in everybody if mailbox_of(one.address) in complainants]
    return of_complaint(feedback, named, notice_id)


def _complaint_about(
    feedback: Feedback, original: Original, everybody: Sequence[Original], notice_id: str
) -> Finding:
    """Feedback loops redact recipients or rewrite them: only another recipient contradicts."""
    named = _complainants(feedback)
    if not _is_any_of([original], named) and _is_any_of(everybody, named):
        return Finding(result=Result.CONTRADICTS)
    return _complained(feedback, original, notice_id)


def _complained(feedback: Feedback, original: Original, notice_id: str) -> Finding:
    if not feedback.is_unwanted:
        return Finding(result=Result.INFORMED)
    opts_out = feedback.type in _OPT_OUT
    data: dict[str, object] = {
        "feedback": feedback.type,
        "reporter": feedback.user_agent[:200],
        **_about(original, notice_id),
    }
    kind = EventKind.UNSUBSCRIBED if opts_out else EventKind.COMPLAINED
    result = Result.UNSUBSCRIBED if opts_out else Result.COMPLAINED
    return Finding(result=result, news=News(original=original, kind=kind, data=data))


def _about(original: Original, notice_id: str) -> dict[str, object]:
    return {"tenant": original.tenant_id, "to": original.address, "notice": notice_id}


def _is_any_of(originals: Iterable[Original], mailboxes: Set[Mailbox]) -> bool:
    return any(mailbox_of(one.address) in mailboxes for one in originals)


def _complainants(feedback: Feedback) -> set[Mailbox]:
    return {mailbox_of(address) for address in feedback.recipients if address}


def _mailboxes(report: NoticeRecipient) -> set[Mailbox]:
    """Whom a report names: the one we wrote to, and the one it went to in the end."""
    addresses = (report.original_recipient, report.final_recipient)
    return {mailbox_of(address) for address in addresses if address}


def _matched(
    reports: Sequence[NoticeRecipient], everybody: Sequence[Original]
) -> Iterator[tuple[NoticeRecipient, Original | None]]:
    """Each report with the first recipient of the message that it names."""
    named = [_mailboxes(report) for report in reports]
    wanted = {one for mailboxes in named for one in mailboxes}
    first: dict[Mailbox, int] = {}
    for place, original in enumerate(everybody):
        mailbox = mailbox_of(original.address)
        if mailbox in wanted:
            first.setdefault(mailbox, place)
    for report, mailboxes in zip(reports, named, strict=True):
        places = [first[one] for one in mailboxes if one in first]
        yield report, everybody[min(places)] if places else None


def _gravest(reports: Sequence[NoticeRecipient]) -> NoticeRecipient:
    return min(reports, key=lambda report: _GRAVITY.index(report.action))
