"""Everything goes wrong while mail comes and goes: nothing acknowledged is lost, doubles are explained.

    pytest tests/acceptance/torture --torture-seconds 1800 --torture-seed 7 --torture-report ledger.json

Without options every fault comes once, shortened, in an order of the seed.
"""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.torture.report import table, write
from tests.acceptance.torture.run import Run


async def test_nothing_is_lost_whatever_goes_wrong(tmp_path, request, capsys):
    option = request.config.getoption
    chosen = (option("torture_seed"), option("torture_seconds"), option("torture_only"))
    run = Run(tmp_path, *chosen)
    with capsys.disabled():
        print()
        outcome = await run.go()
        print(f"\n{table(outcome)}")
    if option("torture_report"):
        write(outcome, Path(option("torture_report")))
    assert not outcome.verdict.faults, outcome.verdict.words()
