"""A receiver that misbehaves: temporary, bounded in time and memory, and the connection is given up."""

from __future__ import annotations

import asyncio

import pytest

from appliance.lab.script import Action, Point, Script
from mta.transport.base import ConnectFailed
from tests.support.delivery import connected, envelope, only, told, until

POINTS = [
    (Point.MAIL, "mail"),
    (Point.RCPT, "rcpt"),
    (Point.DATA, "data"),
    (Point.DOT, "dot"),
]
EXTENSIONS = [("PIPELINING",), ()]


@pytest.mark.parametrize("extensions", EXTENSIONS)
@pytest.mark.parametrize(("point", "phase"), POINTS)
async def test_a_receiver_that_hangs_up_is_temporary(
    point: Point, phase: str, extensions: tuple[str, ...]
) -> None:
    script = Script(extensions=extensions, always={point: Action.DROP})
    async with connected(script) as (connection, mx):
        attempt = await connection.send(envelope())
        assert told(attempt) == [(451, "4.4.2", phase, "session")]
        assert attempt.steps[-1].reply.startswith("(the ")
        assert not connection.usable
        assert mx.messages == []


async def test_a_receiver_that_hangs_up_in_the_content_is_temporary() -> None:
    async with connected(Script(always={Point.CONTENT: Action.DROP})) as (connection, mx):
        assert told(await connection.send(envelope())) == [(451, "4.4.2", "dot", "session")]
        assert mx.messages == []


async def test_hanging_up_after_the_dot_says_that_the_message_may_have_been_taken() -> None:
    async with connected(Script(always={Point.DOT: Action.DROP})) as (connection, _):
        result = only(await connection.send(envelope()))
        assert result.reply.text.startswith("after the message was sent: ")


@pytest.mark.parametrize("extensions", EXTENSIONS)
@pytest.mark.parametrize(("point", "phase"), POINTS)
async def test_a_receiver_that_falls_silent_is_given_up_in_time(
    point: Point, phase: str, extensions: tuple[str, ...]
) -> None:
    script = Script(extensions=extensions, always={point: Action.HANG})
    async with connected(script) as (connection, _):
        started = asyncio.get_running_loop().time()
        attempt = await connection.send(envelope())
        assert told(attempt) == [(451, "4.4.2", phase, "session")]
        assert 0.25 < asyncio.get_running_loop().time() - started < 1.5
        assert not connection.usable


async def test_a_later_time_out_holds_although_the_timer_was_armed_before() -> None:
    times = {"command_timeout": 0.2, "data_timeout": 0.2, "dot_timeout": 0.7, "session_timeout": 5}
    async with connected(Script(always={Point.DOT: Action.HANG}), **times) as (connection, _):
        started = asyncio.get_running_loop().time()
        await connection.send(envelope())
        assert 0.65 < asyncio.get_running_loop().time() - started < 1.2


async def test_a_tarpit_cannot_hold_a_transaction_beyond_its_time() -> None:
    script = Script(extensions=(), delays={Point.RCPT: 0.2})
    async with connected(script, session_timeout=1.0) as (connection, mx):
        who = [f"u{n}@x.test" for n in range(20)]  # 4 s, each answer in time
        started = asyncio.get_running_loop().time()
        attempt = await connection.send(envelope(*who))
        assert asyncio.get_running_loop().time() - started < 1.5
        assert {r.reply.text for r in attempt.results} == {
            "the receiver was too slow for one transaction"
        }
        assert mx.messages == []


async def test_lines_of_a_reply_that_does_not_end_gain_no_time() -> None:
    drip = "250-wait\r\n" * 500 + "250 done"
    async with connected(Script(always={Point.DOT: drip})) as (connection, mx):
        mx.script.chunk = 3  # from here on about 2 s for that reply, each line in time
        started = asyncio.get_running_loop().time()
        assert told(await connection.send(envelope())) == [(451, "4.4.2", "dot", "session")]
        assert asyncio.get_running_loop().time() - started < 0.8


