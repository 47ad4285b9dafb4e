"""Answer text: the words of a receiver as rules search them; pure.

Bounce rules and shaping rules look for phrases of whole words. `searchable` writes answers and phrases
alike, so that a phrase is found by plain `in`, whatever signs, blanks and capitals a receiver uses.
"""

from __future__ import annotations

from typing import Final

MAX_TEXT: Final = 1000
"""Characters of an answer that are looked at."""

_SIGNS: Final = {n: " " for n in range(128) if not chr(n).isalnum()}


def searchable(text: str) -> str:
    """The words in lower case, a space around each; no signs, no addresses.

    Without addresses, because "<spam.trap@example.com>: user unknown" speaks of no spam.
    """
    words = text[:MAX_TEXT].lower().split()
    plain = " ".join([word for word in words if "@" not in word]).translate(_SIGNS)
    return f" {' '.join(plain.split())} "
