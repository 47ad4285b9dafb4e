"""The queue, the kill switch and a pause by HTTP, against a box that runs: who waits, why, and people's hands on it."""

from __future__ import annotations

import asyncio

import httpx
import pytest
import pytest_asyncio

from appliance.lab.dns_server import LabDns
from appliance.lab.receiver import Receiver
from tests.support.box import TENANT, running_box
from tests.support.way import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("api-walk")]

ZONE = {"good.test": {"MX": ["10 mx.good.test."]}, "mx.good.test": {"A": ["127.0.0.1"]}}
STOP = {"reason": "we look at something"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory):
    async with LabDns(ZONE) as dns, Receiver() as mx:
        async with running_box(tmp_path_factory.mktemp("walk"), dns, mx.port) as box:
            made = [
                await box.cli("key", "create", "admin", "--role", "admin"),
                await box.cli("key", "create", "acme", "--role", "owner", "--tenant", TENANT),
                await _of_another_tenant(box),
            ]
            clients = [_client(box, one["token"]) for one in made]
            await until(lambda: _is_known(clients), seconds=10)
            yield mx, *clients
            for one in clients:
                await one.aclose()


async def _of_another_tenant(box):
    await box.cli("tenant", "create", "other")
    return await box.cli("key", "create", "other", "--role", "owner", "--tenant", "other")


