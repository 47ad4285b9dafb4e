"""Refused: a submission is not taken; carries the reply the client gets."""

from __future__ import annotations

from appliance.core.errors import PillarboxError
from mta.reply import Reply


class Refused(PillarboxError):  # noqa: N818 - the field's word: a refusal, not a failure of ours
    """The message or recipient is refused. `log` may say more than the client is told."""

    def __init__(self, code: int, enhanced: str, text: str, *, log: str = "") -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, text)
        self.log = log or text
