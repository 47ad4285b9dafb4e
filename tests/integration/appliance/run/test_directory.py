"""The directory follows control.db: what changed is seen, what did not is not read again."""

from __future__ import annotations

import ipaddress

import pytest

from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.core.settings import Box, Delivery, Settings, Submission, TrustedNetwork
from appliance.credentials import Credentials, Policy
from appliance.domains import Domains, KeyState
from appliance.domains import service as domains_service
from appliance.egress import Egresses, EgressRequest, PoolChange, Pools
from appliance.operations import Operations, Target
from appliance.run.directory import POLL_SECONDS, DirectoryReader, box_names, queue_life_ms
from appliance.suppressions import SuppressionList
from appliance.tenancy import Tenants
from appliance.warmup import Warmups
from mta.directory import FromPolicy
from mta.egress import EgressState, Member, TenantPools
from mta.signing import keys as signing_keys
from mta.warmup.model import WarmupState
from mta.warmup.schedule import SHIPPED, load_schedule

ADMIN = Scope.system(by="ann")
KEYS = MasterKeys({1: b"k" * 32})
RSA = signing_keys.make_rsa()
SETTINGS = Settings(
    box=Box(hostname="Mail.Box.example"),
    delivery=Delivery(helo="out.box.example"),
    submission=Submission(
        trusted_networks=(
            TrustedNetwork(network="10.1.0.0/16", tenant="acme"),
            TrustedNetwork(network="10.2.0.0/16", tenant="nobody"),
        )
    ),
)


@pytest.fixture(autouse=True)
def _one_rsa_key(monkeypatch):
    monkeypatch.setattr(domains_service.signing_keys, "make_rsa", lambda: RSA)


@pytest.fixture
async def acme(engine):
    return await Tenants(engine).create(ADMIN, name="acme", weight=4, recipients_per_day=9)


@pytest.fixture
def reader(engine):
    return DirectoryReader(engine, KEYS, SETTINGS)


@pytest.fixture
def domains(engine):
    return Domains(engine, KEYS, box_names(SETTINGS), queue_life=queue_life_ms(SETTINGS))


async def test_a_fresh_box_knows_its_own_names(reader):
    directory = await reader.load()
    assert directory.own_names == {"mail.box.example", "out.box.example"}
    assert directory.bounce_domains == {"bounces.mail.box.example"}
    assert directory.kill_switch is None
    assert directory.pauses == ()
    assert directory.box_keys is None
    assert not directory.suppressions.match(1, "anybody@example.com")
    assert set(directory.tenants) == {0}


async def test_everything_of_a_tenant_is_there(engine, reader, domains, acme):
    policy = Policy(from_policy=FromPolicy.ANY, tags=("shop",))
    issued = await Credentials(engine, KEYS).create(ADMIN, acme, name="app", policy=policy)
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com", assume_verified=True)
    await domains.ensure_box(ADMIN)
    directory = await reader.load()
    tenant = directory.tenants[acme.id]
    assert (tenant.name, tenant.weight, tenant.recipients_per_day) == ("acme", 4, 9)
    credential = directory.credentials[issued.username]
    assert KEYS.credential_matches(issued.password, credential.secret_hash)
    assert (credential.from_policy, credential.tags) == (FromPolicy.ANY, ("shop",))
    domain = directory.owner_of("sub.example.com")
    assert domain is not None
    assert domain == directory.default_domains[acme.id]
    assert [key.selector for key in domain.keys] == ["pb1r", "pb1e"]
    assert domain.bounce_domain == ""
    assert directory.box_keys is not None
    assert directory.box_keys.name == "mail.box.example"
    assert len(directory.box_keys.keys) == 2
    assert "mail.box.example" not in directory.domains


async def test_nothing_new_is_no_new_directory(reader, acme):
    await reader.load()
    assert await reader.poll() is None


async def test_each_change_makes_a_newer_directory(engine, reader, acme):
    first = await reader.load()
    await Tenants(engine).suspend(ADMIN, "acme", reason="unpaid")
    second = await reader.poll()
    assert second is not None
    assert second.generation > first.generation
    assert (second.tenants[acme.id].suspended, second.tenants[acme.id].suspended_reason) == (
        True,
        "unpaid",
    )
    assert not first.tenants[acme.id].suspended


