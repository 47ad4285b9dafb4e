"""Shipped: where the files lie that come with the box, such as config/bounces.toml.

In a checkout that is config/, in an installed box share/pillarbox/ beside its Python.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

_PLACES: Final = (
    Path(__file__).parents[2] / "config",  # a checkout
    Path(sys.prefix) / "share" / "pillarbox",  # where a wheel puts it
)
FOLDER: Final = next((place for place in _PLACES if place.is_dir()), _PLACES[0])
