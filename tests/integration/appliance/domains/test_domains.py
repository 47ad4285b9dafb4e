"""Sending domains on both databases, with a zone that says what the test wants."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from appliance.core import clock
from appliance.core.control import Part, generations
from appliance.core.database import reading, transaction
from appliance.core.dns import (
    Answer,
    DnsTemporaryError,
    MxAnswer,
    MxRecord,
    NoRecordError,
    NoSuchNameError,
)
from appliance.core.errors import ConflictError, NotFoundError, SecretError, UsageError
from appliance.core.scope import BOX, Scope
from appliance.core.secrets import MasterKeys
from appliance.domains import BoxNames, CheckState, Domains, KeyState
from appliance.domains import service as service_module
from appliance.tenancy import AuditLog, Tenants
from mta.signing import keys
from mta.signing.dns_records import RecordKind

ADMIN = Scope.system(by="ann")
NAMES = BoxNames(hostname="mail.box.example", bounce_domain="bounces.mail.box.example")
QUEUE_LIFE = 4 * clock.DAY
RSA = keys.make_rsa()


class Zone:
    """Answers as a Resolver does."""

    servers = ("192.0.2.53",)

    def __init__(self) -> None:
        self.texts = {NAMES.bounce_domain: ["v=spf1 a:mail.box.example -all"]}
        self.aliases: dict[str, str] = {}
        self.exchanges: dict[str, list[str]] = {}
        self.broken = False
        self.asked: list[str] = []

    def publish(self, records) -> None:
        for record in records:
            if record.type == "TXT":
                self.texts[record.name] = [record.value]
            else:
                self.aliases[record.name] = record.value.rstrip(".")

    async def txt(self, name: str) -> Answer:
        self.asked.append(name)
        return Answer(self._found(self.texts.get(name)), 0)

    async def cname(self, name: str) -> Answer:
        return Answer(self._found([self.aliases[name]] if name in self.aliases else None), 0)

    async def mx(self, name: str) -> MxAnswer:
        found = self._found(self.exchanges.get(name))
        return MxAnswer(tuple(MxRecord(10, exchange) for exchange in found), 0)

    def _found(self, values: list[str] | None) -> tuple[str, ...]:
        if self.broken:
            raise DnsTemporaryError("the name servers said SERVFAIL", 0)
        if values is None:
            raise NoSuchNameError("the name does not exist", 0)
        if not values:
            raise NoRecordError("no such record", 0)
        return tuple(values)


@pytest.fixture(autouse=True)
def _one_rsa_key(monkeypatch):
    """Making an RSA key takes up to half a second; these tests are not about that."""
    monkeypatch.setattr(service_module.signing_keys, "make_rsa", lambda: RSA)


@pytest.fixture
async def acme(engine):
    return (await Tenants(engine).create(ADMIN, name="acme")).id


@pytest.fixture
async def other(engine):
    return (await Tenants(engine).create(ADMIN, name="other")).id


@pytest.fixture
def vault():
    return MasterKeys({1: b"k" * 32})


@pytest.fixture
def domains(engine, vault, now):
    return Domains(engine, vault, NAMES, queue_life=QUEUE_LIFE, now=now)


@pytest.fixture
def zone():
    return Zone()


async def test_a_domain_is_claimed_with_two_keys_and_is_not_verified(domains, acme, vault):
    made = await domains.create(ADMIN, tenant_id=acme, name="Example.com")
    assert (made.name, made.verified, made.is_default) == ("example.com", False, True)
    assert [(key.selector, key.algorithm, key.state) for key in made.keys] == [
        ("pb1e", keys.ED25519, KeyState.ACTIVE),
        ("pb1r", keys.RSA, KeyState.ACTIVE),
    ]
    loaded = await domains.private_keys(key.id for key in made.keys)
    assert {type(key).__name__ for key in loaded.values()} == {"RSAPrivateKey", "Ed25519PrivateKey"}
    for key in made.keys:
        assert keys.public_key_text(loaded[key.id]) == key.public_key


async def test_a_private_key_is_encrypted_for_its_own_row(domains, engine, acme):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    async with transaction(engine) as connection:
        rows = (
            await connection.exec_driver_sql("SELECT private_key FROM domain_key ORDER BY id")
        ).all()
        assert all(row[0].startswith("v1:") for row in rows)
        await connection.exec_driver_sql(
            "UPDATE domain_key SET private_key = (SELECT private_key FROM domain_key WHERE selector = 'pb1e')"
        )
    rsa_id = next(key.id for key in made.keys if key.algorithm == keys.RSA)
    with pytest.raises(SecretError):
        await domains.private_keys([rsa_id])


async def test_published_records_verify_the_domain(domains, acme, zone, now):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.publish(domains.records(made))
    now.move(7)
    checked = await domains.check(Scope.tenant(acme), "example.com", zone)
    assert {check.state for check in checked.report.checks} == {CheckState.OK}
    assert (checked.verified_at, checked.checked_at) == (now.at, now.at)
    assert checked.return_path_verified
    assert checked.has_dmarc
    assert checked.return_path == "bounces.example.com"


async def test_an_empty_zone_is_told_record_by_record(domains, acme, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert {check.state for check in checked.report.checks} == {CheckState.MISSING}
    assert all(check.problem for check in checked.report.checks)
    assert len(checked.report.checks) == 6
    assert not checked.verified


async def test_what_dns_could_not_say_changes_nothing(domains, acme, zone):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.publish(domains.records(made))
    await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    zone.broken = True
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert {check.state for check in checked.report.checks} == {CheckState.UNKNOWN}
    assert (checked.verified, checked.return_path_verified, checked.has_dmarc) == (True, True, True)


async def test_a_return_path_that_broke_is_not_used_and_ownership_stays(domains, acme, zone):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.publish(domains.records(made))
    await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    zone.aliases.clear()
    zone.texts.clear()
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert (checked.verified, checked.return_path_verified, checked.has_dmarc) == (
        True,
        False,
        False,
    )


async def test_spf_is_followed_through_includes_and_counted(domains, acme, zone):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.publish(domains.records(made))
    zone.texts["example.com"] = [f"v=spf1 include:a.example include:{NAMES.bounce_domain} -all"]
    zone.texts["a.example"] = ["v=spf1 a mx ptr include:b.example -all"]
    zone.texts["b.example"] = ["v=spf1 a mx a:1.example a:2.example -all"]
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    (check,) = [one for one in checked.report.checks if one.kind is RecordKind.SPF]
    assert check.state is CheckState.DIFFERENT
    assert "11 DNS look-ups" in check.problem


async def test_an_include_of_nothing_is_an_error(domains, acme, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.texts["example.com"] = ["v=spf1 include:gone.example -all"]
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    (check,) = [one for one in checked.report.checks if one.kind is RecordKind.SPF]
    assert "gone.example" in check.problem


async def test_an_endless_tree_of_includes_is_bounded(domains, acme, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")

    class Endless(Zone):
        async def txt(self, name: str) -> Answer:
            self.asked.append(name)
            return Answer((f"v=spf1 include:a.{name} include:b.{name} -all",), 0)

    endless = Endless()
    checked = await domains.check(ADMIN, "example.com", endless, tenant_id=acme)
    (check,) = [one for one in checked.report.checks if one.kind is RecordKind.SPF]
    assert "look-ups" in check.problem
    assert len(endless.asked) < 60


async def test_two_tenants_may_claim_a_name_and_one_proves_it(domains, acme, other, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    theirs = await domains.create(ADMIN, tenant_id=other, name="example.com")
    zone.publish(domains.records(theirs))
    assert (await domains.check(ADMIN, "example.com", zone, tenant_id=other)).verified
    mine = await domains.get(Scope.tenant(acme), "example.com")
    zone.publish(domains.records(mine))
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert not checked.verified
    assert checked.report.state(RecordKind.OWNERSHIP) is CheckState.DIFFERENT
    assert "another tenant" in checked.report.checks[0].problem
    with pytest.raises(ConflictError, match="another tenant"):
        await domains.create(ADMIN, tenant_id=BOX, name="example.com", assume_verified=True)


async def test_a_subdomain_of_another_tenant_can_be_proved(domains, acme, other):
    await domains.create(ADMIN, tenant_id=acme, name="example.com", assume_verified=True)
    made = await domains.create(
        ADMIN, tenant_id=other, name="shop.example.com", assume_verified=True
    )
    assert made.verified


async def test_a_name_is_claimed_once_by_a_tenant(domains, acme):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    with pytest.raises(ConflictError, match=r"example\.com"):
        await domains.create(ADMIN, tenant_id=acme, name="EXAMPLE.com")


async def test_only_the_admin_skips_the_proof(domains, acme):
    with pytest.raises(UsageError):
        await domains.create(
            Scope.tenant(acme), tenant_id=acme, name="e.example", assume_verified=True
        )
    assert (
        await domains.create(ADMIN, tenant_id=acme, name="e.example", assume_verified=True)
    ).verified


async def test_another_tenants_domain_is_not_found(domains, acme, other, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    stranger = Scope.tenant(other)
    for attempt in (
        domains.get(stranger, "example.com"),
        domains.check(stranger, "example.com", zone),
        domains.rotate(stranger, "example.com"),
        domains.activate(stranger, "example.com"),
        domains.set_default(stranger, "example.com"),
        domains.remove(stranger, "example.com"),
        domains.import_key(stranger, "example.com", selector="s", pem=keys.to_pem(RSA)),
    ):
        with pytest.raises(NotFoundError):
            await attempt
    assert await domains.list(stranger) == ()


async def test_a_rotated_key_signs_after_its_record_was_seen(domains, acme, zone, now):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com", assume_verified=True)
    zone.publish(domains.records(made))
    rotated = await domains.rotate(ADMIN, "example.com", tenant_id=acme)
    assert states(rotated) == {
        "pb2e": "pending",
        "pb2r": "pending",
        "pb1e": "active",
        "pb1r": "active",
    }
    with pytest.raises(ConflictError, match="wait for their records"):
        await domains.rotate(ADMIN, "example.com", tenant_id=acme)
    unchanged = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert states(unchanged) == states(rotated)
    zone.publish(domains.records(rotated))
    seen = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert states(seen) == {
        "pb2e": "active",
        "pb2r": "active",
        "pb1e": "retiring",
        "pb1r": "retiring",
    }
    assert {key.withdraw_at for key in seen.keys} == {0, now.at + QUEUE_LIFE + 7 * clock.DAY}
    now.move(QUEUE_LIFE + 7 * clock.DAY)
    later = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert states(later)["pb1r"] == "withdrawn"
    names = [record.name for record in domains.records(later)]
    assert "pb2r._domainkey.example.com" in names
    assert "pb1r._domainkey.example.com" not in names


def states(domain) -> dict[str, str]:
    return {key.selector: str(key.state) for key in domain.keys}


async def test_pending_keys_can_be_activated_without_dns(domains, acme):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    await domains.rotate(ADMIN, "example.com", tenant_id=acme)
    active = await domains.activate(ADMIN, "example.com", tenant_id=acme)
    assert states(active)["pb2r"] == "active"
    assert states(active)["pb1r"] == "retiring"


async def test_an_imported_key_takes_over_when_its_record_is_seen(domains, acme, zone):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    mine = keys.make_ed25519()
    imported = await domains.import_key(
        ADMIN, "example.com", selector="Brisbane", pem=keys.to_pem(mine), tenant_id=acme
    )
    zone.publish(domains.records(imported))
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert states(checked) == {"brisbane": "active", "pb1e": "retiring", "pb1r": "active"}
    with pytest.raises(ConflictError, match="brisbane"):
        await domains.import_key(
            ADMIN, "example.com", selector="brisbane", pem=keys.to_pem(mine), tenant_id=acme
        )


async def test_a_key_that_is_none_is_refused(domains, acme):
    await domains.create(ADMIN, tenant_id=acme, name="example.com")
    with pytest.raises(UsageError):
        await domains.import_key(ADMIN, "example.com", selector="s", pem=b"no key", tenant_id=acme)


async def test_one_domain_is_the_default(domains, acme):
    await domains.create(ADMIN, tenant_id=acme, name="one.example")
    await domains.create(ADMIN, tenant_id=acme, name="two.example")
    await domains.set_default(ADMIN, "two.example", tenant_id=acme)
    found = {domain.name: domain.is_default for domain in await domains.list(Scope.tenant(acme))}
    assert found == {"one.example": False, "two.example": True}


async def test_a_removed_domain_is_gone_with_its_keys(domains, acme, engine):
    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    await domains.remove(ADMIN, "example.com", tenant_id=acme)
    assert await domains.list(ADMIN) == ()
    assert await domains.private_keys(key.id for key in made.keys) == {}
    (entry, *_) = await AuditLog(engine).list(ADMIN)
    assert (entry.action, entry.record, entry.by) == ("domain.remove", "domain example.com", "ann")


async def test_the_box_has_a_domain_of_its_own(domains, acme):
    made = await domains.ensure_box(ADMIN)
    assert await domains.ensure_box(ADMIN) == made
    assert (made.name, made.tenant_id, made.verified) == (NAMES.hostname, BOX, True)
    assert await domains.list(Scope.tenant(acme)) == ()
    published = {(record.name, record.type): record.value for record in domains.records(made)}
    assert published[NAMES.bounce_domain, "MX"] == f"10 {NAMES.hostname}."
    assert published[NAMES.bounce_domain, "TXT"] == f"v=spf1 a:{NAMES.hostname} -all"
    assert (f"pb1r._domainkey.{NAMES.hostname}", "TXT") in published
    (rsa,) = [key for key in made.keys if key.algorithm == keys.RSA]
    assert isinstance((await domains.private_keys([rsa.id]))[rsa.id], RSAPrivateKey)


async def test_a_check_that_finds_all_as_it_was_makes_nobody_read_the_domains_again(
    domains, engine, acme, zone, now
):
    async def generation() -> int:
        async with reading(engine) as connection:
            return (await generations(connection))[Part.DOMAINS]

    made = await domains.create(ADMIN, tenant_id=acme, name="example.com")
    zone.publish(domains.records(made))
    before = await generation()
    await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    verified = await generation()
    now.move(clock.DAY)
    checked = await domains.check(ADMIN, "example.com", zone, tenant_id=acme)
    assert checked.checked_at == now.at
    assert before < verified == await generation()
