"""Real messages made by others, as a client would submit them: CRLF line ends, no mbox line."""

from __future__ import annotations

import re
from pathlib import Path

DATA = Path(__file__).parent.parent / "data"
_FOLDERS = ("mail/not-bounces", "mail/bounces")


def files() -> list[Path]:
    """Every message of the corpus."""
    found = [
        path for folder in _FOLDERS for path in sorted((DATA / folder).rglob("*")) if path.is_file()
    ]
    found += [
        path for path in sorted((DATA / "dkim").iterdir()) if path.suffix in {".msg", ".message"}
    ]
    return found


def name(path: Path) -> str:
    """How a test names the message."""
    return str(path.relative_to(DATA))


def submitted(path: Path) -> bytes:
    """The message in the form in which SMTP carries it."""
    content = re.sub(rb"\r\n|\r|\n", b"\r\n", path.read_bytes())
    if content.startswith(b"From "):
        content = content.split(b"\r\n", 1)[1]
    return content if content.endswith(b"\r\n") else content + b"\r\n"
