"""Reply: what an SMTP server said, as one value.

Temporary or permanent is derived from the code and never stored beside it. A reply that we make
ourselves (a refusal, a routing failure) is the same value as one that came over the wire, so that
policy, transport and outcome speak one language (RFC 5321 section 4.2, RFC 3463).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One SMTP reply: three-digit code, enhanced status code ("" if none was given), text."""

    code: int
    enhanced: str
    text: str

    @classmethod
    def from_text(cls, code: int, text: str) -> Reply:
        """Split the enhanced status code off the text as it stood on the wire (RFC 2034).

        Several lines become one that reads as prose: a continuation line repeats the code, which
        is removed there too.
        """
        if "\n" in text:
            lines = [line for part in text.split("\n") if (line := part.strip())]
            match = _ENHANCED.match(lines[0]) if lines else None
            enhanced = match[0] if match else ""
            texts = [_rest(line, enhanced) for line in lines]
            return cls(code, enhanced, " ".join(filter(None, texts)))
        match = _ENHANCED.match(text)
        return cls(code, "", text) if match is None else cls(code, match[0], _rest(text, match[0]))

    @property
    def is_success(self) -> bool:
        """2yz: the command was carried out."""
        return 200 <= self.code < 300

    @property
    def is_permanent(self) -> bool:
        """5yz: do not try the same thing again. What is neither 2yz nor 5yz counts as temporary."""
        return 500 <= self.code < 600

    @property
    def is_transient(self) -> bool:
        """Neither success nor a permanent failure; an answer nobody can read is temporary too."""
        return not self.is_success and not self.is_permanent

    @property
    def status(self) -> str:
        """The RFC 3463 status: as given, else the bland one of the code's class ("5.0.0")."""
        if self.enhanced:
            return self.enhanced
        return f"{2 if self.is_success else 5 if self.is_permanent else 4}.0.0"

    def line(self) -> str:
        """The reply as one line, as it goes over the wire."""
        return " ".join(filter(None, (str(self.code), self.enhanced, self.text)))

    def __str__(self) -> str:
        return self.line()


def _rest(line: str, enhanced: str) -> str:
    """What follows the enhanced code, where the line begins with it as a word of its own."""
    behind = line[len(enhanced) :]
    if not enhanced or not line.startswith(enhanced) or behind[:1].strip():
        return line
    return behind.strip()
