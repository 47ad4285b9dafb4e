"""What the console's lists ask of the rooms besides a page: counts, prefixes, several at once; on both databases."""

from __future__ import annotations

import pytest

from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, Tries, Try
from appliance.domains import BoxNames, Domains
from appliance.domains import service as domain_service
from appliance.jobs import Jobs, Order
from appliance.keys import Keys, Wish
from appliance.notices import Finding, Notices, Severity
from appliance.notifications import Notifications
from appliance.people import Users
from appliance.rights import GRANTS, Right, Role
from appliance.shaping import ThrottleStore
from appliance.suppressions import Reason, SuppressionList
from appliance.tenancy import Tenants
from appliance.warmup import DayBook, Warmups
from appliance.webhooks import SenderStore
from mta.signing import keys

ADMIN = Scope.system(by="ann")
KEYS = MasterKeys({1: b"k" * 32})
NAMES = BoxNames(hostname="mail.box.example", bounce_domain="bounces.mail.box.example")
PAIR = keys.make_rsa(), keys.make_ed25519()


@pytest.fixture
async def acme(engine, now):
    room = Tenants(engine, now)
    made = [await room.create(ADMIN, name=name) for name in ("acme", "acorn", "beta")]
    await room.suspend(ADMIN, "beta", reason="unpaid")
    return made[0]


async def test_tenants_and_people(engine, now, acme):
    room, own = Tenants(engine, now), Scope.tenant(acme.id)
    assert [one.name for one in await room.page(ADMIN, prefix="AC")] == ["acme", "acorn"]
    assert await room.page(ADMIN, prefix="a%") == ()
    counts = await room.counts(ADMIN)
    assert (counts.whole, counts.suspended, counts.sandboxed) == (3, 1, 0)
    assert await room.names(ADMIN, [acme.id, 999]) == {acme.id: "acme"}
    assert await room.names(own, [acme.id + 1]) == {}
    profile = {"organisation": "Acme Ltd", "country": "DE", "postal_address": "Street 1\nTown"}
    assert (await room.set_profile(own, acme.id, **profile)).organisation == "Acme Ltd"
    people = Users(engine, now)
    for email, role, tenant_id in (
        ("ann@box.example", Role.ADMIN, 0),
        ("abe@acme.example", Role.OWNER, acme.id),
    ):
        await people.create(ADMIN, email=email, name="A", role=role, tenant_id=tenant_id)
    assert (await people.counts(ADMIN)).whole == 2
    assert (await people.counts(own)).whole == 1
    assert [one.email for one in await people.list(ADMIN, prefix="AB")] == ["abe@acme.example"]
    assert [one.email for one in await people.list(ADMIN, staff_only=True)] == ["ann@box.example"]


async def test_domains_keys_and_what_credentials_brought(engine, now, acme, monkeypatch):
    async def pair():
        return PAIR

    monkeypatch.setattr(domain_service, "_make_pair", pair)
    own = Scope.tenant(acme.id)
    domains = Domains(engine, KEYS, NAMES, queue_life=1, now=now)
    made = [await domains.create(own, tenant_id=acme.id, name=f"{n}.test") for n in "ab"]
    assert [one.name for one in await domains.page(own, prefix="B")] == ["b.test"]
    assert [one.name for one in await domains.some(own, [made[0].id, 999])] == ["a.test"]
    assert await domains.counts(own) == (2, 0)
    credentials = Credentials(engine, KEYS, now)
    room = Keys(engine, KEYS, credentials, now)
    wish = Wish(name="shop", rights=frozenset({Right.MESSAGES_SEND}))
    key = (await room.create(own, wish, held=GRANTS[Role.ADMIN], tenant_id=acme.id)).key
    assert (await room.counts(own)).valid == 1
    assert await room.list(own, valid=True) == (key,)
    assert await room.list(own, valid=False) == ()
    assert set(await room.valid()) == {key.id}
    tries, number = Tries(engine, now), key.credential_id
    await tries.note_tries([Try(credential_id=number, at=5), Try(credential_id=999, at=5)])
    await tries.note_mail({number: (6, 77)}, {})
    assert await tries.waiting() == {77: number}
    await tries.note_mail({}, {number: (7, 77)})
    assert await tries.proven() == {number}
    assert await tries.has_delivered(own)
    assert set(await tries.of(own, [number])) == {number}


async def test_suppressions_counted_and_several_removed(engine, now, acme):
    room, own = SuppressionList(engine, now), Scope.tenant(acme.id)
    reasons = (Reason.COMPLAINT, Reason.COMPLAINT, Reason.MANUAL)
    made = [await room.add(own, f"a{n}@b.test", reason=why) for n, why in enumerate(reasons)]
    counted = await room.counts(own)
    assert (counted.by_reason, counted.is_cut) == ({Reason.COMPLAINT: 2, Reason.MANUAL: 1}, False)
    assert (await room.counts(own, 2)).is_cut
    assert await room.list(own, prefix="A1") == (made[1],)
    assert await room.touched(0, 100) == {acme.id}
    assert await room.touched(0, 1) is None
    gone = await room.remove_many(own, [made[0].id, made[2].id, 999])
    assert [one.id for one in gone] == [made[0].id, made[2].id]
    assert await room.list(own) == (made[1],)


async def test_notices_jobs_throttles_and_warmups(engine, now, acme):
    own, notices = Scope.tenant(acme.id), Notices(engine, now)
    finding = Finding(
        tenant_id=acme.id,
        kind="dns",
        subject="a.test",
        severity=Severity.WARNING,
        text="a record is gone",
        next_step="put it back",
    )
    notice = await notices.raise_(ADMIN, finding)
    assert [one.id for one in await notices.raised_since(own, 0)] == [notice.id]
    assert await notices.raised_since(own, notice.id) == ()
    notifications = Notifications(engine, notices)
    assert await notifications.want_mail(own, [1, 2], "dns") <= {1, 2}
    await notifications.mark_mailed(notice.id)
    assert await notifications.mailed_upto() == notice.id
    jobs = Jobs(engine, now)
    job = await jobs.order(own, Order(kind="export", tenant_id=acme.id))
    assert [one.id for one in await jobs.list(own, kind="export", open_only=True)] == [job.id]
    assert await jobs.list(own, kind="other") == ()
    assert await ThrottleStore(engine, now).suspended(ADMIN) == ()
    assert await Warmups(engine, now=now).held(ADMIN) == frozenset()
    assert await DayBook(engine, now).warmups() == ()
    assert await DayBook(engine, now).providers() == {}
    store = SenderStore(engine, KEYS)
    assert await store.versions() == {}
    assert not await store.was_taken_since(1, 0)
