"""Shaping: the shaping file in force, and the throttles that processes share and keep over restarts.

What the answers of receivers change is decided in `mta.shaping`; here it is stored, given to the other
processes, shown, and lifted by a person.
"""

from __future__ import annotations

from appliance.shaping.file import ShapingFile, places
from appliance.shaping.service import ThrottleStore

__all__ = ["ShapingFile", "ThrottleStore", "places"]
