"""Service words: the processes of the box as its operator speaks of them. Pure."""

from __future__ import annotations

from typing import Final

_WORDS: Final = {
    "web": "Console and API",
    "inbound": "Receiving bounces",
    "worker": "Background work",
    "supervisor": "Starting and stopping",
}
_SENDING: Final = "mta-"


def title_of(name: str) -> str:
    """What a process is for; one that is not known keeps its name."""
    number = name.removeprefix(_SENDING)
    if number != name:
        return f"Accepting and sending, {int(number) + 1}" if number.isdecimal() else name
    return _WORDS.get(name, name)