async def test_only_what_moved_is_read_again(engine, reader, domains, acme, monkeypatch):
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com")
    first = await reader.load()

    async def forbidden(*_):
        raise AssertionError("a key was decrypted again")

    monkeypatch.setattr(Domains, "private_keys", forbidden)
    await Operations(engine).pause(ADMIN, Target(domain="slow.example"), reason="x")
    second = await reader.poll()
    assert second is not None
    assert second.domains is first.domains
    assert second.suppressions is first.suppressions
    assert [pause.domain for pause in second.pauses] == ["slow.example"]
    await domains.set_default(ADMIN, "example.com", tenant_id=acme.id)
    third = await reader.poll()
    assert third is not None
    assert third.domains["example.com"].keys == first.domains["example.com"].keys


async def test_a_rotated_key_signs_once_it_is_active(reader, domains, acme):
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com")
    rotated = await domains.rotate(ADMIN, "example.com", tenant_id=acme.id)
    directory = await reader.load()
    assert [key.selector for key in directory.domains["example.com"].keys] == ["pb1r", "pb1e"]
    await domains.activate(ADMIN, "example.com", tenant_id=acme.id)
    changed = await reader.poll()
    assert changed is not None
    assert [key.selector for key in changed.domains["example.com"].keys] == ["pb2r", "pb2e"]
    assert {key.state for key in rotated.keys} == {KeyState.ACTIVE, KeyState.PENDING}


async def test_a_key_that_does_not_decrypt_is_left_out_and_told(engine, domains, acme, caplog):
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com")
    stranger = DirectoryReader(engine, MasterKeys({1: b"x" * 32}), SETTINGS)
    directory = await stranger.load()
    assert directory.domains["example.com"].keys == ()
    assert "pb1r signs nothing" in caplog.text


async def test_a_key_that_does_not_decrypt_keeps_no_other_from_signing(
    engine, reader, domains, acme, monkeypatch, caplog
):
    for name in ("one.example", "two.example"):
        await domains.create(ADMIN, tenant_id=acme.id, name=name)
    lost = (await domains.get(ADMIN, "one.example", tenant_id=acme.id)).keys[0]
    sealed_keys = domains_service.store.sealed_keys

    async def damaged(connection, ids):
        rows = await sealed_keys(connection, ids)
        return [(n, place, "?" if n == lost.id else text) for n, place, text in rows]

    monkeypatch.setattr(domains_service.store, "sealed_keys", damaged)
    directory = await reader.load()
    found = [
        key.selector
        for name in ("one.example", "two.example")
        for key in directory.domains[name].keys
    ]
    assert len(found) == 3
    assert caplog.text.count("signs nothing") == 1


async def test_a_domain_that_has_not_changed_stays_the_same_object(reader, domains, acme):
    for name in ("one.example", "two.example"):
        await domains.create(ADMIN, tenant_id=acme.id, name=name)
    first = await reader.load()
    await domains.set_default(ADMIN, "two.example", tenant_id=acme.id)
    await domains.create(ADMIN, tenant_id=acme.id, name="three.example")
    second = await reader.poll()
    assert second is not None
    assert second.default_domains[acme.id].name == "two.example"
    assert not second.domains["one.example"].is_default
    await domains.remove(ADMIN, "three.example", tenant_id=acme.id)
    third = await reader.poll()
    assert third is not None
    assert set(third.domains) == {"one.example", "two.example"}
    assert third.domains["one.example"] is second.domains["one.example"]
    assert first.domains["one.example"].is_default


async def test_a_trusted_network_sends_for_its_tenant(engine, reader, acme, caplog):
    directory = await reader.load()
    ((network, credential),) = directory.trusted
    assert network == ipaddress.ip_network("10.1.0.0/16")
    assert (credential.tenant_id, credential.from_policy) == (acme.id, FromPolicy.VERIFIED)
    assert credential.id < 0
    assert credential.username not in directory.credentials
    assert "'nobody'" in caplog.text
    ((_, again),) = (await DirectoryReader(engine, KEYS, SETTINGS).load()).trusted
    assert again == credential


async def test_a_trusted_network_may_be_named_before_its_tenant_exists(engine, reader):
    assert (await reader.load()).trusted == ()
    await Tenants(engine).create(ADMIN, name="acme")
    changed = await reader.poll()
    assert changed is not None
    assert len(changed.trusted) == 1


