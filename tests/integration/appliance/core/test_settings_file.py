"""The settings file: every mistake with its file and line, all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.core.errors import ConfigError
from appliance.core.settings import Listener, Settings
from appliance.core.settings_file import load
from appliance.core.toml_text import MAX_FILE

REFERENCE = Path(__file__).parents[4] / "config" / "pillarbox.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pillarbox.toml"


def errors_of(file: Path, text: str | bytes, environ: dict[str, str] | None = None) -> list[str]:
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {})
    return str(caught.value).replace(f"{file.parent}/", "").splitlines()


def test_the_reference_file_gives_the_defaults() -> None:
    assert load(REFERENCE, {}) == Settings()


def test_the_environment_wins_over_the_file(file: Path) -> None:
    file.write_text("[delivery]\nremote_port = 2525\nipv6 = true\n")
    settings = load(file, {"PILLARBOX_DELIVERY__REMOTE_PORT": "1025"})
    assert settings.delivery.remote_port == 1025
    assert settings.delivery.ipv6


def test_a_table_given_in_part_keeps_its_own_defaults(file: Path) -> None:
    """A listener's defaults differ from each other: those of web must not become those of 587."""
    file.write_text("[listeners.web]\nport = 9000\n[listeners]\nsubmissions.address = '::1'\n")
    listeners = load(file, {}).listeners
    assert listeners.web == Listener(address="127.0.0.1", port=9000, tls="none")
    assert listeners.submissions == Listener(address="::1", port=465, tls="implicit")


def test_every_mistake_is_reported_with_its_line(file: Path) -> None:
    text = """\
remote_port = 25
[delivery]
remote_port = 70000
max_conections = 3
ipv6 = "yes"
smarthost = 5
[dns]
timeout = nan
[queue]
retry = [
    300,
    -1,
]
[[submission.trusted_networks]]
network = "10.0.0.0/8"
tenant = "a"
[[submission.trusted_networks]]
tenant = "b"
"""
    assert errors_of(file, text, {"PILLARBOX_DNS__MAX_TTL": "0"}) == [
        "pillarbox.toml:1: remote_port: there is no such option; did you mean delivery.remote_port?",
        "pillarbox.toml:3: delivery.remote_port: 70000 is not allowed; give a whole number from 0 to 65535",
        "pillarbox.toml:4: delivery.max_conections: there is no such option; did you mean delivery.max_connections?",
        'pillarbox.toml:5: delivery.ipv6: "yes" is not allowed; give true or false',
        "pillarbox.toml:6: delivery.smarthost: is a table; write [delivery.smarthost] on a line of its own",
        "pillarbox.toml:8: dns.timeout: nan is not allowed; give a number from 0.05 to 604800",
        "pillarbox.toml:12: queue.retry[1]: [300, -1] is not allowed; give a list with at least 1, "
        "each a number from 0.05 to 604800 (Expected `float` >= 0.05)",
        'pillarbox.toml:17: submission.trusted_networks[1]: [{ network = "10.0.0.0/8", tenant = "a" }, { tenant = "b" }]'
        " is not allowed; give a list, each a table { network, tenant } (Object missing required field `network`)",
        "environment PILLARBOX_DNS__MAX_TTL: dns.max_ttl: 0 is not allowed; give a whole number from 1 to 1000000000",
    ]


def test_broken_rules_have_their_line_too(file: Path) -> None:
    text = """\
[tls]
certificate = "/etc/a.pem"
[submission]
trusted_networks = [
    { network = "10.0.0.0/8", tenant = "a" },
    { network = "10.0.0.0/99", tenant = "a" },
]
[box]
hostname = "not a name"
"""
    errors = errors_of(file, text)
    assert [error.partition(": ")[0] for error in errors] == [
        "pillarbox.toml:9",
        "pillarbox.toml:6",
        "pillarbox.toml:1",
    ]
    assert errors[1].startswith("pillarbox.toml:6: submission.trusted_networks[1].network: ")


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[box]\nhostname = \n", "pillarbox.toml:2: not TOML: Invalid value"),
        (
            "[box]\nhostname = 'a'\nhostname = 'b'\n",
            "pillarbox.toml:3: not TOML: Cannot overwrite a value",
        ),
        ("[box]\nhostname = '''\n", "pillarbox.toml:2: "),
        ("[box]\r\nhostname =\r\n", "pillarbox.toml:2: not TOML: Invalid value"),
        (b"[box]\nhostname = '\xff'\n", "pillarbox.toml:2: not UTF-8"),
        ("x = " + "[" * 100_000, "pillarbox.toml: lists or tables are nested too deep"),
        ("x = " + "9" * 5000, "pillarbox.toml:1: "),
        ("#" * (MAX_FILE + 1), "pillarbox.toml: larger than"),
    ],
)
def test_what_is_not_toml_is_said_with_its_line(file: Path, text: str | bytes, start: str) -> None:
    (error,) = errors_of(file, text)
    assert error.startswith(start)


def test_a_wrong_secret_is_not_shown(file: Path) -> None:
    (error,) = errors_of(file, "[delivery.smarthost]\npassword = 8675309\n")
    assert (
        error
        == "pillarbox.toml:2: delivery.smarthost.password: the value is not allowed; give a text"
    )


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_said_in_words(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="the configuration cannot be read"):
        load(tmp_path / name, {})
