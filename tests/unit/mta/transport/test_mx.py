"""MTA-18: what a domain's DNS records mean, rule by rule."""

from __future__ import annotations

import random
from typing import Any

import pytest

from mta.transport.base import MxHost, RouteError, Site
from mta.transport.mx import (
    MAX_ADDRESSES,
    MAX_HOSTS,
    Mx,
    MxFacts,
    a_label,
    decide,
    in_order,
    is_public,
    site_key,
)

OWN = frozenset({"box.example"})


def site_of(*records: tuple[int, str], **changes: Any) -> Site:
    addresses = {host: ("192.0.2.1",) for _, host in records}
    values: dict[str, Any] = {"expires_at": 9, "addresses": addresses, **changes}
    allow = values.pop("allow_private", True)  # 192.0.2.0/24 is for documentation: not public
    facts = MxFacts(records=tuple(Mx(p, h) for p, h in records), **values)
    return decide("good.test", facts, own_names=OWN, port=25, allow_private=allow)


def refusal(*records: tuple[int, str], **changes: Any) -> str:
    with pytest.raises(RouteError) as caught:
        site_of(*records, **changes)
    reply = caught.value.reply
    return f"{reply.code} {reply.enhanced}"


def test_hosts_come_by_preference_with_their_addresses() -> None:
    site = site_of((20, "b.test"), (10, "a.test"))
    assert [(h.name, h.preference, h.addresses) for h in site.hosts] == [
        ("a.test", 10, ("192.0.2.1",)),
        ("b.test", 20, ("192.0.2.1",)),
    ]
    assert (site.port, site.expires_at) == (25, 9)


def test_inside_one_preference_the_order_is_random() -> None:
    hosts = [MxHost(name=n, preference=p, addresses=()) for n, p in (("a", 1), ("b", 1), ("c", 2))]
    dice = random.Random(7)
    seen = {tuple(h.name for h in in_order(hosts, dice)) for _ in range(50)}
    assert seen == {("a", "b", "c"), ("b", "a", "c")}


def test_a_null_mx_refuses_for_good() -> None:
    assert refusal((0, "")) == "556 5.1.10"


def test_a_null_mx_beside_others_is_left_out() -> None:
    assert [h.name for h in site_of((0, ""), (10, "a.test")).hosts] == ["a.test"]


def test_a_domain_that_does_not_exist_refuses_for_good() -> None:
    assert refusal(exists=False) == "550 5.1.2"


def test_a_domain_without_mx_and_address_refuses_for_good() -> None:
    assert refusal((0, "good.test"), implicit=True, addresses={"good.test": ()}) == "550 5.1.2"


def test_a_domain_without_mx_is_its_own_host() -> None:
    assert [h.name for h in site_of((0, "good.test"), implicit=True).hosts] == ["good.test"]


def test_when_we_are_the_best_host_mail_would_loop() -> None:
    assert refusal((10, "box.example"), (20, "b.test")) == "550 5.4.6"
    assert refusal((10, "box.example"), (10, "b.test")) == "550 5.4.6"


def test_when_we_are_a_backup_only_better_hosts_are_tried() -> None:
    site = site_of((10, "a.test"), (20, "box.example"), (20, "c.test"), (30, "d.test"))
    assert [h.name for h in site.hosts] == ["a.test"]


def test_an_mx_that_is_an_address_is_left_out_or_refused() -> None:
    assert [h.name for h in site_of((5, "192.0.2.9"), (10, "a.test")).hosts] == ["a.test"]
    assert refusal((5, "192.0.2.9")) == "550 5.4.4"


def test_a_host_that_could_not_be_asked_makes_it_temporary_unless_another_is_known() -> None:
    unknown = {"addresses": {"a.test": ()}, "failed": ("a.test",), "failure": "no answer"}
    assert refusal((10, "a.test"), **unknown) == "451 4.4.3"
    known = {"addresses": {"a.test": (), "b.test": ("192.0.2.1",)}, "failed": ("a.test",)}
    site = site_of((10, "a.test"), (20, "b.test"), **known)
    assert [h.name for h in site.hosts] == ["b.test"]
    assert site.key == site_of((10, "a.test"), (20, "b.test")).key  # stays the same site


def test_hosts_without_any_address_refuse_for_good() -> None:
    assert refusal((10, "a.test"), addresses={"a.test": ()}) == "550 5.4.4"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.1.1",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "64:ff9b::10.0.0.1",
        "::127.0.0.1",
        "fec0::1",
        "192.0.0.8",
        "not an address",
    ],
)
def test_addresses_that_are_not_of_the_open_internet_are_never_connected_to(address: str) -> None:
    assert not is_public(address)
    addresses = {"a.test": (address,)}
    assert refusal((10, "a.test"), addresses=addresses, allow_private=False) == "550 5.4.4"


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1a", "::ffff:8.8.8.8"])
def test_addresses_of_the_open_internet_are_reached(address: str) -> None:
    assert is_public(address)


def test_a_public_address_beside_a_private_one_is_used() -> None:
    addresses = {"a.test": ("127.0.0.1", "8.8.8.8")}
    site = site_of((10, "a.test"), addresses=addresses, allow_private=False)
    assert site.hosts[0].addresses == ("8.8.8.8",)


def test_hosts_and_addresses_are_bounded_and_families_take_turns() -> None:
    records = [(n, f"h{n}.test") for n in range(MAX_HOSTS + 5)]
    many = ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1", "2001:db8::2")
    site = site_of(*records, addresses=dict.fromkeys([h for _, h in records], many))
    assert len(site.hosts) == MAX_HOSTS
    assert site.hosts[0].addresses == ("2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2")
    assert len(site.hosts[0].addresses) == MAX_ADDRESSES


def test_domains_with_the_same_hosts_share_a_site() -> None:
    assert site_of((10, "a.test"), (20, "b.test")).key == site_of((5, "b.test"), (6, "a.test")).key
    assert site_key(["b.test", "a.test"], 25) == "a.test,b.test:25"
    assert site_key(["a.test"], 25) != site_key(["a.test"], 2525)
    long = [f"host-{n}.a-provider-with-a-long-name.test" for n in range(10)]
    assert len(site_key(long, 25)) < 160
    assert site_key(long, 25) != site_key(long[:9], 25)


@pytest.mark.parametrize(
    ("domain", "name"),
    [("Example.NET", "example.net"), ("bücher.example", "xn--bcher-kva.example"), ("a.b.", "a.b")],
)
def test_domains_are_asked_as_a_labels(domain: str, name: str) -> None:
    assert a_label(domain) == name


@pytest.mark.parametrize(
    "domain", ["", ".", "a..b", "x" * 64 + ".test", "a." * 127 + "test", "ü" * 64]
)
def test_what_is_no_domain_name_is_refused_without_asking(domain: str) -> None:
    with pytest.raises(RouteError) as caught:
        a_label(domain)
    assert caught.value.reply.enhanced == "5.1.2"
