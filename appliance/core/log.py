"""Log: one JSON object a line on standard error, over the standard library's logging.

    {"time":"2026-11-20T10:00:00.123Z","level":"info","process":"mta-0","logger":"mta.intake",
     "text":"queued","message":"05p3k8r2m0001","session":"a1b2"}

`with bind(message=..., session=...)` gives its fields to every line inside it, also in tasks started
there, so that one id follows a message through every line. `extra=fields(...)` gives them to one line.
In a terminal the same is shown for people, with control characters made visible (a remote server's words
must not drive the terminal).

Never shows a secret: fields named password, secret, token or authorization, what follows AUTH, and
the box's own credentials are blanked, in texts and tracebacks too. Never fails its caller.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TextIO

import msgspec

from appliance.core import clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

HIDDEN: Final = "********"
# They tell at INFO what every session does, and at DEBUG what was typed after AUTH.
LIBRARIES: Final = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "httpcore",
    "httpx",
    "litestar",
    "mail.debug",
    "mail.error",
    "mail.log",
    "sqlalchemy",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
)
_SECRET_KEY: Final = re.compile(r"password|passwd|secret|token|authorization", re.IGNORECASE)
_SECRET_TEXT: Final = re.compile(
    r"(?P<auth>\bAUTH[ \t]+(?:PLAIN|LOGIN|EXTERNAL|NTLM|GSSAPI|[\w-]+-[\w-]+|X?OAUTH\w*)[ \t]+)\S+"
    r"|(?P<pair>\b(?:\w*_)?(?:password|passwd|secret|token|authorization)[\"']?\s*[:=]\s*)"
    r"(?:(?:Bearer|Basic)\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)"
    r"|(?P<own>\bpbx_)\w+",
    re.IGNORECASE,
)
_STANDARD: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "fields"}
_CONTROL: Final = {
    code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"
}
_bound: ContextVar[Mapping[str, Any]] = ContextVar("log fields")


@contextlib.contextmanager
def bind(**names: Any) -> Iterator[None]:
    """Give these fields to every line logged inside the block."""
    token = _bound.set({**_bound.get({}), **names})
    try:
        yield
    finally:
        _bound.reset(token)


def fields(**names: Any) -> dict[str, dict[str, Any]]:
    """`extra=fields(site=..., message=...)`: fields of one line, under any name."""
    return {"fields": names}


def setup(process_name: str, level: str = "info", stream: TextIO | None = None) -> None:
    """Log to standard error from here on; called again by each process after the fork."""
    stream = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(stream)
    readable = stream.isatty()
    handler.setFormatter(LineFormatter(process_name) if readable else JsonFormatter(process_name))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact_text(text: str) -> str:
    """The text without what looks like a secret."""
    return _SECRET_TEXT.sub(_blank, text)


def redact(value: Any, key: str = "") -> Any:
    """The value without secrets: whole if its key names one, else inside its texts and tables."""
    if key and value and _SECRET_KEY.search(key):
        return HIDDEN
    match value:
        case str():
            return redact_text(value)
        case dict():
            return {name: redact(item, str(name)) for name, item in value.items()}
        case list() | tuple():
            return [redact(item) for item in value]
        case _:
            return value


def _blank(found: re.Match[str]) -> str:
    return f"{found['auth'] or found['pair'] or found['own']}{HIDDEN}"


def _fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Bound fields, then `extra=` as libraries give it, then `extra=fields(...)`."""
    extra = {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
    own = record.__dict__.get("fields", {})
    return {name: redact(value, name) for name, value in {**_bound.get({}), **extra, **own}.items()}


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process = process_name
        self._encode = msgspec.json.Encoder(enc_hook=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line; line ends inside it are escaped."""
        line: dict[str, Any] = {
            "time": clock.iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "text": redact_text(record.getMessage()),
        }
        for name, value in _fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["error"] = redact_text(self.formatException(record.exc_info))
        return self._encode(line).decode()


class LineFormatter(logging.Formatter):
    """One readable line for a person at a terminal."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process = process_name

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, process, text, fields; a traceback below."""
        time = clock.iso(int(record.created * 1000))[11:]
        text = redact_text(record.getMessage()).replace("\n", "\\n")
        pairs = "".join(f" {name}={value}" for name, value in _fields_of(record).items())
        line = f"{time} {record.levelname.lower():7} {self._process:8} {text}{pairs}"
        line = line.replace("\n", "\\n")
        if record.exc_info:
            line += "\n" + redact_text(self.formatException(record.exc_info))
        return line.translate(_CONTROL)
