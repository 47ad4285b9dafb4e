from __future__ import annotations

import shlex
from dataclasses import replace

from appliance.credentials import Policy
from appliance.run.cli.credential import swaks
from appliance.run.cli.policy_options import policy_of
from mta.directory import FromPolicy, Gate
from mta.message import ReturnPathMode
from mta.status import TrafficClass


def test_options_become_a_policy():
    policy = policy_of(
        {
            "from_policy": "any",
            "allowed_from": ("shop.example", "shop.example"),
            "networks": ("10.0.0.0/8",),
            "traffic_class": "bulk",
            "return_path_mode": "message",
            "compliance": "refuse",
            "tags": ("orders",),
            "dsn": False,
            "recipients_per_hour": 100,
        }
    )
    assert policy == Policy(
        from_policy=FromPolicy.ANY,
        allowed_from=frozenset({"shop.example"}),
        networks=("10.0.0.0/8",),
        traffic_class=TrafficClass.BULK,
        return_path_mode=ReturnPathMode.MESSAGE,
        compliance=Gate.REFUSE,
        tags=("orders",),
        dsn=False,
        recipients_per_hour=100,
    )


def test_what_was_not_said_stays_at_its_default():
    assert policy_of({"traffic_class": None, "tags": ()}) == Policy()


def test_a_change_leaves_alone_what_was_not_said():
    standing = Policy(tags=("a",), networks=("10.0.0.0/8",), dsn=False, pool="old")
    given = {"pool": "new", "tags": (), "dsn": None, "networks": None}
    assert policy_of(given, standing) == replace(standing, pool="new")


def test_choices_lists_and_pools_can_be_taken_back():
    standing = Policy(
        tags=("a",),
        traffic_class=TrafficClass.BULK,
        return_path_mode=ReturnPathMode.MESSAGE,
        pool="old",
    )
    given = {"tags": ("",), "traffic_class": "auto", "return_path_mode": "auto", "pool": ""}
    assert policy_of(given, standing) == Policy()


def test_the_example_survives_a_shell_and_brackets_ipv6():
    line = swaks("::1", 2587, "acme.web.k7", "p'w", "you@shop.example")
    words = shlex.split(line)
    assert words[words.index("--server") + 1] == "[::1]:2587"
    assert words[words.index("--auth-password") + 1] == "p'w"
