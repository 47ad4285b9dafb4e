"""The environment: it wins over the file, and its mistakes are named like the file's."""

from __future__ import annotations

import pytest

from appliance.core.errors import ConfigError
from appliance.core.settings import Settings, TrustedNetwork
from appliance.core.settings_file import load


def test_without_file_and_environment_the_defaults_hold() -> None:
    assert load(None, {"HOME": "/root", "PILLARBOX_HOME": "/var/lib/pillarbox"}) == Settings()


def test_two_underscores_stand_for_a_dot_and_values_are_toml() -> None:
    settings = load(
        None,
        {
            "PILLARBOX_DELIVERY__REMOTE_PORT": "2525",
            "PILLARBOX_DELIVERY__IPV6": "true",
            "PILLARBOX_DELIVERY__SMARTHOST__HOST": "relay.example",
            "PILLARBOX_DNS__NAMESERVERS": '["127.0.0.1:5353"]',
            "PILLARBOX_SUBMISSION__TRUSTED_NETWORKS": '[{network = "10.0.0.0/8", tenant = "a"}]',
        },
    )
    assert settings.delivery.remote_port == 2525
    assert settings.delivery.ipv6
    assert settings.delivery.smarthost.host == "relay.example"
    assert settings.dns.nameservers == ("127.0.0.1:5353",)
    assert settings.submission.trusted_networks == (
        TrustedNetwork(network="10.0.0.0/8", tenant="a"),
    )


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("plain", "plain"),
        ("12345", "12345"),
        ("true", "true"),
        ('"quoted"', "quoted"),
        ("'raw \\ '", "raw \\ "),
        ('half"', 'half"'),
        ("1\nport = 2", "1\nport = 2"),
        ("[" * 5000, "[" * 5000),
        ("", ""),
    ],
)
def test_a_text_needs_no_quotes(given: str, meant: str) -> None:
    environ = {
        "PILLARBOX_DELIVERY__SMARTHOST__PASSWORD": given,
        "PILLARBOX_DELIVERY__SMARTHOST__USERNAME": "u" if given else "",
    }
    assert load(None, environ).delivery.smarthost.password == meant


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("DELIVERY__REMOTE_PORT", "70000", "70000 is not allowed; give a whole number from 0 to 65535"),
        ("DELIVERY__REMOTE_PORT", "smtp", '"smtp" is not allowed; give a whole number'),
        ("DELIVERY__REMOTE_PROT", "25", "no such option; did you mean delivery.remote_port?"),
        ("REMOTE_PORT", "25", "no such option; did you mean delivery.remote_port?"),
        ("XYZZY", "25", "xyzzy: there is no such option"),
        ("DNS", "{}", "is a table; name one of its options, PILLARBOX_DNS__..."),
        ("DNS__NAMESERVERS", '["1.1.1.1", "x"]', 'dns.nameservers[1]: "x" is not a nameserver'),
        ("DELIVERY__SMARTHOST__PORT", "9" * 5000, "is not allowed; give a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_names_the_variable(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {f"PILLARBOX_{variable}": value})
    assert str(caught.value).startswith(f"environment PILLARBOX_{variable}: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 300


def test_the_value_of_a_secret_is_never_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"PILLARBOX_SPOOL__DATABASE_URL": "mysql://box:hush@db/x"})
    assert "hush" not in str(caught.value)