@pytest.mark.parametrize("action", [Action.ENDLESS_LINE, Action.ENDLESS_REPLY])
@pytest.mark.parametrize(("point", "phase"), POINTS)
async def test_an_endless_reply_is_cut_off(point: Point, phase: str, action: Action) -> None:
    limits = {"command_timeout": 5, "data_timeout": 5, "dot_timeout": 5, "session_timeout": 9}
    async with connected(Script(always={point: action}), **limits) as (connection, _):
        attempt = await connection.send(envelope())
        assert told(attempt) == [(451, "4.5.0", phase, "session")]
        assert "65536 octets" in only(attempt).reply.text
        assert sum(len(step.reply) for step in attempt.steps) < 4096
        assert not connection.usable


@pytest.mark.parametrize("words", ["hello there", "25", "2500 what", "999 odd", "", "\x00\xff"])
async def test_a_reply_that_cannot_be_read_is_temporary(words: str) -> None:
    async with connected(Script(always={Point.DOT: words})) as (connection, _):
        result = only(await connection.send(envelope()))
        assert (result.reply.code, result.reply.enhanced) == (451, "4.5.0")
        assert not connection.usable


@pytest.mark.parametrize(
    ("point", "words"),
    [(Point.MAIL, "354 go"), (Point.RCPT, "354 go"), (Point.DATA, "250 ok"), (Point.DOT, "354 go")],
)
async def test_a_reply_out_of_place_is_never_a_success(point: Point, words: str) -> None:
    async with connected(Script(always={point: words})) as (connection, mx):
        result = only(await connection.send(envelope()))
        assert result.reply.is_transient
        assert "makes no sense" in result.reply.text or not connection.usable
        assert not connection.usable
        assert point is Point.DOT or mx.messages == []


@pytest.mark.parametrize("point", [Point.MAIL, Point.RCPT, Point.DATA, Point.DOT])
async def test_421_ends_the_session_and_is_kept_as_it_was_said(point: Point) -> None:
    script = Script(always={point: "421 4.7.0 too much from you"})
    async with connected(script) as (connection, _):
        attempt = await connection.send(envelope())
        assert told(attempt) == [(421, "4.7.0", point.value.lower().replace(".", "dot"), "session")]
        assert only(attempt).reply.text == "too much from you"
        assert attempt.steps[-1].reply == "421 4.7.0 too much from you"
        assert not connection.usable


async def test_who_was_refused_before_a_421_stays_refused() -> None:
    script = Script(once={Point.RCPT: ["550 5.1.1 no", "250 yes", "421 4.7.0 enough"]})
    async with connected(script) as (connection, _):
        attempt = await connection.send(envelope("a@x.test", "b@x.test", "c@x.test"))
        assert [(r.reply.code, r.scope.value) for r in attempt.results] == [
            (550, "recipient"),
            (421, "session"),
            (421, "session"),
        ]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7])
async def test_replies_cut_into_odd_packets_are_put_together(chunk: int) -> None:
    script = Script(chunk=chunk, always={Point.RCPT: "250-2.1.5 one\r\n250 2.1.5 two"})
    limits = {"command_timeout": 5, "data_timeout": 5, "dot_timeout": 5, "greeting_timeout": 5}
    async with connected(script, session_timeout=9, **limits) as (connection, mx):
        attempt = await connection.send(envelope("a@x.test", "b@x.test"))
        assert [r.reply.code for r in attempt.results] == [250, 250]
        assert attempt.steps[-3].reply == "250-2.1.5 one\n250 2.1.5 two"
        assert len(mx.messages) == 1


async def test_bare_line_feeds_in_replies_are_read() -> None:
    script = Script(always={Point.DOT: "250-2.0.0 first\n250 2.0.0 second"})
    async with connected(script) as (connection, _):
        result = only(await connection.send(envelope()))
        assert result.reply.text == "first second"


async def test_words_behind_the_last_answer_keep_the_result_and_end_the_connection() -> None:
    async with connected(Script(unasked="250 2.0.0 more")) as (connection, _):
        assert only(await connection.send(envelope())).reply.is_success
        await until(lambda: not connection.usable)


