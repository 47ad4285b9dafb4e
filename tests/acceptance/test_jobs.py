"""An import of suppressions as a job, whose worker is killed in the middle: every row is there, once."""

from __future__ import annotations

import os
import signal

from appliance.lab.dns_server import LabDns
from tests.support.box import running_box
from tests.support.way import until

LINES = 40_000
KILLS = 3


async def test_a_worker_that_is_killed_in_the_middle_goes_on_where_it_was(tmp_path):
    listed = tmp_path / "list.txt"
    listed.write_text("".join(f"u{n}@example.org\n" for n in range(LINES)) + "nobody\n\n")
    async with LabDns({}) as dns, running_box(tmp_path / "box", dns, 1) as box:
        made = await box.cli("suppression", "import", str(listed), "--tenant", "acme", "--job")
        for kill in range(KILLS):
            steps = 1 + 8 * kill

            async def is_under_way(steps=steps):
                job = await box.cli("job", "show", str(made["id"]))
                return job["done"] >= steps and "worker" in box.pids()

            await until(is_under_way, seconds=60)
            os.kill(box.pids()["worker"], signal.SIGKILL)
        ended = await box.cli("job", "show", str(made["id"]), "--wait")
        assert (ended["state"], ended["error"]) == ("done", "")
        assert (ended["result"]["imported"], ended["result"]["failed"]) == (LINES, 1)
        assert ended["result"]["errors"][0]["line"] == LINES + 1
        there = tmp_path / "there.csv"
        await box.cli("suppression", "export", str(there), "--tenant", "acme")
        rows = there.read_text().splitlines()[1:]
        assert len(rows) == len({row.partition(",")[0] for row in rows}) == LINES
        (shown,) = await box.cli("job", "list")
        assert (shown["id"], shown["by"]) == (made["id"], ended["by"])
