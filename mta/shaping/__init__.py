"""Shaping: how fast each receiver is written to, and what its answers change; pure.

model.py      the values: provider, limits, rule, action, zone
book.py       config/shaping.toml read and compiled, or every fault of it with its line
written.py    its tables as they are written      compiled.py   and as values
quantity.py   "90 min", "10/min"
matching.py   which provider a site belongs to, which rules hear an answer
blame.py      who is slowed for an answer
throttle.py   what answers have changed for one subject, as a value
moves.py      how a throttle goes down and comes back
throttles.py  all throttles of a process; behind it standing.py (in force or over),
              hits.py (how often a rule heard its answer), agenda.py (whom to look at next)
pace.py       when the next message or connection may go at a rate
"""

from __future__ import annotations
