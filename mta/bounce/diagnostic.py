"""From a report's status fields to a Reply, so that notices and answers heard are judged alike.

The remote's own words go before what the reporting host made of them. What is missing is taken from
Status, then from the action: a failure never looks like success, whatever the digits say. Bounded
and never raises.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mta.bounce.model import Action
from mta.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_DIAGNOSTIC: Final = 2000

_ENHANCED: Final = re.compile(r"\b([245]\.[0-9]{1,3}\.[0-9]{1,3})\b")
_ENHANCED_AT_START: Final = re.compile(r"[#(\s]*([245]\.[0-9]{1,3}\.[0-9]{1,3})\b[)\s:-]*")
# "550 5.1.1 text", "#550 ...", "(550) ...", at the start; or the words of a remote host, quoted.
_CODE_AT_START: Final = re.compile(r"[#<(\s]*([245][0-9][0-9])(?=[\s#:;,)>-]|$)[\s#:;,)>-]*")
_CODE_WITHIN: Final = re.compile(
    r"(?:said|says?|returned|response|reply|error):?\s*[\"'(]*([245][0-9][0-9])[ -]+"
    r"|\b([45][0-9][0-9])[ -]+(?=#?[45]\.[0-9]{1,3}\.[0-9]{1,3}\b)",
    re.I,
)


def reply_of(diagnostics: Sequence[str], status: str, action: Action) -> Reply:
    """The reply behind a recipient's fields: every Diagnostic-Code, Status ("" if none), action."""
    replies = [_from_diagnostic(value) for value in diagnostics]
    said = next((reply for reply in replies if reply.code), replies[0] if replies else _NOTHING)
    code = said.code if _agrees(said.code, action) else _code_of(status, action)
    return Reply(code, _telling(said.enhanced, status), said.text)


_NOTHING: Final = Reply(0, "", "")


def _agrees(code: int, action: Action) -> bool:
    is_failure = action in (Action.FAILED, Action.DELAYED)
    return 400 <= code < 600 if is_failure else 200 <= code < 300


def _code_of(status: str, action: Action) -> int:
    if action in (Action.FAILED, Action.DELAYED):
        return {"4": 450, "5": 550}.get(status[:1], 550 if action is Action.FAILED else 450)
    return 250


def _telling(said: str, status: str) -> str:
    """The remote's enhanced code, unless it says nothing ("5.0.0") and Status says more."""
    if said and (not said.endswith(".0.0") or not status or status[0] != said[0]):
        return said
    return status


def _from_diagnostic(value: str) -> Reply:
    """Read "smtp; 550 5.1.1 <user@example.com>: unknown", with or without its parts."""
    kind, semicolon, text = value.partition(";")
    if not semicolon or " " in kind.strip():
        text = value
    # One space between words and a bound: the patterns below would be slow on runs of blanks.
    code, text = _split_code(" ".join(text[:MAX_DIAGNOSTIC].split()))
    if code:
        text = _joined(code, text)
    at_start = _ENHANCED_AT_START.match(text)
    if at_start is None:
        within = _ENHANCED.search(text) if code else None
        return Reply(code, within.group(1) if within else "", text)
    return Reply(code, at_start.group(1), text[at_start.end() :])


def _joined(code: int, text: str) -> str:
    """A reply of several lines came folded into one: "550-5.1.1 The account 550-5.1.1 you tried"."""
    return re.sub(
        rf" {code}(?:-| (?=[45]\.))(?:[45]\.[0-9]{{1,3}}\.[0-9]{{1,3}}\b)? ?", " ", f" {text}"
    ).strip()


def _split_code(text: str) -> tuple[int, str]:
    start = _CODE_AT_START.match(text)
    if start is not None:
        return int(start.group(1)), text[start.end() :]
    within = _CODE_WITHIN.search(text)
    if within is not None:
        return int(within.group(1) or within.group(2)), text[within.end() :]
    return 0, text
