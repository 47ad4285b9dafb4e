"""Operations: the kill switch and the pauses, by which a person stops mail and lets it go again.

Both are rows of control.db, so they survive a restart; every process sees a change at its next poll.
"""

from __future__ import annotations

from appliance.operations.model import KillStatus, Target
from appliance.operations.service import Operations

__all__ = ["KillStatus", "Operations", "Target"]
