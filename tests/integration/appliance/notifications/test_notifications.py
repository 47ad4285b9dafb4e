"""Notifications on both databases: whose feed shows what, who is written to, and that it is once."""

from __future__ import annotations

import pytest

from appliance.core.errors import StoreError, UsageError
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices, Severity
from appliance.notifications import KINDS, Mailer, Notifications
from appliance.people import Users
from appliance.tenancy import Tenants

ADMIN = Scope.system(by="admin")


class Outbox:
    """Keeps letters by their key, as the box's queue does."""

    def __init__(self) -> None:
        self.letters = {}
        self.fails = 0

    async def send(self, to, subject, text, *, key=""):
        if self.fails:
            self.fails -= 1
            raise StoreError("the queue takes nothing now")
        self.letters.setdefault(key, (to, subject, text))


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme")


@pytest.fixture
async def other(engine):
    return await Tenants(engine).create(ADMIN, name="other")


@pytest.fixture
def notices(engine, now):
    return Notices(engine, now)


@pytest.fixture
def notifications(engine, notices):
    return Notifications(engine, notices)


@pytest.fixture
def users(engine, now):
    return Users(engine, now)


@pytest.fixture
def post():
    return Outbox()


@pytest.fixture
def mailer(notifications, notices, users, post):
    return Mailer(
        notifications=notifications,
        notices=notices,
        users=users,
        post=post,
        box="box.test",
        url="http://localhost:1",
    )


def finding(tenant, kind="domain-record", subject="shop.test dkim", **changes):
    words = {"text": "the DKIM record is gone", "next_step": "publish it"} | changes
    return Finding(kind=kind, subject=subject, tenant_id=tenant.id, **words)


async def person(users, email, role, tenant=None):
    place = {"tenant_id": tenant.id} if tenant else {}
    return await users.create(ADMIN, email=email, name=email, role=role, **place)


async def test_a_feed_shows_the_scopes_own_and_what_is_new(notifications, notices, acme, other):
    mine, theirs = Scope.tenant(acme.id), Scope.tenant(other.id)
    first = await notices.raise_(ADMIN, finding(acme))
    feed = await notifications.feed(mine, 1)
    assert [(e.notice.id, e.is_new) for e in feed.entries] == [(first.id, True)]
    assert (await notifications.feed(theirs, 1)).entries == ()
    await notifications.look(mine, 1, first.id)
    await notifications.look(mine, 1, 0)  # an older page open elsewhere takes nothing back
    second = await notices.raise_(ADMIN, finding(acme, subject="b", severity=Severity.CRITICAL))
    feed = await notifications.feed(mine, 1)
    assert [(e.notice.id, e.is_new) for e in feed.entries] == [
        (second.id, True),
        (first.id, False),
    ]
    assert feed.unseen == 1
    assert (await notifications.feed(mine, 2)).unseen == 2
    await notices.resolve(ADMIN, "domain-record", "b", tenant_id=acme.id)
    assert len((await notifications.feed(mine, 1)).entries) == 1


async def test_what_somebody_does_not_want_is_not_shown_to_them(notifications, notices, acme):
    mine = Scope.tenant(acme.id)
    await notices.raise_(ADMIN, finding(acme))
    await notifications.choose(mine, 1, "domain-record", in_feed=False, by_mail=False)
    assert (await notifications.feed(mine, 1)).entries == ()
    assert len((await notifications.feed(mine, 2)).entries) == 1
    chosen = {one.kind: one for one in await notifications.choices(mine, 1)}
    assert chosen.keys() == KINDS.keys()
    assert not chosen["domain-record"].by_mail
    await notifications.choose(mine, 1, "domain-record", in_feed=True, by_mail=True)
    assert len((await notifications.feed(mine, 1)).entries) == 1
    with pytest.raises(UsageError):
        await notifications.choose(mine, 1, "weather", in_feed=True, by_mail=True)


async def test_those_who_can_do_something_are_written_to_once(
    mailer, notices, users, post, acme, other
):
    await person(users, "root@box.test", "admin")
    await person(users, "ada@acme.test", "owner", acme)
    await person(users, "bob@acme.test", "manager", acme)
    await person(users, "eve@acme.test", "viewer", acme)
    await person(users, "zoe@other.test", "owner", other)
    await notices.raise_(ADMIN, finding(acme))
    await notices.raise_(ADMIN, finding(acme, subject="spf"))
    assert await mailer.step() is False
    sent = sorted(letter[0] for letter in post.letters.values())
    assert sent == ["ada@acme.test", "bob@acme.test"]
    _, subject, text = next(iter(post.letters.values()))
    assert "and 1 more" in subject
    assert text.count("publish it") == 2
    await notices.raise_(ADMIN, finding(acme))  # found again: it stands already
    await mailer.step()
    assert len(post.letters) == 2
    box_wide = Finding(kind="blocklist", subject="x", text="listed", next_step="ask")
    await notices.raise_(ADMIN, box_wide)
    await mailer.step()
    assert [letter[0] for letter in post.letters.values()][2:] == ["root@box.test"]


async def test_who_wants_no_mail_gets_none(mailer, notifications, notices, users, post, acme):
    ada = await person(users, "ada@acme.test", "owner", acme)
    mine = Scope.tenant(acme.id)
    await notifications.choose(mine, ada.id, "domain-record", in_feed=True, by_mail=False)
    await notices.raise_(ADMIN, finding(acme))
    await notices.raise_(ADMIN, finding(acme, kind="blocklist-unusable", subject="x"))
    await mailer.step()
    assert post.letters == {}


async def test_a_queue_that_takes_nothing_loses_no_letter(mailer, notices, users, post, acme):
    await person(users, "ada@acme.test", "owner", acme)
    await person(users, "bob@acme.test", "owner", acme)
    await notices.raise_(ADMIN, finding(acme))
    post.fails = 1
    with pytest.raises(StoreError):
        await mailer.step()
    await mailer.step()
    assert sorted(letter[0] for letter in post.letters.values()) == [
        "ada@acme.test",
        "bob@acme.test",
    ]


async def test_what_is_over_is_not_mailed(mailer, notices, users, post, acme):
    await person(users, "ada@acme.test", "owner", acme)
    await notices.raise_(ADMIN, finding(acme))
    await notices.resolve(ADMIN, "domain-record", "shop.test dkim", tenant_id=acme.id)
    await mailer.step()
    assert post.letters == {}
