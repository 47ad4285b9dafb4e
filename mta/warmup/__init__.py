"""Warmup: how much an egress may send to a provider today, and when it may send more; pure but for ledger.py.

schedule.py   config/warmup/*.toml as compiled values
day.py        days of the configured zone, and how much of a day's budget is open by now
decide.py     at the end of a day: advance, hold, step back, pause, start over, finish; and why
eta.py        how long a backlog takes by the plan
wait.py       until when mail waits, and the words for it
ledger.py     reservations from portions (portion.py) that all processes lease from one record
"""

from __future__ import annotations
