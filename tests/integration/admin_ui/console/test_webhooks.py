"""The pages of webhooks, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.webhooks import TYPES, Answer, Delivery, Outcome
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-webhooks"),
]

EVIL = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
URL = "https://hooks.acme.example/mail"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def root(api):
    return await visitor(api, "admin")


@pytest_asyncio.fixture(loop_scope="module")
async def hook(api):
    """An endpoint of acme."""
    made = await api.rooms.webhooks.create(
        Scope.tenant(api.tenants["acme"], by="ada"), url=URL, types=TYPES, description="the shop"
    )
    yield made.endpoint
    if any(one.id == made.endpoint.id for one in await api.rooms.webhooks.list(SYSTEM)):
        await api.rooms.webhooks.delete(SYSTEM, made.endpoint.id)


def told(hook, *, outcome=Outcome.FAILED, status=503, answer="no", message_id=0, event="msg_1-0-1"):
    return Delivery(
        webhook_id=hook.id,
        tenant_id=hook.tenant_id,
        event=event,
        type="message.delivered",
        message_id=message_id,
        at=clock.now_ms(),
        attempt=2,
        outcome=outcome,
        status=status,
        took=41,
        answer=answer,
    )


async def test_an_endpoint_is_added_and_its_secret_shown_once(api, ada):
    assert "No endpoint yet" in (await ada.get("/webhooks")).text(".empty")
    wanted = {"url": URL, "types": ["message.bounced", "message.delivered"], "description": "shop"}
    page = await ada.submit("/webhooks", wanted, expect=200)
    secret = page.text("#secret")
    assert secret.startswith("whsec_")
    assert page.answer.headers["cache-control"] == "no-store"
    (made,) = await api.rooms.webhooks.list(SYSTEM)
    assert set(made.types) == {"message.bounced", "message.delivered"}
    page = await ada.get("/webhooks")
    assert secret not in page.html
    assert page.text("tbody td.title").startswith(URL)
    assert f"2 of {len(TYPES)}" in page.text("tbody")
    one = await ada.get(f"/webhooks/{made.id}")
    assert secret not in one.html
    page = await ada.follow(await ada.submit(f"/webhooks/{made.id}/delete"))
    assert page.text(".toast b") == "Deleted"
    assert await api.rooms.webhooks.list(SYSTEM) == ()


async def test_what_is_wrong_stands_beside_its_field(ada):
    page = await ada.submit("/webhooks", {"url": "ftp://x.example", "types": TYPES[0]}, expect=422)
    assert page.all("dialog#add[data-open]")
    assert "https://" in page.text("#url-note")
    assert page.value("url") == "ftp://x.example"
    assert len(page.all("dialog#add input[name=types][checked]")) == 1
    page = await ada.submit("/webhooks", {"url": URL}, expect=422)
    assert "choose at least one" in page.text("#types-note")


async def test_it_is_changed(api, ada, hook):
    here = f"/webhooks/{hook.id}"
    wrong = await ada.submit(here, {"url": "nonsense", "types": TYPES[0]}, expect=422)
    assert wrong.all("dialog#change[data-open]")
    assert wrong.text("#change-url-note")
    page = await ada.follow(await ada.submit(here, {"url": f"{URL}/2", "types": [TYPES[0]]}))
    assert page.text("h1").startswith(f"{URL}/2")
    changed = await api.rooms.webhooks.get(SYSTEM, hook.id)
    assert (changed.types, changed.description) == ((TYPES[0],), "")


async def test_a_new_secret_stands_beside_the_old_one_for_a_day(api, ada, hook):
    page = await ada.submit(f"/webhooks/{hook.id}/secret", expect=200)
    assert page.text("#secret").startswith("whsec_")
    assert "signed with the old one too" in page.text(".note")
    assert "signs too until" in (await ada.get(f"/webhooks/{hook.id}")).text(".pairs")
    assert (await api.rooms.webhooks.get(SYSTEM, hook.id)).old_secret_until


async def test_it_is_disabled_with_a_reason_and_enabled(api, ada, hook):
    here = f"/webhooks/{hook.id}"
    page = await ada.follow(await ada.submit(f"{here}/disable", {"reason": "for repairs"}))
    assert "for repairs" in page.text(".note")
    assert "Disabled" in page.text("h1 .badge")
    page = await ada.follow(await ada.submit(f"{here}/enable", {"from": "now"}))
    assert "what comes from now on" in page.text(".toast")
    assert (await api.rooms.webhooks.get(SYSTEM, hook.id)).is_enabled


@pytest.mark.parametrize(
    ("status", "kind", "state"), [(200, "success", "Taken 200"), (0, "error", "Failed")]
)
async def test_a_test_says_what_came_of_it(api, ada, hook, monkeypatch, status, kind, state):
    class Receiver:
        async def post(self, _target, _headers, _body):
            return Answer(status=status, text="well", took=12)

    monkeypatch.setattr(api.rooms.webhook_trials, "_client", Receiver())
    page = await ada.follow(await ada.submit(f"/webhooks/{hook.id}/test"))
    assert page.all(f'.toast[data-kind="{kind}"]')
    assert "webhook.test" in page.text("tbody")
    assert page.text("tbody td.state") == state


async def test_it_says_since_when_it_fails_and_what_the_receiver_said(api, ada, hook):
    await api.rooms.webhooks.note_delivery(SYSTEM, told(hook, answer=EVIL))
    page = await ada.get(f"/webhooks/{hook.id}")
    assert "Failed 503" in page.text("tbody td.state")
    assert EVIL in page.text("tbody .words")
    assert "<script>alert" not in page.html
    assert "503" in (await ada.get("/webhooks")).text("tbody")


async def test_all_since_a_time_is_sent_again_as_a_job(api, ada, hook):
    here = f"/webhooks/{hook.id}"
    page = await ada.submit(f"{here}/replay", {"what": "all", "since": ""}, expect=422)
    assert page.all("dialog#replay[data-open]")
    assert "Say since when" in page.text("#since-note")
    answer = await ada.submit(f"{here}/replay", {"what": "all", "since": "2026-11-20T10:00"})
    assert answer.location.startswith("/jobs/")
    assert "A replay is under way" in (await ada.get(here)).text(".note")
    page = await ada.follow(await ada.submit(f"{here}/replay", {"what": "failed", "since": ""}))
    assert "0 events" in page.text(".toast")


async def test_an_event_that_is_not_there_is_not_sent_again(ada, hook):
    answer = await ada.submit(
        f"/webhooks/{hook.id}/replay-event", {"event": "msg_x"}, back="/webhooks"
    )
    assert "names no event" in (await ada.follow(answer)).text(".toast")


async def test_there_is_an_example_for_python_and_for_node(ada, hook):
    assert "from standardwebhooks import Webhook" in (await ada.get(f"/webhooks/{hook.id}")).html
    page = await ada.get(f"/webhooks/{hook.id}?code=node")
    assert "express.raw" in page.text("#verify")


async def test_another_tenants_endpoint_is_not_there(api, ada):
    made = await api.rooms.webhooks.create(
        Scope.tenant(api.tenants["globex"]), url="https://globex.example/x", types=TYPES
    )
    here = f"/webhooks/{made.endpoint.id}"
    await ada.get(here, expect=404)
    for path in (
        "",
        "/secret",
        "/disable",
        "/enable",
        "/test",
        "/replay",
        "/replay-event",
        "/delete",
    ):
        fields = {
            "url": URL,
            "types": TYPES[0],
            "from": "now",
            "what": "failed",
            "event": "msg_1-0-1",
        }
        page = await ada.follow(await ada.submit(here + path, fields, back="/webhooks"))
        assert "No webhook has the id" in page.text(".toast"), path
    assert await api.rooms.webhooks.get(SYSTEM, made.endpoint.id) == made.endpoint
    assert "globex" not in (await ada.get("/webhooks")).html


async def test_the_box_sees_them_all_with_their_tenant(api, root, hook):
    rows = (await root.get("/webhooks")).texts("tbody tr")
    assert any(URL in row and "acme" in row for row in rows)
    assert any("globex" in row for row in rows)
    page = await root.submit("/webhooks", {"url": URL, "types": TYPES[0]}, expect=422)
    assert "whose" in page.text("#tenant-note")


async def test_who_may_not_manage_is_refused(api, hook):
    sam = await visitor(api, "support")
    page = await sam.get(f"/webhooks/{hook.id}")
    assert not page.all("#delete")
    await sam.submit(f"/webhooks/{hook.id}/delete", expect=403)
    await (await visitor(api, "sender", "acme")).get("/webhooks", expect=403)


async def test_words_of_people_are_text_and_nothing_else(api, ada, hook):
    scope = Scope.tenant(api.tenants["acme"], by=EVIL)
    made = await api.rooms.webhooks.create(scope, url=URL, types=TYPES, description=EVIL)
    await api.rooms.webhooks.disable(scope, made.endpoint.id, reason=EVIL)
    for path in ("/webhooks", f"/webhooks/{made.endpoint.id}"):
        page = await ada.get(path)
        assert "<script>alert" not in page.html
        assert "<img src=x" not in page.html
    assert EVIL in page.text(".note")
