"""Blocklists: whether DNS blocklists (DNSBLs) list the addresses that mail leaves from (MTA-17).

Which lists, what their codes mean and what to do is data (config/blocklists.toml). A list is believed
only after it has shown that it answers us and does not list everything; what DNS cannot say, or a
list refuses to say, is neither listed nor delisted. Rows of control.db hold who is listed where.
"""

from __future__ import annotations

from appliance.blocklists.catalogue import Blocklist, file_of, load_lists, shipped_lists
from appliance.blocklists.look import Lookup, look_up
from appliance.blocklists.marks import MARKS
from appliance.blocklists.model import (
    Answer,
    Family,
    ListCheck,
    Listing,
    ListState,
    Probe,
    Sighting,
    Survey,
    Target,
    Verdict,
)
from appliance.blocklists.service import Blocklists

__all__ = [
    "MARKS",
    "Answer",
    "Blocklist",
    "Blocklists",
    "Family",
    "ListCheck",
    "ListState",
    "Listing",
    "Lookup",
    "Probe",
    "Sighting",
    "Survey",
    "Target",
    "Verdict",
    "file_of",
    "load_lists",
    "look_up",
    "shipped_lists",
]
