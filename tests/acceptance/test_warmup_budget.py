"""A day's budget of 200 that two mta processes share, counted by the receiver at RCPT, by source address.

Never more than 200: not under load, not over a restart, not with `kill -9` of the processes at random
moments. Exactly 200 without kills; with kills at most a portion of each killed process is lost.
KILLS and SEED run it longer.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
from datetime import UTC, datetime
from itertools import batched if False else chain

import pytest