async def test_suppressions_come_as_what_changed(engine, reader, acme):
    suppressions = SuppressionList(engine)
    await suppressions.add(ADMIN, "a@example.com", tenant_id=acme.id)
    directory = await reader.load()
    assert directory.suppressions.match(acme.id, "A@example.com")
    await suppressions.remove(ADMIN, "a@example.com", tenant_id=acme.id)
    await suppressions.add(ADMIN, "b@example.com", tenant_id=acme.id)
    changed = await reader.poll()
    assert changed is not None
    assert not changed.suppressions.match(acme.id, "a@example.com")
    assert changed.suppressions.match(acme.id, "b@example.com")


async def test_a_box_without_addresses_has_the_default_egress(reader):
    directory = await reader.load()
    (entry,) = directory.egress.entries.values()
    assert (entry.egress.name, entry.egress.address) == ("default", "")
    assert (entry.egress.helo, entry.egress.ipv6) == ("out.box.example", False)


async def test_addresses_pools_and_choices_are_seen_at_the_next_poll(engine, reader, acme):
    await reader.load()
    egresses = Egresses(engine, hostname="mail.box.example")
    request = EgressRequest(name="out1", address="127.0.0.11", helo="out1.example.com")
    await egresses.create(ADMIN, request)
    pools = Pools(engine, Tenants(engine), Credentials(engine, KEYS))
    change = PoolChange(members=(Member(egress="out1"),), is_default=True)
    await pools.set(ADMIN, "main", change)
    await Tenants(engine).set_pools(ADMIN, "acme", bulk_pool="main")
    directory = await reader.poll()
    assert directory is not None
    assert set(directory.egress.entries) == {"out1"}  # the default is not there any more
    assert directory.egress.default_pool == "main"
    assert directory.egress.tenants == {acme.id: TenantPools(bulk="main")}
    assert "out1.example.com" in directory.own_names
    await egresses.drain(ADMIN, "out1", why="listed")
    changed = await reader.poll()
    assert changed is not None
    entry = changed.egress.entries["out1"]
    assert (entry.state, entry.why) == (EgressState.DRAINING, "listed")


async def test_the_helo_names_stay_own_names_when_only_domains_change(
    engine, reader, domains, acme
):
    request = EgressRequest(name="out1", address="127.0.0.11", helo="out1.example.com")
    await Egresses(engine, hostname="mail.box.example").create(ADMIN, request)
    await reader.load()
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com")
    changed = await reader.poll()
    assert changed is not None
    assert "out1.example.com" in changed.own_names


async def test_a_verified_claim_hides_another_tenants_unverified_one(engine, reader, domains, acme):
    other = await Tenants(engine).create(ADMIN, name="other")
    await domains.create(ADMIN, tenant_id=acme.id, name="example.com")
    await domains.create(ADMIN, tenant_id=other.id, name="example.com", assume_verified=True)
    directory = await reader.load()
    assert directory.domains["example.com"].tenant_id == other.id


async def test_a_kill_in_one_process_is_seen_by_anothers_next_poll(
    engine, reader, control_location
):
    assert POLL_SECONDS <= 0.2  # and 50 ms are left for the poll itself
    await reader.load()
    elsewhere = open_engine(control_location)
    await Operations(elsewhere).kill(ADMIN, reason="leaked")
    await elsewhere.dispose()
    directory = await reader.poll()
    assert directory is not None
    assert directory.kill_switch is not None
    assert (directory.kill_switch.by, directory.kill_switch.reason) == ("ann", "leaked")
    await Operations(engine).revive(ADMIN)
    calm = await reader.poll()
    assert calm is not None
    assert calm.kill_switch is None


async def test_warmups_reach_the_mta_with_their_limits_and_pauses(engine, reader):
    assert (await reader.load()).warmup == {}
    warmups = Warmups(engine)
    await warmups.start(ADMIN, "mx1", load_schedule(SHIPPED / "standard.toml"))
    found = (await reader.poll()).warmup
    assert {(egress, plan.limit) for (egress, _), plan in found.items()} == {("mx1", 200)}
    await warmups.pause(ADMIN, "mx1", ["google"], reason="listed")
    await warmups.finish(ADMIN, "mx1", ["apple"])
    found = (await reader.poll()).warmup
    assert found["mx1", "google"].why == "listed (ann)"
    assert found["mx1", "apple"].state is WarmupState.WARM
