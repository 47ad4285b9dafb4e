"""Blocklists of a laboratory: zones of a LabDns that list whom the test says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.blocklists import Blocklist, Family
from appliance.blocklists.rules import TEST_ENTRIES, question

if TYPE_CHECKING:
    from appliance.lab.dns_server import LabDns, Zone


def blocklist(name: str, *, drain: bool = False, ipv6: bool = False) -> Blocklist:
    """An entry as the file would have it; its zone is NAME.test."""
    return Blocklist(
        name=name.title(),
        zone=f"{name}.test",
        families=(Family.IPV4, Family.IPV6) if ipv6 else (Family.IPV4,),
        drain=drain,
        lookup=f"https://{name}.test/{{address}}",
        runbook=("stop it", "wait"),
        codes={"127.0.0.2": "it sends spam", "127.0.0.4": "it is hijacked"},
        refused={"127.255.255.254": "asked through a public resolver"},
    )


def zone_of(*lists: Blocklist) -> Zone:
    """Zones that hold the test entries and nobody else."""
    zone: Zone = {}
    for entry in lists:
        zone[entry.zone] = {"A": ["198.51.100.80"]}  # its web site
        for family in entry.families:
            must = next(test.address for test in TEST_ENTRIES[family] if test.must)
            zone[question(must, entry.zone)] = {"A": ["127.0.0.2"]}
    return zone


def enlist(dns: LabDns, address: str, zone: str, *codes: str, text: str = "") -> str:
    """Put an address on a list; returns the name that tells it."""
    name = question(address, zone)
    dns.zone[name] = {"A": list(codes or ("127.0.0.2",))} | ({"TXT": [text]} if text else {})
    return name
