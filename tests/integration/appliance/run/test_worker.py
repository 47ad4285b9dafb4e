"""The worker as it runs: events into the log and the suppression list, and the daily look at DNS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.core import clock
from appliance.core.database import open_engine
from appliance.core.scope import Scope
from appliance.core.secrets import MasterKeys
from appliance.credentials import Credentials, hour_of
from appliance.credentials.rates import FLOOR
from appliance.history import EventFilters, LogReader
from appliance.run import worker
from appliance.suppressions import SuppressionList
from appliance.tenancy import Tenants
from tests.support.process import FakeMta, context_of, new_home, running, settings_of
from tests.support.smtp_box import until
from tests.support.way import until as until_answered

if TYPE_CHECKING:
    from pathlib import Path


SYSTEM = Scope.system(by="test")
LATE = {
    "tenant": 1,
    "to": "ann@example.net",
    "reply": "550 5.1.1 no such user",
    "category": "user_unknown",
    "hard": True,
    "notice": "1800000000000-aa",
}
ACCEPTED = {"tenant": 1, "recipients": [[0, "ann@example.net", "example.net", "queued"]]}


async def test_events_go_from_the_shard_to_the_log_and_to_the_suppression_list(
    tmp_path: Path,
) -> None:
    settings = settings_of(dns={"nameservers": ["127.0.0.1:9"], "timeout": 0.1})
    home = await new_home(tmp_path, settings)
    engine = open_engine(home.control_db)
    tenant = await Tenants(engine).create(SYSTEM, name="acme")
    await engine.dispose()
    context = context_of("worker", home, settings, {})
    mta = FakeMta()
    message_id = mta.message("ann@example.net")
    mta.event(message_id, -1, "accepted", ACCEPTED)
    mta.event(message_id, 0, "bounced_late", LATE)
    mta.event(message_id, 0, "bounced_late", LATE)  # a notice that was read twice
    async with mta.serving(home), running(worker.main, context):
        await until(lambda: not mta.outbox)
        reader = LogReader(home.log_dir)
        page = reader.events(SYSTEM, EventFilters())
        reader.close()
        assert [event.kind for event in page.events] == ["accepted", "bounced_late", "bounced_late"]
        engine = open_engine(home.control_db)
        (entry,) = await SuppressionList(engine).list(SYSTEM)
        await engine.dispose()
        assert (entry.tenant_id, entry.target) == (tenant.id, "ann@example.net")


async def test_the_usual_rate_of_a_credential_is_learned_from_its_events(tmp_path: Path) -> None:
    settings = settings_of(dns={"nameservers": ["127.0.0.1:9"], "timeout": 0.1})
    home = await new_home(tmp_path, settings)
    engine = open_engine(home.control_db)
    credentials = Credentials(engine, MasterKeys.load(home.keys_file))
    acme = await Tenants(engine).create(SYSTEM, name="acme")
    app = (await credentials.create(SYSTEM, acme, name="app")).credential
    mta = FakeMta()
    at = hour_of(clock.now_ms())
    for n in range(1, 25):
        accepted = ACCEPTED | {"tenant": acme.id, "credential": app.id}
        mta.event(mta.message("ann@example.net"), -1, "accepted", accepted, at=at - n * clock.HOUR)

    async def learned() -> bool:
        return (await credentials.get(SYSTEM, app.id)).usual_per_hour > 0

    async with mta.serving(home), running(worker.main, context_of("worker", home, settings, {})):
        await until(lambda: not mta.outbox)
    async with running(
        worker.main, context_of("worker", home, settings, {})
    ):  # learns at its start
        await until_answered(learned)
    assert (await credentials.get(SYSTEM, app.id)).usual_per_hour == FLOOR
    await engine.dispose()


async def test_a_shard_whose_owner_comes_late_is_shipped_then(tmp_path: Path) -> None:
    settings = settings_of(dns={"nameservers": ["127.0.0.1:9"], "timeout": 0.1})
    home = await new_home(tmp_path, settings)
    context = context_of("worker", home, settings, {})
    mta = FakeMta()
    mta.event(mta.message("ann@example.net"), -1, "accepted", ACCEPTED)
    async with running(worker.main, context), mta.serving(home):
        await until(lambda: not mta.outbox)
