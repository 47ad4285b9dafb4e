"""Configuration: whatever stands in a file, it is taken or refused in words, with a line that is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from appliance.blocklists.catalogue import SHIPPED as BLOCKLISTS
from appliance.blocklists.catalogue import load_lists
from appliance.core.errors import ConfigError
from appliance.core.settings_file import load
from appliance.core.settings_lines import lines_of
from appliance.core.settings_reference import reference_toml
from appliance.core.toml_text import tables_of
from mta.outcome.rules import SHIPPED as BOUNCES
from mta.outcome.rules import faults as bounce_faults
from mta.outcome.rules import load_rules
from mta.shaping.book import SHIPPED as SHAPING
from mta.shaping.book import faults, load_book
from mta.warmup.schedule import SHIPPED as WARMUP
from mta.warmup.schedule import load_schedule
from tests.support.smtp_talk import mutated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.fuzzing import Fuzzing

_WORDS = [
    b"[", b"[[", b"]", b"]]", b"=", b"\n", b"\n", b"{", b"}", b",", b'"', b"'", b'"""', b"'''", b"#", b".", b"true",
    b"1", b"-1", b"1e999", b"nan", b"inf", b"0x10", b"9" * 30, b"9" * 5000, b"2020-01-01", b"12:00:00", b'"\\u0000"', b"\\",
    b'"10/min"', b'"x"', b"[]", b"{}", b'""', b"\xff", b"\xc3\xbc", b"rule", b"provider", b"default", b"submission",
    b"max_message_bytes", b"list", b"volumes", b"'(a+)+$'", b'"["', b"\r", b"\0", b"\x1f", b"trusted_networks", "['\u00b2 x']".encode(), "'\u00b2\u00b2\u00b2'".encode(),
]  # fmt: skip
_MADE = st.lists(st.sampled_from(_WORDS) | st.binary(max_size=5), max_size=25).map(b" ".join)
_DEEP = st.builds(
    lambda key, marks, deep, closed: key + marks[0] * deep + b"1" + marks[1] * min(closed, deep),
    st.sampled_from(
        [b"a = ", b"[submission]\nmax_message_bytes = ", b"[[rule]]\nid = ", b"volumes = "]
    ),
    st.sampled_from([(b"[", b"]"), (b"{a = ", b"}"), (b"[{a = ", b"}]")]),
    st.integers(0, 1200),
    st.just(2000) | st.integers(0, 2000),
)


def parts_of(text: bytes, size: int = 12) -> st.SearchStrategy[bytes]:
    """Some tables of a sound file, and the whole of it: small enough to be changed where it matters."""
    tables = re.split(rb"\n(?=\[)", text)
    some = st.lists(st.sampled_from(tables), min_size=1, max_size=size).map(b"\n".join)
    return st.one_of(
        st.builds(lambda head, rest: head + b"\n" + rest, st.just(tables[0]), some), st.just(text)
    )


def swapped(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """A sound file with the value of some keys taken from another place, or made up."""

    @st.composite
    def one(draw: st.DrawFn) -> bytes:
        lines = draw(whole).split(b"\n")
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(lines) - 1))
            key, equals, _ = lines[at].partition(b"=")
            other = draw(st.sampled_from(lines)).partition(b"=")[2] or draw(st.sampled_from(_WORDS))
            made = draw(st.sampled_from(_WORDS))
            lines[at] = (
                key + (equals or b"=") + draw(st.sampled_from([other, made, b" [%s]" % made]))
            )
        return b"\n".join(lines)

    return one()


def texts_like(sound: bytes) -> st.SearchStrategy[bytes]:
    parts = parts_of(sound)
    return st.one_of(
        mutated(parts), swapped(parts), swapped(parts), _MADE, _DEEP, st.binary(max_size=60)
    )


def taken_or_refused(path: Path, raw: bytes, read: Callable[[], object]) -> None:
    path.write_bytes(raw)
    lines = raw.count(b"\n") + raw.count(b"\r") + 1
    try:
        read()
    except ConfigError as error:
        words = str(error)
        assert words
        assert str(path) in words
        for number in re.findall(re.escape(str(path)) + r":(\d+):", words):
            assert 1 <= int(number) <= lines, words


def test_settings(fuzzing: Fuzzing, tmp_path: Path) -> None:
    path = tmp_path / "pillarbox.toml"
    plain = re.sub(rb"(?m)^# ?(?=[a-z_\[])", b"", reference_toml().encode())

    @given(texts_like(plain))
    def prove(raw: bytes) -> None:
        taken_or_refused(path, raw, lambda: load(path, {}))

    fuzzing.run(prove)


def test_settings_of_the_environment(fuzzing: Fuzzing) -> None:
    names = [
        "DELIVERY__REMOTE_PORT",
        "BOX",
        "BOX__HOSTNAME",
        "QUEUE__RETRY",
        "X",
        "",
        "__",
        "TLS__",
        "DNS__NAMESERVERS",
    ]
    values = st.one_of(
        st.text(max_size=20), st.sampled_from(_WORDS).map(lambda word: word.decode("latin-1"))
    )

    @given(st.dictionaries(st.sampled_from(names).map("PILLARBOX_{}".format), values, max_size=4))
    def prove(environ: dict[str, str]) -> None:
        words = "PILLARBOX_"
        try:
            load(None, environ)
        except ConfigError as error:
            words = str(error)
        assert "PILLARBOX_" in words

    fuzzing.run(prove)


def test_the_lines_of_a_sound_file_are_found(fuzzing: Fuzzing) -> None:
    @given(texts_like(reference_toml().encode() + SHAPING.read_bytes()[:4000]))
    def prove(raw: bytes) -> None:
        text = raw.decode("utf-8", "replace").replace("\r\n", "\n")
        try:
            tables = tables_of(text, "x")
        except ConfigError:
            return
        found = lines_of(text)
        assert all(1 <= line <= text.count("\n") + 1 for line in found.values())
        assert {(key,) for key in tables} <= found.keys()

    fuzzing.run(prove)


def test_shaping(fuzzing: Fuzzing, tmp_path: Path) -> None:
    path = tmp_path / "shaping.toml"

    @given(texts_like(SHAPING.read_bytes()))
    def prove(raw: bytes) -> None:
        taken_or_refused(path, raw, lambda: faults(load_book(path)))

    fuzzing.run(prove)


def test_warmup(fuzzing: Fuzzing, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    sound = b"\n".join(file.read_bytes() for file in sorted(WARMUP.glob("*.toml"))[:1])

    def use() -> None:
        schedule = load_schedule(path)
        for provider in (*schedule.providers, "unheard-of"):
            course = schedule.course(provider, 1000 if schedule.needs_target else 0)
            assert all(volume >= 1 for volume in course.volumes)

    @given(texts_like(sound))
    def prove(raw: bytes) -> None:
        taken_or_refused(path, raw, use)

    fuzzing.run(prove)


def test_bounces(fuzzing: Fuzzing, tmp_path: Path) -> None:
    path = tmp_path / "bounces.toml"

    @given(texts_like(BOUNCES.read_bytes()))
    def prove(raw: bytes) -> None:
        taken_or_refused(path, raw, lambda: bounce_faults(load_rules(path)))

    fuzzing.run(prove)


def test_blocklists(fuzzing: Fuzzing, tmp_path: Path) -> None:
    path = tmp_path / "blocklists.toml"

    @given(texts_like(BLOCKLISTS.read_bytes()))
    def prove(raw: bytes) -> None:
        taken_or_refused(path, raw, lambda: load_lists(path))

    fuzzing.run(prove)