def _client(box, token):
    headers = {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(base_url=f"{box.web}/api/v1", headers=headers, timeout=30)


async def _is_known(clients):
    """The keys are in the book of the web process, their credentials known to the mta."""
    told = [(await one.get("/tenants")).status_code for one in clients]
    letter = {"from": "a@shop.test", "to": ["probe@good.test"], "text": "hello"}
    sent = await clients[1].post("/send", json=letter)
    return told == [200] * len(clients) and sent.status_code == 202


async def _ask(http, method, path, expect=200, **request):
    answer = await http.request(method, path, **request)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def _sent(http, name, **more):
    letter = {"from": "a@shop.test", "to": [f"{name}@good.test"], "text": "hello"} | more
    return (await _ask(http, "POST", "/send", expect=202, json=letter))["id"]


def _arrived(mx, name):
    return [m for m in mx.messages if f"{name}@good.test" in m.recipients]


@pytest_asyncio.fixture(loop_scope="module")
async def stopped(world):
    """All sending is stopped, so that what is sent waits."""
    _, admin, acme, _ = world
    told = await _ask(admin, "POST", "/sending-stop", json=STOP)
    assert (told["stopped"], told["reason"]) == (True, STOP["reason"])

    async def is_in_force():
        return await _says_why(acme, await _sent(acme, "probe"))

    await until(is_in_force, seconds=10)
    yield
    told = await _ask(admin, "POST", "/sending-stop/resume", json={})
    assert not told["stopped"]


async def _waiting(http, **wanted):
    return (await _ask(http, "GET", "/queue/recipients", params=wanted))["items"]


async def test_what_waits_is_seen_by_its_own_tenant_and_says_why(world, stopped):
    _, admin, acme, other = world
    number = await _sent(acme, "ann", tags=["walk"])
    (row,) = await _waiting(acme, tag="walk")
    assert (row["id"], row["address"]) == (number, "ann@good.test")
    assert row["next"].endswith("Z")
    assert STOP["reason"] in row["reason"]
    assert await _waiting(other) == []
    assert number in [one["id"] for one in await _waiting(admin, tenant=TENANT)]
    assert (await _ask(other, "GET", f"/queue/messages/{number}", expect=404))["status"] == 404
    shown = await _ask(acme, "GET", f"/queue/messages/{number}")
    assert shown["recipients"][0]["address"] == "ann@good.test"
    by_tenant = await _ask(admin, "GET", "/queue/summary", params={"by": "tenant"})
    assert TENANT in [one["name"] for one in by_tenant["groups"]]
    mine = await _ask(acme, "GET", "/queue/summary", params={"by": "domain"})
    assert mine["groups"][0]["name"] == "good.test"
    assert [one["kind"] for one in mine["reasons"]] == [row["kind"]] == ["stopped"]
    live = await _ask(admin, "GET", "/queue/live")
    assert None not in live.values()
    traffic = (await _ask(admin, "GET", "/queue/traffic"))[
        "items"
    ]  # from the first whole minute on
    assert [one["at"] for one in traffic] == sorted(one["at"] for one in traffic)
    theirs = await _ask(other, "GET", "/queue/summary")
    assert (theirs["groups"], theirs["recipients"]) == ([], {})


async def _says_why(http, number):
    rows = await _waiting(http)
    return [one for one in rows if one["id"] == number and STOP["reason"] in one["reason"]]


async def test_pages_of_the_queue_lead_through_all_of_it_once(world, stopped):
    _, _, acme, _ = world
    sent = [await _sent(acme, f"p{n}", tags=["paged"]) for n in range(5)]
    found, cursor = [], ""
    while True:
        asked = {"tag": "paged", "limit": 2, "cursor": cursor}
        page = await _ask(acme, "GET", "/queue/recipients", params=asked)
        found += [one["id"] for one in page["items"]]
        if not (cursor := page["cursor"]):
            break
    assert found == sorted(sent)


async def _keeps_back(http, tag, reason):
    """Whether the pause has come to the process that sends: until then mail with the tag goes."""
    probe = await _sent(http, "probe", tags=[tag])
    await asyncio.sleep(0.1)
    rows = await _waiting(http, tag=tag)
    return any(one["id"] == probe and reason in one["reason"] for one in rows)


async def test_a_message_is_held_released_and_cancelled_by_its_own_tenant_alone(world):
    mx, _, acme, other = world
    await _ask(acme, "POST", "/queue/pauses", expect=201, json={"tag": "mine", "reason": "wait"})
    await until(lambda: _keeps_back(acme, "mine", "wait"), seconds=20)
    kept, gone = [await _sent(acme, name, tags=["mine"]) for name in ("kept", "gone")]
    await _ask(other, "POST", f"/queue/messages/{kept}/hold", expect=404, json={})
    for number in (kept, gone):
        done = await _ask(acme, "POST", f"/queue/messages/{number}/hold", json={})
        assert done["changed"] == 1
    states = {one["id"]: one["state"] for one in await _waiting(acme, tag="mine")}
    assert (states[kept], states[gone]) == ("held", "held")
    (pause,) = (await _ask(acme, "GET", "/queue/pauses"))["items"]
    assert (await _ask(other, "GET", "/queue/pauses"))["items"] == []
    await _ask(other, "DELETE", f"/queue/pauses/{pause['id']}", expect=404)
    await _ask(acme, "DELETE", f"/queue/pauses/{pause['id']}")
    await _ask(acme, "POST", f"/queue/messages/{gone}/cancel", json={})
    await _ask(acme, "POST", f"/queue/messages/{kept}/release", json={})
    await until(lambda: bool(_arrived(mx, "kept")), seconds=20)
    assert not _arrived(mx, "gone")


async def test_all_that_matches_is_acted_on_as_a_job(world, stopped):
    _, admin, acme, other = world
    number = [await _sent(acme, f"j{n}", tags=["many"]) for n in range(3)]
    order = {"action": "cancel", "tag": "many"}
    theirs = await _ask(other, "POST", "/queue/actions", expect=202, json=order)
    done = await _ended(other, theirs)
    assert done["result"]["changed"] == 0
    assert len(await _waiting(acme, tag="many")) == len(number)
    await _ask(other, "GET", f"/jobs/{theirs['id'] + 1}", expect=404)
    mine = await _ask(acme, "POST", "/queue/actions", expect=202, json=order)
    done = await _ended(acme, mine)
    assert (done["state"], done["result"]["changed"]) == ("done", len(number))
    assert await _waiting(acme, tag="many") == []
    kinds = [one["kind"] for one in (await _ask(admin, "GET", "/jobs"))["items"]]
    assert kinds.count("queue-action") == 2


async def _ended(http, job):
    async def is_over():
        return (await _ask(http, "GET", f"/jobs/{job['id']}"))["ended_at"]

    await until(is_over, seconds=20)
    return await _ask(http, "GET", f"/jobs/{job['id']}")


async def test_an_import_by_http_suppresses_within_seconds(world):
    _, _, acme, _ = world
    text = "eve@good.test\nno address\n"
    job = await _ask(acme, "POST", "/suppressions/import", expect=202, json={"text": text})
    result = (await _ended(acme, job))["result"]
    assert (result["imported"], result["failed"]) == (1, 1)
    asked = {"address": "eve@good.test"}
    told = await _ask(acme, "GET", "/suppressions/look-up", params=asked)
    assert told["by"][0]["reason"] == "import"


async def test_shaping_is_explained_and_domains_are_checked(world):
    _, admin, acme, _ = world
    told = await _ask(admin, "GET", "/shaping/explain", params={"domain": "good.test"})
    assert (told["hosts"], told["route"]) == (["mx.good.test"], "")
    assert told["egresses"][0]["throttles"] == []
    (found,) = (await _ask(acme, "GET", "/domains"))["items"]
    checked = await _ask(acme, "POST", f"/domains/{found['id']}/check")
    states = {one["kind"]: one["state"] for one in checked["records"]}
    assert states["ownership"] == states["dkim"] == "ok"
