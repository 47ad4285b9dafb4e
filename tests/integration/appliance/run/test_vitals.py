"""What Prometheus is told of the machine and the records is what is there."""

from __future__ import annotations

import shutil

import pytest

from appliance.core.database import open_engine
from appliance.core.metrics import Metrics
from appliance.core.scope import Scope
from appliance.notices import Finding, Notices, Severity
from appliance.run.backup import archive
from appliance.run.certificates import ensure, tls_files
from appliance.run.vitals import Vitals, certificate_end, newest_backup
from tests.support.process import new_home, settings_of

SYSTEM = Scope.system(by="test")


@pytest.fixture
async def box(tmp_path):
    settings = settings_of(backup={"directory": str(tmp_path / "backups"), "key_file": "k"})
    home = await new_home(tmp_path / "home", settings)
    engine = open_engine(home.control_db)
    yield home, settings, Notices(engine)
    await engine.dispose()


async def test_notices_that_stand_are_counted_and_gone_when_they_are_over(box):
    home, settings, notices = box
    metrics = Metrics()
    vitals = Vitals(home, settings, notices, metrics)
    finding = Finding(
        kind="blocklist", subject="a", text="listed", next_step="ask", severity=Severity.CRITICAL
    )
    await notices.raise_(SYSTEM, finding)
    await vitals.step()
    labels = {"kind": "blocklist", "severity": "critical"}
    assert metrics.registry.get_sample_value("pillarbox_notices", labels) == 1
    await notices.resolve(SYSTEM, "blocklist", "a")
    await vitals.step()
    assert metrics.registry.get_sample_value("pillarbox_notices", labels) is None


async def test_disk_and_certificate_are_those_of_the_box(box):
    home, settings, notices = box
    ensure(home, settings)
    metrics = Metrics()
    await Vitals(home, settings, notices, metrics).step()
    value = metrics.registry.get_sample_value
    assert value("pillarbox_disk_size_bytes") == shutil.disk_usage(home.spool_dir).total
    assert value("pillarbox_certificate_ends_timestamp_seconds") == certificate_end(
        tls_files(home, settings)[0]
    )
    folder = {"folder": settings.backup.directory}
    assert value("pillarbox_backup_made_timestamp_seconds", folder) == 0


def test_what_cannot_be_read_is_too_old_and_breaks_nothing(tmp_path):
    wrong = tmp_path / "certificate.pem"
    wrong.write_bytes(b"no certificate")
    (tmp_path / archive.name_at(0)).write_bytes(b"no backup")
    assert certificate_end(wrong) == certificate_end(tmp_path / "gone") == 0
    assert newest_backup(tmp_path) == newest_backup(tmp_path / "gone") == 0
