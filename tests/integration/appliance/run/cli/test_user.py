"""`pillarbox user`: the first admin, invitations, roles, and what lets people in or keeps them out."""

from __future__ import annotations

import asyncio
import re

import pytest

from appliance.core.database import open_engine
from appliance.core.home import Home
from appliance.core.secrets import MasterKeys
from appliance.core.settings import Settings
from appliance.people import Client
from appliance.people.desk import open_desk
from appliance.people.passwords import Passwords
from appliance.run.people import people_options, public_url
from tests.support.cli import Shell
from tests.support.people import CHEAP, PASSWORD, LetterBox

HERE = Client(address="127.0.0.1")


def at_the_desk(shell, work):
    """Do something as the web would."""

    async def done():
        engine = open_engine(shell.home.control_db)
        keys = MasterKeys.load(shell.home.keys_file)
        desk = open_desk(
            engine, keys, people_options(Settings()), LetterBox(), passwords=Passwords(CHEAP)
        )
        try:
            return await work(desk)
        finally:
            await engine.dispose()

    return asyncio.run(done())


def token_of(url):
    return url.rpartition("/")[2]


@pytest.fixture
def admin(shell):
    url = shell.json("user", "first-admin")["url"]
    at_the_desk(
        shell,
        lambda desk: desk.first_admin.welcome(
            token_of(url), HERE, email="root@box.test", name="Root", password=PASSWORD
        ),
    )
    return shell


def test_init_prints_a_link_for_the_first_admin_that_the_next_one_replaces(tmp_path):
    shell = Shell(Home(tmp_path / "home"))
    said = shell("init", "--hostname", "mail.example.com").out
    (url,) = re.findall(r"http://localhost:8025/welcome/\S+", said)
    assert "127.0.0.1" not in said
    assert shell.json("init")["welcome"] == ""
    newer = shell.json("user", "first-admin")["url"]
    assert newer != url
    assert "pillarbox user first-admin" in shell("user", "list").out


def test_there_is_no_link_once_there_is_an_admin(admin):
    assert "has an admin" in admin.error("user", "first-admin", expect=65)
    (root,) = admin.json("user", "list")
    assert (root["email"], root["role"], root["tenants"]) == ("root@box.test", "admin", {})
    assert root["signed_in_at"]
    assert "root@box.test" in admin("user", "list").out
    for words in (("remove",), ("disable",), ("role",)):
        given = (*words, "root@box.test", *(["support"] if words == ("role",) else []))
        assert "the last admin" in admin.error("user", *given, expect=65)


def test_somebody_is_invited_changed_kept_out_and_removed(admin):
    admin("tenant", "create", "acme")
    asked = admin.json(
        "user", "invite", "Ada@acme.example", "--role", "owner", "--tenant", "acme", "--link"
    )
    assert asked["email"] == "ada@acme.example"
    (listed,) = admin.json("user", "invitations")
    assert (listed["id"], listed["tenant"]) == (asked["id"], "acme")
    assert "ada@acme.example" in admin("user", "invitations").out
    at_the_desk(
        admin,
        lambda desk: desk.invitations.accept(
            token_of(asked["url"]), HERE, name="Ada", password=PASSWORD
        ),
    )
    (ada,) = admin.json("user", "list", "--tenant", "acme")
    assert ada["tenants"] == {"acme": "owner"}
    assert admin.json("user", "role", "ada@acme.example", "support")["role"] == "support"
    assert "support of the box, owner of acme" in admin("user", "list").out
    assert admin.json("user", "end-sessions", "ada@acme.example")["ended"] == 0
    url = admin.json("user", "reset-link", "ada@acme.example")["url"]
    assert at_the_desk(admin, lambda desk: desk.password_links.use(token_of(url), PASSWORD + "!"))
    admin("user", "drop-second-factor", "ada@acme.example")
    assert "the last owner" in admin.error("user", "disable", "ada@acme.example", expect=65)
    admin("tenant", "create", "other")
    admin("user", "role", "root@box.test", "owner", "--tenant", "acme")
    assert admin.json("user", "disable", "ada@acme.example")["disabled_at"]
    assert admin.json("user", "enable", "ada@acme.example")["disabled_at"] is None
    admin("user", "remove", "ada@acme.example", "--tenant", "acme")
    admin("user", "remove", "ada@acme.example")
    assert [one["email"] for one in admin.json("user", "list")] == ["root@box.test"]
    admin.error("user", "remove", "ada@acme.example", expect=66)


def test_without_a_running_box_the_link_is_shown_to_be_handed_over(admin):
    said = admin("user", "invite", "sue@box.test", "--role", "support")
    assert "hand the link over yourself" in said.err
    assert "http://localhost:8025/invitation/" in said.out
    (listed,) = admin.json("user", "invitations")
    admin("user", "withdraw", str(listed["id"]))
    assert admin.json("user", "invitations") == []
    assert "not a role of the box" in admin.error(
        "user", "invite", "sue@box.test", "--role", "owner", expect=64
    )


def test_links_lead_to_the_public_address():
    assert public_url(Settings()) == "http://localhost:8025"
    assert public_url(Settings(), 4711) == "http://localhost:4711"
