"""Parts of bench/warmup_sim.py.

world.toml   what receivers tolerate and say        figures.py  it, as checked values
world.py     how they react; they count for themselves what reached them
queue.py     mail that waits, and what an answer leads to: the same for all senders
ours.py      the product's planner, flows, throttles, warmup and judge, driven through virtual time
records.py   what the product keeps in its database, in memory
naive.py     a table of volumes and nothing else
tally.py     what each day brought, and the audit of budgets
report.py    medians and worst, tables              plot.py     the picture
"""

from __future__ import annotations
