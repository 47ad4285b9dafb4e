"""The first message of the laboratory is followed while some of the box still starts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from appliance.core.errors import NotRunningError
from appliance.core.home import Home
from appliance.core.settings import Settings
from appliance.run import demo as lab
from mta.status import EventKind


async def test_a_process_that_still_starts_does_not_end_the_story(tmp_path, monkeypatch):
    delivered = SimpleNamespace(kind=EventKind.DELIVERED, n=0, at=1, data={})
    answers = [NotRunningError("mta-1 does not answer"), SimpleNamespace(events=[delivered])]

    def anywhere(_box, _message_id):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(lab, "anywhere", anywhere)
    monkeypatch.setattr(lab, "tell", lambda *_: [])
    login = SimpleNamespace(username="app", password="secret")
    demo = lab.Demo(Home(tmp_path), Settings(), login, 0.0, welcome="", quiet=True)
    async with asyncio.timeout(60):
        await demo._follow(1)
    assert answers == []