async def test_an_answer_too_many_is_not_taken_for_the_answer_to_the_message() -> None:
    script = Script(always={Point.DATA: "354 go\r\n250 2.0.0 already taken"})
    async with connected(script) as (connection, mx):
        result = only(await connection.send(envelope()))
        assert (result.reply.enhanced, result.phase.value) == ("4.5.0", "data")
        assert "nobody asked" in result.reply.text
        assert mx.messages == []


async def test_a_word_between_transactions_ends_the_connection() -> None:
    async with connected() as (connection, mx):
        await connection.send(envelope())
        assert connection.usable
        mx.say("421 4.4.2 idle too long")
        await until(lambda: not connection.usable)


async def test_a_kept_connection_that_the_receiver_closes_is_unusable_at_once() -> None:
    async with connected() as (connection, mx):
        await connection.send(envelope())
        mx.hang_up()
        await until(lambda: not connection.usable)
        attempt = await connection.send(envelope())
        assert told(attempt) == [(451, "4.4.2", "mail", "session")]


async def test_a_receiver_that_closes_after_some_messages_loses_none() -> None:
    async with connected(Script(close_after=2)) as (connection, mx):
        for _ in range(2):
            assert only(await connection.send(envelope())).reply.is_success
        await until(lambda: not connection.usable)
        assert len(mx.messages) == 2


async def test_a_cancelled_transaction_leaves_an_unusable_connection() -> None:
    async with connected(Script(always={Point.DATA: Action.HANG})) as (connection, mx):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await connection.send(envelope())
        assert not connection.usable
        await until(lambda: mx.open_sessions == 0)


@pytest.mark.parametrize(
    ("say", "code", "scope"),
    [
        ("421 4.3.2 not now", 421, "session"),
        ("451 4.3.0 no", 451, "host"),
        ("554 5.7.1 not you", 554, "host"),
        ("250 hello", 451, "host"),
        ("what", 451, "host"),
        (Action.DROP, 451, "host"),
        (Action.HANG, 451, "host"),
        (Action.ENDLESS_LINE, 451, "host"),
        (Action.ENDLESS_REPLY, 451, "host"),
    ],
)
async def test_a_greeting_that_is_no_welcome_fails_the_host(
    say: str | Action, code: int, scope: str
) -> None:
    with pytest.raises(ConnectFailed) as caught:
        async with connected(Script(always={Point.GREETING: say})):
            pass
    failed = caught.value
    assert (failed.reply.code, failed.phase.value, failed.scope.value) == (code, "greeting", scope)
    assert (failed.host, failed.address) == ("mx1.lab", "127.0.0.1")
    assert failed.steps[0].command.startswith("CONNECT mx1.lab [127.0.0.1]:")
    assert sum(len(step.reply) for step in failed.steps) < 2048


async def test_a_banner_that_drips_for_ever_is_bounded_in_time() -> None:
    script = Script(always={Point.GREETING: "220-" + "x" * 4000 + "\r\n220 mx"}, chunk=1)
    started = asyncio.get_running_loop().time()
    with pytest.raises(ConnectFailed):
        async with connected(script):
            pass
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_a_receiver_that_knows_only_helo_is_served() -> None:
    script = Script(always={Point.EHLO: "502 5.5.1 what is EHLO"}, keep=True)
    async with connected(script) as (connection, mx):
        assert only(await connection.send(envelope())).reply.is_success
        assert [line.split(" ")[0] for _, line in mx.commands][:3] == ["EHLO", "HELO", "MAIL"]
        assert mx.messages[0].mail_parameters == ""


async def test_a_receiver_that_refuses_ehlo_and_helo_fails() -> None:
    script = Script(always={Point.EHLO: "502 5.5.1 no", Point.HELO: "550 5.7.1 go away"})
    with pytest.raises(ConnectFailed) as caught:
        async with connected(script):
            pass
    assert (caught.value.reply.code, caught.value.phase.value) == (550, "ehlo")


async def test_an_answer_too_many_to_ehlo_fails_the_host() -> None:
    with pytest.raises(ConnectFailed) as caught:
        async with connected(Script(always={Point.EHLO: "250 mx\r\n250 2.1.0 sender ok"})):
            pass
    assert "nobody asked for: 250 2.1.0" in caught.value.reply.text
