"""An old control.db is opened, upgraded and read by today's code.

control-0001.db was written by revision 0001 and is never made anew: when a revision is added, this
test shows whether what people have survives it. Its master key is 32 times the letter k.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.core import migrate
from appliance.core.clock import HOUR
from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials
from appliance.domains import BoxNames, Domains
from appliance.limits import Budgets
from appliance.operations import Operations
from appliance.suppressions import Matcher, SuppressionList
from appliance.tenancy import AuditLog, Tenants
from mta.directory import FromPolicy

OLD = Path(__file__).with_name("control-0001.db")
KEYS = MasterKeys({1: b"k" * 32})
ADMIN = Scope.system()


@pytest.fixture
async def upgraded(tmp_path):
    opened = open_engine(Path(shutil.copy(OLD, tmp_path / "control.db")))
    assert await migrate.upgrade_async("control", opened) == "0001"
    assert await migrate.upgrade_async("control", opened) == migrate.head("control")
    yield opened
    await opened.dispose()


async def test_tenants_and_their_credentials_are_kept(upgraded):
    acme, other = await Tenants(upgraded).list(ADMIN)
    assert (acme.name, acme.weight, acme.suspended) == ("acme", 3, False)
    assert (other.name, other.suspended_reason) == ("other", "unpaid")
    (app,) = await Credentials(upgraded, KEYS).list(Scope.tenant(acme.id))
    assert (app.name, app.policy.from_policy, app.policy.networks) == (
        "app",
        FromPolicy.ANY,
        ("10.0.0.0/8",),
    )
    assert len(app.logins) == 2
    assert (acme.pool, app.policy.pool) == ("", "")
    assert len(await AuditLog(upgraded).list(ADMIN)) == 10


async def test_domains_keep_keys_that_decrypt(upgraded):
    box = BoxNames(hostname="mail.box.example", bounce_domain="bounces.mail.box.example")
    domains = Domains(upgraded, KEYS, box, queue_life=1)
    found = {domain.name: domain for domain in await domains.list(ADMIN)}
    assert set(found) == {"example.com", "mail.box.example"}
    assert found["example.com"].verified
    ids = [key.id for domain in found.values() for key in domain.keys]
    assert len(await domains.private_keys(ids)) == 4


async def test_suppressions_and_stops_still_hold(upgraded):
    suppressions = SuppressionList(upgraded)
    matcher = Matcher(b"m" * 32)
    await suppressions.refresh(matcher)
    assert matcher.match(1, "anybody@example.net")
    assert matcher.match(1, "gone@example.org")
    operations = Operations(upgraded)
    assert (await operations.kill_status()).reason == "a test"
    assert [pause.domain for pause in await operations.pauses(ADMIN)] == ["slow.example"]
    assert await Budgets(upgraded).used("tenant:1:day", 0) == 5


async def test_what_a_credential_sends_is_counted_from_now_on(upgraded):
    credentials = Credentials(upgraded, KEYS)
    (app,) = await credentials.list(ADMIN)
    await credentials.count_hours({(app.id, n * HOUR): 300 for n in range(24)})
    await credentials.learn_usual_rates(24 * HOUR)
    assert (await credentials.get(ADMIN, app.id)).usual_per_hour == 300
