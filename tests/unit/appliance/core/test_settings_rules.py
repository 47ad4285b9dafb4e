"""Rules: what the types cannot say is said in words."""

from __future__ import annotations

import msgspec
import pytest

from appliance.core.settings import Provider, Settings, Smarthost, TrustedNetwork
from appliance.core.settings_rules import nameserver, problems

GOOGLE = Provider(
    name="google", issuer="https://accounts.google.com", client_id="box", client_secret="hush"
)


def providers(*changes: dict[str, str]) -> dict[str, dict[str, object]]:
    """Sign-in by a provider for each change."""
    made = tuple(msgspec.structs.replace(GOOGLE, **change) for change in changes)
    return {"sign_in": {"providers": made}}


def changed(**sections: dict[str, object]) -> Settings:
    """The default settings with some options replaced."""
    settings = Settings()
    replaced = {
        name: msgspec.structs.replace(getattr(settings, name), **options)
        for name, options in sections.items()
    }
    return msgspec.structs.replace(settings, **replaced)


def test_the_defaults_break_no_rule() -> None:
    assert problems(Settings()) == []


@pytest.mark.parametrize(
    ("sections", "path", "words"),
    [
        ({"box": {"hostname": ""}}, "box.hostname", "is not a domain name"),
        ({"box": {"hostname": "mail example"}}, "box.hostname", "is not a domain name"),
        ({"box": {"hostname": "mail.bücher.example"}}, "box.hostname", "xn--"),
        ({"box": {"hostname": f"{'a' * 64}.example"}}, "box.hostname", "is not a domain name"),
        ({"box": {"postmaster": "nobody"}}, "box.postmaster", "is not a mail address"),
        ({"delivery": {"source_address": "::1"}}, "delivery.source_address", "not an IPv4"),
        ({"delivery": {"helo": "-x"}}, "delivery.helo", "is not a domain name"),
        ({"database": {"url": "mysql://u:hush@h/d"}}, "database.url", "PostgreSQL"),
        ({"tls": {"certificate": "/a.pem"}}, "tls.private_key", "or neither"),
        ({"tls": {"private_key": "/a.pem"}}, "tls.certificate", "or neither"),
        ({"dns": {"min_ttl": 90_000}}, "dns.min_ttl", "more than dns.max_ttl, 86400"),
        ({"dns": {"nameservers": ("127.0.0.1", "x")}}, "dns.nameservers.1", "not a nameserver"),
        ({"dns": {"trusted": ("127.0.0.1", "ns.x")}}, "dns.trusted.1", "not an IP address"),
        (
            {"dns": {"nameservers": ("[2001:db8::53]:53", "192.0.2.1"), "trusted": ("192.0.2.2",)}},
            "dns.trusted.0",
            "192.0.2.2 is never asked: it is not in dns.nameservers",
        ),
        ({"tls_reports": {"contact": "nobody"}}, "tls_reports.contact", "nobody"),
        ({"web": {"public_url": "http://box.example"}}, "web.public_url", "https://"),
        ({"web": {"public_url": "https://box.example/x"}}, "web.public_url", "https://"),
        ({"web": {"public_url": "https://u:p@box.example"}}, "web.public_url", "https://"),
        ({"web": {"public_url": "https://box.example:x"}}, "web.public_url", "https://"),
        ({"web": {"public_url": "https://192.0.2.1"}}, "web.public_url", "passkeys"),
        ({"sign_in": {"session_idle": 7200, "session_life": 3600}}, "sign_in.session_idle", "more"),
        (providers({"issuer": "http://x.example"}), "sign_in.providers.0.issuer", "https://"),
        (providers({"issuer": "http://[x"}), "sign_in.providers.0.issuer", "https://"),
        (providers({}, {}), "sign_in.providers.1.name", "of its own"),
        (providers({"name": "a/b"}), "sign_in.providers.0.name", "short name"),
        (providers({"client_id": ""}), "sign_in.providers.0.client_id", "missing"),
        (providers({"client_secret": ""}), "sign_in.providers.0.client_secret", "missing"),
        (
            {"submission": {"proxy_networks": ("10.0.0.1/8",)}},
            "submission.proxy_networks.0",
            "has host bits set",
        ),
        (
            {"submission": {"trusted_networks": (TrustedNetwork(network="x", tenant="a"),)}},
            "submission.trusted_networks.0.network",
            "is not a network",
        ),
        (
            {"submission": {"trusted_networks": (TrustedNetwork(network="::/0", tenant=""),)}},
            "submission.trusted_networks.0.tenant",
            "is empty",
        ),
        (
            {"delivery": {"smarthost": Smarthost(host="h.example", username="u")}},
            "delivery.smarthost.password",
            "or neither",
        ),
        (
            {"delivery": {"smarthost": Smarthost(username="u", password="p", tls="none")}},
            "delivery.smarthost.tls",
            "in the clear",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_option(
    sections: dict[str, dict[str, object]], path: str, words: str
) -> None:
    ((found, text),) = problems(changed(**sections))
    assert ".".join(map(str, found)) == path
    assert words in text
    assert "hush" not in text


def test_the_console_may_be_at_a_name_and_in_a_laboratory_at_localhost() -> None:
    for url in ("https://mail.example.org", "https://mail.example.org:8443/", "http://localhost:1"):
        assert problems(changed(web={"public_url": url})) == []
    assert problems(changed(**providers({}))) == []


def test_a_listener_takes_an_address_or_nothing() -> None:
    listeners = Settings().listeners
    for address, wrong in (("", False), ("::1", False), ("0.0.0.0", False), ("localhost", True)):
        web = msgspec.structs.replace(listeners.web, address=address)
        settings = changed(listeners={"web": web})
        assert bool(problems(settings)) is wrong


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("192.0.2.1", ("192.0.2.1", 53)),
        ("127.0.0.1:5353", ("127.0.0.1", 5353)),
        ("2001:db8::1", ("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353)),
    ],
)
def test_a_nameserver_is_an_address_with_or_without_port(text: str, meant: tuple[str, int]) -> None:
    assert nameserver(text) == meant


@pytest.mark.parametrize(
    "text",
    ["", "dns.example", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:٣", "[::1]", "[::1]:x",
     "1.2.3.4:5:6"],
)  # fmt: skip
def test_what_is_no_nameserver_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a nameserver"):
        nameserver(text)


@pytest.mark.parametrize("servers", [(), ("192.0.2.2:5353",), ("[2001:db8:0::53]:53", "192.0.2.2")])
def test_a_name_server_that_is_asked_can_be_trusted(servers: tuple[str, ...]) -> None:
    assert problems(changed(dns={"nameservers": servers, "trusted": ("192.0.2.2",)})) == []
