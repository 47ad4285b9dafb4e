"""Live: draws the screen of `pillarbox top` on the terminal's other page, and puts everything back.

A box that stops answering is said in a line above what was seen last: it may be starting anew.
Reads keys one at a time, without an echo; Ctrl-C ends it as q does.
"""

from __future__ import annotations

import os
import select
import sys
import termios
import tty
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.control import Control

from appliance.core import clock
from appliance.core.errors import NotRunningError
from appliance.run.cli.top_screen import screen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from appliance.run.cli.top_facts import Facts

_QUIT: Final = frozenset("qQ\x1b\x04")  # also Escape and Ctrl-D


def watch(look: Callable[[], Facts], console: Console, every: float) -> None:
    """Until a key ends it. Raises NotRunningError if not even the first look has an answer."""
    facts = look()
    with _keys() as pressed, console.screen(hide_cursor=True) as page:
        try:
            while True:
                console.control(Control.home())
                page.update(Group(*_lines(facts, console)))
                if pressed(every) in _QUIT:
                    return
                facts = _next(look, facts)
        except KeyboardInterrupt:
            return


def _next(look: Callable[[], Facts], last: Facts) -> Facts:
    try:
        return look()
    except NotRunningError as error:
        alarms = [f"as it was at {clock.iso(last.at)[11:19]}Z: {error}"]
        return replace(last, alarms=alarms, stops=[])


def _lines(facts: Facts, console: Console) -> list[Text]:
    size = console.size
    ascii_only = console.options.ascii_only
    return screen(
        facts, width=size.width, height=size.height, ascii_only=ascii_only, hint="q quits"
    )


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key; "" when none came."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([terminal], [], [], seconds)
        if not ready:
            return ""
        # An arrow key is several octets that begin with Escape: read as one, it is no Escape.
        return os.read(terminal, 32).decode("ascii", "replace") or "\x04"

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
