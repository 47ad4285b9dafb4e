"""Reference: the documented file is the truth, and what is shown hides secrets."""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.core.settings import (
    Database,
    Delivery,
    Provider,
    Settings,
    SignIn,
    Smarthost,
)
from appliance.core.settings_options import allowed, as_toml, options
from appliance.core.settings_reference import reference_toml, to_toml

REFERENCE = Path(__file__).parents[4] / "config" / "pillarbox.toml"


def test_the_documented_file_is_the_generated_one() -> None:
    assert REFERENCE.read_text() == reference_toml(), (
        "regenerate it: python -c 'from appliance.core.settings_reference import reference_toml; "
        'print(reference_toml(), end="")\' > config/pillarbox.toml'
    )


@pytest.mark.parametrize("text", [reference_toml(), to_toml(Settings())])
def test_what_is_written_means_the_defaults(text: str) -> None:
    table = tomllib.loads(text)
    assert msgspec.convert(table, Settings) == Settings()


def test_every_option_has_a_sentence_and_stands_in_the_reference() -> None:
    text = reference_toml()
    for option in options().values():
        assert option.description.endswith("."), option.name
        assert f"\n{option.name.rpartition('.')[2]} = {as_toml(option.default)}\n" in text


def test_no_line_of_the_reference_is_too_long_to_read() -> None:
    assert max(len(line) for line in reference_toml().splitlines()) <= 100


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("delivery.remote_port", "a whole number from 0 to 65535"),
        ("queue.jitter", "a number from 0 to 0.5"),
        ("delivery.ipv6", "true or false"),
        ("listeners.web.tls", '"none" or "starttls" or "implicit"'),
        ("box.hostname", "a text of at most 255 characters"),
        ("tls.certificate", "a text"),
        ("queue.retry", "a list with at least 1, each a number from 0.05 to 604800"),
        ("submission.trusted_networks", "a list, each a table { network, tenant }"),
    ],
)
def test_what_is_allowed_is_said_in_words(name: str, words: str) -> None:
    assert allowed(options()[name].kind) == words


def test_secrets_are_not_shown() -> None:
    settings = Settings(
        delivery=Delivery(smarthost=Smarthost(username="u", password="hush-hush")),
        database=Database(url="postgresql://box:hush-hush@db.example/pillarbox"),
        sign_in=SignIn(
            providers=(
                Provider(
                    name="google",
                    issuer="https://accounts.google.com",
                    client_id="box",
                    client_secret="hush-hush",
                ),
            )
        ),
    )
    text = to_toml(settings)
    assert "hush" not in text
    assert 'password = "********"' in text
    assert 'url = "postgresql://box:********@db.example/pillarbox"' in text
    assert 'username = "u"' in text
    assert 'client_id = "box", client_secret = "********"' in text
    assert len(msgspec.convert(tomllib.loads(text), Settings).sign_in.providers) == 1


@given(st.text())
def test_any_text_survives_as_toml(text: str) -> None:
    assert tomllib.loads(f"key = {as_toml(text)}") == {"key": text}


@given(st.floats(allow_nan=False) | st.integers() | st.booleans() | st.lists(st.booleans()))
def test_any_number_survives_as_toml(value: object) -> None:
    assert tomllib.loads(f"key = {as_toml(value)}") == {"key": value}
