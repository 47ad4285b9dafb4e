"""Hold notice: tells the operator that mail of a credential is held, while it happens (MTA-3).

A warning in the log with the commands to copy: release if the mail is wanted, revoke if the password
has leaked. At once for the first message, then at most once a minute for each credential in each
process; what comes in between is added up and said with the next line. What is held in all,
`pillarbox queue list` knows.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from appliance.core import clock
from appliance.core.log import fields
from mta.policy.limits import SURGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mta.directory import Credential

_EVERY: Final = clock.MINUTE
_log = logging.getLogger(__name__)

# By id what comes after the revocation: the name of a revoked credential is free for another.
_WORDS: Final = (
    "credential %(name)s of tenant %(tenant)s sends above %(times)d times its usual %(usual)d"
    " recipients an hour; recipients held just now: %(count)d."
    " If the mail is wanted: pillarbox queue release --tenant %(tenant)s --credential %(name)s."
    " If not: pillarbox credential revoke %(name)s --tenant %(tenant)s,"
    " then pillarbox queue cancel --credential %(id)d"
)


class HoldNotice:
    """What was held and not yet said, by credential; no more entries than credentials."""

    def __init__(self, now: Callable[[], int] = clock.now_ms) -> None:
        self._now = now
        self._said: dict[int, tuple[int, int]] = {}  # credential -> last said at, held since

    def tell(self, credential: Credential, tenant: str, recipients: int) -> None:
        """So many more recipients are held."""
        now = self._now()
        at, unsaid = self._said.get(credential.id, (now - _EVERY, 0))
        unsaid += recipients
        if now - at < _EVERY:
            self._said[credential.id] = (at, unsaid)
            return
        self._said[credential.id] = (now, 0)
        words = {
            "id": credential.id,
            "name": credential.name,
            "tenant": tenant,
            "times": SURGE,
            "usual": credential.usual_per_hour,
            "count": unsaid,
        }
        _log.warning(_WORDS, words, extra=fields(credential=credential.id, held=unsaid))
