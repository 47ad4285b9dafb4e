from __future__ import annotations

import pytest

from appliance.core.errors import NotRunningError, StoreError
from mta.bounce.silence import Silence, StillSilent


def _ask(silence: Silence, question: str, shard: int, error: Exception | None = None) -> bool:
    """Whether the question was asked."""
    try:
        with silence.asking(question, shard):
            if error is not None:
                raise error
    except StillSilent:
        return False
    except type(error or OSError):
        return True
    return True


@pytest.mark.parametrize("error", [NotRunningError("no answer within 30 s"), StoreError("locked")])
def test_who_did_not_answer_is_not_asked_again_until_it_is_forgotten(error: Exception) -> None:
    silence = Silence()
    assert _ask(silence, "tell", 3, error)
    assert not _ask(silence, "tell", 3)
    assert _ask(silence, "tell", 4)
    assert _ask(silence, "look up", 3)  # the log may know it
    assert (silence.is_around(3), silence.is_around(4)) == (True, False)
    silence.forget()
    assert _ask(silence, "tell", 3)
    assert not silence.is_around(3)


def test_any_other_error_is_no_silence() -> None:
    silence = Silence()
    assert _ask(silence, "tell", 3, ValueError())
    assert _ask(silence, "tell", 3)
