"""Controls: the X-Pillarbox-* headers, by which an application says how its message is treated.

    X-Pillarbox-Class            transactional | bulk
    X-Pillarbox-Tag              up to 10 tags of 64 characters, comma separated or one a header
    X-Pillarbox-Metadata         a JSON object of up to 4 KB, given back in events and webhooks
    X-Pillarbox-Send-At          RFC 5322 date or ISO 8601 time with zone, up to 30 days ahead
    X-Pillarbox-Pool             the egress pool it leaves from, of those the tenant may use
    X-Pillarbox-Idempotency-Key  up to 255 characters; seen again, the first id is answered

They are read here and removed before the message is signed. A value that cannot be used refuses the
message (550 5.6.0, naming the header), and so does an unknown X-Pillarbox- name: a misspelt
Send-At that is ignored sends at once what should have waited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import msgspec

from appliance.core import clock
from mta.policy.quoting import header_name, shown
from mta.policy.refusal import Refused
from mta.status import TrafficClass

if TYPE_CHECKING:
    from mta.policy.headers import HeaderBlock

PREFIX: Final = b"x-pillarbox-"
CLASS: Final = PREFIX + b"class"
TAG: Final = PREFIX + b"tag"
METADATA: Final = PREFIX + b"metadata"
SEND_AT: Final = PREFIX + b"send-at"
IDEMPOTENCY_KEY: Final = PREFIX + b"idempotency-key"
POOL: Final = PREFIX + b"pool"
KNOWN: Final = frozenset({CLASS, TAG, METADATA, SEND_AT, IDEMPOTENCY_KEY, POOL})
UNAVAILABLE: Final = {PREFIX + b"track": "tracking"}

MAX_TAGS: Final = 10
MAX_TAG: Final = 64
MAX_METADATA: Final = 4096
MAX_KEY: Final = 255
MAX_DAYS_AHEAD: Final = 30

_RFC5322_ZONE: Final = re.compile(r"(?:[+-]\d{4}|UTC?|GMT|Z)(?:\s*\([^()]*\))?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What the headers asked for; the empty value of a field where they said nothing."""

    traffic_class: TrafficClass | None = None
    tags: tuple[str, ...] = ()
    metadata: str = ""  # JSON text as given
    send_at: int = 0  # ms; 0 = now
    idempotency_key: str = ""
    pool: str = ""  # as asked: whether it may be used is decided at admission (pool.py)


NONE: Final = Controls()


def read_controls(block: HeaderBlock, *, now_ms: int) -> Controls:
    """The control headers of a message. Raises Refused naming the one that is wrong."""
    names = [name for name in block.spans if name.startswith(PREFIX)]
    if not names:
        return NONE
    for name in names:
        _check_known(name)
    return Controls(
        traffic_class=_traffic_class(_single(block, CLASS)),
        tags=_tags(block),
        metadata=_metadata(_single(block, METADATA)),
        send_at=_send_at(_single(block, SEND_AT), now_ms),
        idempotency_key=_idempotency_key(_single(block, IDEMPOTENCY_KEY)),
        pool=_single(block, POOL).lower(),
    )


def _check_known(name: bytes) -> None:
    if name in UNAVAILABLE:
        raise _refused(name, f"{UNAVAILABLE[name]} is not available on this box; remove the header")
    if name not in KNOWN:
        known = ", ".join(sorted(known.removeprefix(PREFIX).decode().title() for known in KNOWN))
        raise _refused(name, f"no such control header; after X-Pillarbox- there may stand: {known}")


def _single(block: HeaderBlock, name: bytes) -> str:
    """The value of a header that may stand once; "" when it is not there."""
    values = block.all(name)
    if not values:
        return ""
    if len(values) > 1:
        raise _refused(name, f"it stands {len(values)} times; give it once")
    text = _decoded(name, values[0])
    if not text:
        raise _refused(name, "it is empty; give a value or remove it")
    return text


def _decoded(name: bytes, value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(name, "it is neither ASCII nor UTF-8") from None
    return text.replace("\t", " ")


def _traffic_class(text: str) -> TrafficClass | None:
    if not text:
        return None
    try:
        return TrafficClass(text.lower())
    except ValueError:
        raise _refused(CLASS, f"{shown(text)} is neither transactional nor bulk") from None


def _tags(block: HeaderBlock) -> tuple[str, ...]:
    values = block.all(TAG)
    if not values:
        return ()
    joined = ",".join([_decoded(TAG, value) for value in values])
    tags = tuple(dict.fromkeys(tag for part in joined.split(",") if (tag := part.strip())))
    if not tags:
        raise _refused(TAG, "it is empty; give a value or remove it")
    if len(tags) > MAX_TAGS:
        raise _refused(TAG, f"{len(tags)} tags; a message may have {MAX_TAGS}")
    for tag in tags:
        if len(tag) > MAX_TAG:
            raise _refused(
                TAG, f"{shown(tag, limit=20)} has {len(tag)} characters; a tag may have {MAX_TAG}"
            )
        if not tag.isprintable():
            raise _refused(TAG, f"{shown(tag)} holds a control character")
    return tags


def _metadata(text: str) -> str:
    if not text:
        return ""
    octets = text.encode()
    if len(octets) > MAX_METADATA:
        raise _refused(METADATA, f"{len(octets)} octets; it may have {MAX_METADATA}")
    try:
        value = msgspec.json.decode(octets)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _refused(METADATA, f"not JSON: {shown(str(error), limit=100)}") from error
    if not isinstance(value, dict):
        raise _refused(METADATA, 'it must be a JSON object, such as {"order": "1234"}')
    return text


def _send_at(text: str, now_ms: int) -> int:
    """A time that is past already means now."""
    if not text:
        return 0
    at = clock.from_datetime(_moment(text))
    if at > now_ms + MAX_DAYS_AHEAD * clock.DAY:
        raise _refused(SEND_AT, f"{shown(text)} is more than {MAX_DAYS_AHEAD} days ahead")
    return at if at > now_ms else 0


def _moment(text: str) -> datetime:
    if text[:4].isdigit():
        return _iso_moment(text)
    if _RFC5322_ZONE.search(text) is None:
        raise _refused(SEND_AT, f"{shown(text)} has no time zone, or is no date; {_EXAMPLES}")
    try:
        moment = parsedate_to_datetime(text)
    except (
        ValueError,
        IndexError,
        OverflowError,
    ) as error:  # what the standard library lets through
        raise _refused(SEND_AT, f"{shown(text)} is not a date; {_EXAMPLES}") from error
    # "-0000" says UTC without a local zone (RFC 5322 3.3), and formatdate() writes it: naive here.
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _iso_moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _refused(SEND_AT, f"{shown(text)} is not a time; {_EXAMPLES}") from error
    if moment.tzinfo is None:
        raise _refused(SEND_AT, f"{shown(text)} has no time zone; {_EXAMPLES}")
    return moment


_EXAMPLES: Final = "write it as Fri, 20 Nov 2026 10:00:00 +0100 or 2026-11-20T10:00:00+01:00"


def _idempotency_key(text: str) -> str:
    if len(text) > MAX_KEY:
        raise _refused(IDEMPOTENCY_KEY, f"{len(text)} characters; it may have {MAX_KEY}")
    if not (text.isascii() and text.isprintable()):
        raise _refused(IDEMPOTENCY_KEY, "it holds something else than printable ASCII")
    return text


def _refused(name: bytes, problem: str) -> Refused:
    return Refused(550, "5.6.0", f"{header_name(name)}: {problem}")
