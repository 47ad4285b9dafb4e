"""Which addresses webhooks may go to: every spelling of a private one is refused."""

from __future__ import annotations

import pytest

from appliance.webhooks import Allowed

PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
    *("169.254.169.254", "169.254.0.1"),  # cloud metadata, link-local
    *("100.64.0.1", "100.127.255.255", "100.100.100.200"),  # CGNAT; another cloud's metadata
    *("192.0.0.1", "192.0.0.192", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *("224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"),
    *("::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::1"),
    *("2002:7f00:1::", "2002:a00:1::1", "2002:a9fe:a9fe::1"),  # 6to4
    *("2001::1", "2001:0:53aa:64c:0:0:80ff:fffe", "2001:db8::1"),  # Teredo, examples
    *("fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "100::1", "5f00::1"),
    *("", "localhost", "127.1", "0x7f000001", "2130706433", "1.1.1.1.1", "1.1.1.1%eth0"),
]
PUBLIC = ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused(address):
    assert not Allowed()(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_allowed(address):
    assert Allowed()(address)


def test_what_is_listed_is_allowed_and_nothing_beside_it():
    allowed = Allowed(["10.1.0.0/16", "fd00:1::/32"])
    assert all(map(allowed, ("10.1.2.3", "::ffff:10.1.2.3", "fd00:1::5", "1.1.1.1")))
    assert not any(map(allowed, ("10.2.0.1", "127.0.0.1", "64:ff9b::10.1.2.3", "fd00:2::5")))
