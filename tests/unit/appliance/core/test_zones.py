"""Time zones by name, as the configuration names them."""

from __future__ import annotations

from datetime import UTC

import pytest

from appliance.core import clock
from appliance.core.settings import Settings, Warmup
from appliance.core.settings_rules import problems


def test_a_zone_is_found_by_its_name():
    assert clock.zone("UTC") is UTC
    assert str(clock.zone("Europe/Berlin")) == "Europe/Berlin"


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "europe", "\0"])
def test_a_zone_that_nobody_knows_is_refused(name):
    with pytest.raises(ValueError, match="no time zone is named"):
        clock.zone(name)
    ((path, words),) = problems(Settings(warmup=Warmup(timezone=name)))
    assert path == ("warmup", "timezone")
    assert "no time zone is named" in words
