"""Shaping: how fast each receiver is written to, and what its answers change; pure.

model.py      the values: provider, limits, rule, action, zone
book.py       config/shaping.toml as compiled values; which provider a site belongs to, which rules match
throttle.py   what answers have changed: slower, suspended, and the way back
pace.py       when the next message or connection may go at a rate
"""

from __future__ import annotations
