"""Log: one object a line, with the ids of what goes on, and never a secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from appliance.core import log

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def root_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in log.LIBRARIES}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.fixture
def stream() -> io.StringIO:
    stream = io.StringIO()
    log.setup("mta-0", "info", stream)
    return stream


logger = logging.getLogger("mta.intake")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_object_with_time_level_process_logger_and_text(stream: io.StringIO) -> None:
    logger.info("queued %d\nrecipients", 3)
    (line,) = lines(stream)
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "info",
        "process": "mta-0",
        "logger": "mta.intake",
        "text": "queued 3\nrecipients",
    }


def test_bound_fields_stand_on_every_line_inside(stream: io.StringIO) -> None:
    with log.bind(session="s1"):
        with log.bind(message="05p3k8r2m0001", session="s2"):
            logger.info("inner")
        logger.info("outer")
    logger.info("none")
    inner, outer, none = lines(stream)
    assert (inner["message"], inner["session"]) == ("05p3k8r2m0001", "s2")
    assert outer["session"] == "s1"
    assert "message" not in outer
    assert "session" not in none


async def test_a_task_keeps_the_fields_it_was_started_with(stream: io.StringIO) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        logger.info("working")

    with log.bind(message="a"):
        task = asyncio.create_task(work())
    await task
    assert lines(stream)[0]["message"] == "a"


def test_one_line_may_have_fields_of_its_own(stream: io.StringIO) -> None:
    with log.bind(message="bound"):
        logger.info("x", extra=log.fields(message="own", path=Path("/a"), text="not the text"))
    logger.info("y", extra={"site": "mx.example"})
    first, second = lines(stream)
    assert first["message"] == "own"
    assert first["path"] == "/a"
    assert first["text"] == "x", "no field takes the place of the line's own parts"
    assert second["site"] == "mx.example"


def test_a_crash_is_told_with_its_traceback(stream: io.StringIO) -> None:
    try:
        raise ValueError("password=hush")
    except ValueError:
        logger.exception("failed")
    (line,) = lines(stream)
    assert "Traceback" in line["error"]
    assert "ValueError" in line["error"]
    assert "hush" not in line["error"]


@pytest.mark.parametrize(
    "text",
    [
        "AUTH PLAIN hush",
        "C: auth login hush",
        "AUTH SCRAM-SHA-256 hush",
        "Authorization: Bearer hush",
        'headers {"authorization": "Basic hush"}',
        "password=hush",
        "smtp_password: 'hush hush'",
        "token = hush",
        "login with pbx_hush refused",
    ],
)
def test_a_secret_in_a_text_is_blanked(stream: io.StringIO, text: str) -> None:
    logger.info("%s", text)
    assert "hush" not in stream.getvalue()
    assert "********" in stream.getvalue()


def test_a_secret_in_a_field_is_blanked_however_deep(stream: io.StringIO) -> None:
    with log.bind(
        api_token="hush", smtp={"user": "u", "list": [{"Password": "hush"}, "AUTH XOAUTH2 hush"]}
    ):
        logger.info("x", extra=log.fields(secret=b"hush"))
    assert "hush" not in stream.getvalue()
    assert lines(stream)[0]["smtp"]["user"] == "u"


def test_words_that_only_speak_of_secrets_stay(stream: io.StringIO) -> None:
    logger.info("the token was refused, AUTH is needed, no password given")
    assert "********" not in stream.getvalue()


def test_the_level_holds_and_libraries_are_quiet(stream: io.StringIO) -> None:
    log.setup("mta-0", "debug", stream)
    logger.debug("seen")
    logging.getLogger("mail.log").info("unseen")
    logging.getLogger("httpx").info("unseen")
    logging.getLogger("uvicorn.error").warning("seen")
    assert [line["text"] for line in lines(stream)] == ["seen", "seen"]


def test_a_second_setup_replaces_the_first(stream: io.StringIO) -> None:
    log.setup("worker", "warning", stream)
    logger.info("unseen")
    logger.warning("once")
    assert [line["process"] for line in lines(stream)] == ["worker"]


def test_a_terminal_gets_one_readable_line_that_cannot_drive_it() -> None:
    terminal = Terminal()
    log.setup("mta-0", "info", terminal)
    with log.bind(message="05p"):
        logger.warning("remote said \x1b[2J\r\n550 \x9bno", extra=log.fields(site="mx\n.example"))
    text = terminal.getvalue()
    assert text.endswith(
        "Z warning mta-0    remote said \\x1b[2J\\x0d\\n550 \\x9bno message=05p site=mx\\n.example\n"
    )
    assert text.count("\n") == 1
