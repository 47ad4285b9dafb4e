"""The page of a message, over a real log and a queue that a test stands for."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import ids
from appliance.core.errors import NotRunningError
from tests.support.api import open_api
from tests.support.console import visitor
from tests.support.mailroom import HOSTILE, Mailroom, in_queue, shop_day

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-message")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "globex") as opened:
        room = Mailroom(path)
        opened.ids = shop_day(room, opened.tenants["acme"])
        room.ship()
        in_queue(opened, opened.ids["three"], opened.tenants["acme"])
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def test_the_story_tells_what_happened_to_whom_with_the_remotes_words(ada, api):
    page = await ada.get(f"/messages/{api.ids['three']}")
    assert page.text("h1").startswith("Your order 10-48213 has shipped Waiting for 1 of 3")
    assert page.texts(".timeline b") == [
        "Accepted",
        "Signed when sent",
        "Delivered to dana@northwind.example",
        "Bounced: archive@northwind.example",
        "Deferred: billing@globex.example",
        "Next try for billing@globex.example",
    ]
    assert page.texts(".timeline .quote")[1].startswith("550 5.1.1 The email account")
    assert "Slowed by the remote" in page.texts(".timeline .future p")[0]
    assert page.texts(".people tbody td:nth-child(2)") == ["Delivered", "Bounced", "Waiting"]


async def test_the_steps_of_a_chosen_try_are_shown_with_how_long_each_took(ada, api):
    page = await ada.get(f"/messages/{api.ids['three']}")
    (first, *_, last) = page.all("#try option")
    assert last.get("selected") is not None
    assert page.texts("#steps td.title")[0] == "Connect, greeting"
    page = await ada.get(f"/messages/{api.ids['three']}?try={first.get('value')}")
    assert page.all("#try option[selected]")[0].text.startswith("dana@northwind.example")
    assert page.texts("#steps tbody tr:last-child td.right") == ["97 ms", "34 ms"]


async def test_the_story_stands_without_the_queue_and_says_what_is_missing(ada, api, monkeypatch):
    async def silent(*_):
        raise NotRunningError("mta-0 does not answer")

    monkeypatch.setattr(api.owners, "call", silent)
    page = await ada.get(f"/messages/{api.ids['three']}")
    assert "The queue does not answer" in page.text(".note")
    assert not page.all('form[action$="/act"] button.primary')
    assert (
        page.texts(".timeline b")[-1] == "Next try for billing@globex.example"
    )  # as it was planned
    page = await ada.get(f"/messages/{api.ids['three']}?tab=source")
    assert "The bytes are not there" not in page.html
    # It may wait, and the log not know it yet.
    page = await ada.get("/messages/0000000000000", expect=503)
    assert page.text("h1") == "A part of the box does not answer"
    assert "mta-0" not in page.html


async def test_it_is_retried_held_and_cancelled_where_it_waits(ada, api):
    here = f"/messages/{api.ids['three']}"
    for action, word in (
        ("retry", "Tried again at once"),
        ("hold", "Held"),
        ("cancel", "Cancelled"),
    ):
        page = await ada.follow(await ada.submit(f"{here}/act", {"action": action}))
        assert page.text(".toast b") == word
        method, asked = next(one for one in reversed(api.owners.asked) if one[0] == "queue_act")
        assert (method, asked["action"]) == ("queue_act", action)
        assert asked["filter"]["message_id"] == ids.from_text(api.ids["three"])


async def test_it_is_sent_again_to_whom_is_ticked(ada, api):
    here = f"/messages/{api.ids['three']}"
    page = await ada.get(here)
    ticked = [one.get("value") for one in page.all("#resend input[name=recipient][checked]")]
    assert ticked == ["archive@northwind.example"]  # whom it did not reach
    page = await ada.submit(f"{here}/resend", {}, expect=422)
    assert page.all("dialog#resend[data-open]")
    assert page.text("#recipient-note") == "tick who is to get it"
    page = await ada.follow(await ada.submit(f"{here}/resend", {"recipient": "jane@good.test"}))
    assert page.text(".toast b") == "Sent again"
    assert api.carrier.handed[-1][1].recipients == ("jane@good.test",)


async def test_somebody_whom_it_was_not_for_does_not_get_it(ada, api):
    here = f"/messages/{api.ids['three']}/resend"
    handed = len(api.carrier.handed)
    page = await ada.submit(here, {"recipient": "spy@evil.example"}, expect=422)
    assert "not for this address" in page.text("#recipient-note")
    assert len(api.carrier.handed) == handed


async def test_a_recipient_is_suppressed(ada, api):
    here = f"/messages/{api.ids['three']}"
    page = await ada.follow(await ada.submit(f"{here}/suppress", {"n": "1"}))
    assert page.text(".toast b") == "Suppressed"
    (found,) = await api.rooms.suppressions.of(ada_scope(api), "archive@northwind.example")
    assert found.tenant_id == api.tenants["acme"]
    await ada.submit(f"{here}/suppress", {"n": "77"})
    assert not await api.rooms.suppressions.of(ada_scope(api), "billing@globex.example")


async def test_headers_and_source_are_shown_as_text_and_given_as_a_file(ada, api):
    here = f"/messages/{api.ids['three']}"
    page = await ada.get(f"{here}?tab=headers")
    assert "Your order 10-48213 has shipped ✓" in page.texts("table.headers td .second")
    assert "<img src=x onerror=alert(1)>" in page.texts("table.headers td code")
    assert not page.all("main img")
    page = await ada.get(f"{here}?tab=source")
    assert '<script>alert("no")</script>' in page.text("#raw")
    assert "598 more lines" in page.text("#raw .comment")
    answer = (await ada.get(f"{here}/source.eml")).answer
    assert answer.headers["content-disposition"] == f'attachment; filename="{api.ids["three"]}.eml"'
    assert answer.headers["content-type"].startswith("message/rfc822")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.content.startswith(b"Received: from")


async def test_bytes_that_are_gone_are_told_of(ada, api):
    page = await ada.get(f"/messages/{api.ids['good']}?tab=source")
    assert "The bytes are not there" in page.text(".note")
    await ada.get(f"/messages/{api.ids['good']}/source.eml", expect=409)


async def test_events_are_shown_raw(ada, api):
    page = await ada.get(f"/messages/{api.ids['three']}?tab=events")
    assert page.texts("td.title") == ["accepted", "delivered", "bounced", "deferred"]
    assert '"category": "user_unknown"' in page.texts("pre")[2]


async def test_what_strangers_wrote_is_text(ada, api):
    for tab in ("", "?tab=events"):
        page = await ada.get(f"/messages/{api.ids['hostile']}{tab}")
        assert HOSTILE in page.text("h1")
        assert not page.all("main img, main script")


async def test_a_viewer_reads_no_source_and_changes_nothing(api):
    vic = await visitor(api, "viewer", "acme")
    here = f"/messages/{api.ids['three']}"
    page = await vic.get(here)
    assert page.texts("nav.tabs a") == ["Time line", "Events"]
    assert not page.all("main .page-head button, main .page-head .button")
    await vic.get(f"{here}?tab=source", expect=403)
    await vic.get(f"{here}/source.eml", expect=403)
    for act in ("act", "resend", "suppress"):
        await vic.submit(f"{here}/{act}", {"action": "cancel", "n": "0"}, expect=403)


async def test_anothers_message_is_not_found(api):
    gus = await visitor(api, "owner", "globex")
    here = f"/messages/{api.ids['three']}"
    await gus.get(here, expect=404)
    await gus.get(f"{here}/source.eml", expect=404)
    await gus.get("/messages/nonsense", expect=404)
    await gus.submit(f"{here}/suppress", {"n": "1"})
    await gus.submit(f"{here}/act", {"action": "cancel"})
    assert api.owners.asked[-1][0] != "queue_act"


def ada_scope(api):
    from appliance.core.scope import Scope

    return Scope.tenant(api.tenants["acme"], by="test")
