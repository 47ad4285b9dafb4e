"""What the routes of the box's things do, over real rooms; the mta and DNS are not there."""

from __future__ import annotations

import pytest
import pytest_asyncio

from admin_ui.api.rates import Rates
from appliance.core.scope import Scope
from appliance.rights import GRANTS, Role
from tests.support.api import SYSTEM, open_api

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("resources")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("api"), "acme", "beta") as opened:
        yield opened


@pytest.fixture(autouse=True)
def nobody_has_asked_yet(api):
    api.app.state.rates = Rates()


@pytest.fixture
def admin(api):
    return api.token(GRANTS[Role.ADMIN])


@pytest.fixture
def owner(api):
    return api.token(GRANTS[Role.OWNER], "acme")


async def _fields(answer):
    assert answer.status_code == 400, answer.text
    return [one["field"] for one in answer.json()["errors"]]


async def test_a_tenant_is_made_limited_suspended_and_let_go_again(api, admin):
    made = await api.good("POST", "/tenants", admin, {"name": "Gamma", "weight": 3})
    assert (made["name"], made["state"], made["weight"]) == ("gamma", "active", 3)
    limited = await api.good(
        "PATCH", "/tenants/gamma/limits", admin, {"recipients_per_day": 9, "sandboxed": True}
    )
    assert (limited["recipients_per_day"], limited["sandboxed"], limited["weight"]) == (9, True, 3)
    stopped = await api.good("POST", "/tenants/gamma/suspend", admin, {"reason": "unpaid"})
    assert (stopped["state"], stopped["suspended_reason"]) == ("suspended", "unpaid")
    assert stopped["suspended_at"].endswith("Z")
    assert (await api.good("POST", "/tenants/gamma/resume", admin))["state"] == "active"
    assert (await api.ask("POST", "/tenants", admin, {"name": "gamma"})).status_code == 409
    assert await _fields(await api.ask("POST", "/tenants", admin, {"name": "a b"})) == ["name"]
    missing = await api.ask("PATCH", "/tenants/gamma/pools", admin, {"bulk_pool": "no"})
    assert await _fields(missing) == ["bulk_pool"]


async def test_a_tenants_key_sees_its_own_tenant_alone(api, owner, admin):
    mine = await api.good("GET", "/tenants", owner)
    assert [one["name"] for one in mine["items"]] == ["acme"]
    every, cursor = [], ""
    while True:
        found = await api.good("GET", "/tenants", admin, limit=1, cursor=cursor)
        every += [one["name"] for one in found["items"]]
        if not (cursor := found["cursor"]):
            break
    assert every[:2] == ["acme", "beta"]


async def test_a_domain_tells_what_to_publish_and_the_state_of_each_record(api, owner):
    made = await api.good("POST", "/domains", owner, {"name": "Shop.Test."})
    assert (made["name"], made["verified"], made["default"]) == ("shop.test", False, True)
    kinds = [one["kind"] for one in made["records"]]
    assert kinds == ["ownership", "dkim", "dkim", "spf", "dmarc", "return_path"]
    assert {one["state"] for one in made["records"]} == {"unknown"}
    place = f"/domains/{made['id']}"
    checked = await api.good("POST", f"{place}/check", owner)
    assert checked["checked_at"]
    assert {one["state"] for one in checked["records"]} == {"unknown"}  # no DNS answers here
    assert all(one["problem"] for one in checked["records"] if one["kind"] == "dkim")
    rotated = await api.good("POST", f"{place}/keys/rotate", owner)
    assert [one["state"] for one in rotated["keys"]].count("pending") == 2
    assert (await api.ask("POST", f"{place}/keys/rotate", owner)).status_code == 409
    bad = await api.ask("POST", f"{place}/keys/import", owner, {"selector": "s1", "pem": "no"})
    assert bad.status_code == 400
    assert (await api.good("POST", f"{place}/default", owner))["default"]
    assert (await api.good("DELETE", place, owner))["name"] == "shop.test"
    assert (await api.ask("GET", place, owner)).status_code == 404


async def test_a_domain_is_taken_without_proof_by_the_box_alone(api, owner, admin):
    wish = {"name": "lab.test", "assume_verified": True}
    assert (await api.ask("POST", "/domains", owner, wish)).status_code == 400
    assert await _fields(await api.ask("POST", "/domains", admin, wish)) == ["tenant"]
    made = await api.good("POST", "/domains", admin, wish, tenant="acme")
    assert (made["verified"], made["tenant_id"]) == (True, api.tenants["acme"])
    (own,) = (await api.good("GET", "/domains", admin, limit=1))["items"]
    assert own["tenant_id"] == 0
    assert (await api.ask("DELETE", f"/domains/{own['id']}", admin)).status_code == 409
    assert (await api.ask("GET", f"/domains/{own['id']}", owner)).status_code == 404


async def test_a_password_is_told_once(api, owner):
    issued = await api.good("POST", "/credentials", owner, {"name": "web"})
    assert issued["username"].startswith("acme.web.")
    place = f"/credentials/{issued['credential']['id']}"
    shown = await api.ask("GET", place, owner)
    assert issued["password"] not in shown.text
    assert shown.json() == issued["credential"]
    renewed = await api.good("POST", f"{place}/rotate", owner, {"overlap_hours": 1})
    assert renewed["password"] != issued["password"]
    logins = renewed["credential"]["logins"]
    assert [bool(one["expires_at"]) for one in logins].count(True) == 1
    assert (await api.good("DELETE", place, owner))["state"] == "revoked"
    listed = await api.good("GET", "/credentials", owner)
    assert issued["credential"]["id"] not in [one["id"] for one in listed["items"]]
    listed = await api.good("GET", "/credentials", owner, revoked="true")
    assert issued["credential"]["id"] in [one["id"] for one in listed["items"]]


async def test_a_policy_comes_back_as_it_was_sent(api, owner, admin):
    policy = {"networks": ["10.1.0.0/16"], "tags": ["web"], "recipients_per_day": 7}
    issued = await api.good("POST", "/credentials", owner, {"name": "app", "policy": policy})
    place = f"/credentials/{issued['credential']['id']}/policy"
    shown = issued["credential"]["policy"]
    assert policy.items() <= shown.items()
    changed = shown | {"traffic_class": "bulk"}
    assert (await api.good("PUT", place, owner, changed))["policy"] == changed
    wrong = await api.ask("PUT", place, owner, shown | {"pool": "no"})
    assert await _fields(wrong) == ["policy.pool"]
    foreign = shown | {"from_policy": "any"}
    assert (await api.ask("PUT", place, owner, foreign)).status_code == 403
    assert (await api.good("PUT", place, admin, foreign))["policy"]["from_policy"] == "any"
    # What the admin gave, the tenant keeps.
    assert (await api.good("PUT", place, owner, foreign))["policy"]["from_policy"] == "any"


async def test_an_api_keys_credential_is_no_smtp_credential(api, owner):
    token = await api.good("POST", "/keys", owner, {"name": "send", "rights": ["messages.send"]})
    key = await api.rooms.keys.get(SYSTEM, token["key"]["id"])
    assert key.credential_id
    place = f"/credentials/{key.credential_id}"
    assert (await api.ask("GET", place, owner)).status_code == 404
    assert (await api.ask("POST", f"{place}/rotate", owner, {})).status_code == 404


async def test_suppressions_are_added_found_and_removed(api, owner, admin):
    for name in ("ada@a.test", "bob@a.test", "b.test"):
        await api.good("POST", "/suppressions", owner, {"target": name})
    first = await api.good("GET", "/suppressions", owner, limit=2)
    rest = await api.good("GET", "/suppressions", owner, cursor=first["cursor"])
    found = [one["target"] for one in first["items"] + rest["items"]]
    assert found == ["ada@a.test", "bob@a.test", "b.test"]
    bobs = await api.good("GET", "/suppressions", owner, prefix="bob", reason="manual")
    assert [one["target"] for one in bobs["items"]] == ["bob@a.test"]
    assert not (await api.good("GET", "/suppressions", owner, reason="complaint"))["items"]
    told = await api.good("GET", "/suppressions/look-up", owner, address="Eve@B.test")
    assert (told["suppressed"], told["by"][0]["target"]) == (True, "b.test")
    clear = await api.good("GET", "/suppressions/look-up", owner, address="eve@c.test")
    assert (clear["suppressed"], clear["by"]) == (False, [])
    box = await api.good("POST", "/suppressions", admin, {"target": "eve@c.test"})
    assert box["tenant_id"] == 0
    assert (await api.ask("DELETE", f"/suppressions/{box['id']}", owner)).status_code == 404
    await api.good("DELETE", f"/suppressions/{found and first['items'][0]['id']}", owner)
    gone = await api.good("GET", "/suppressions/look-up", owner, address="ada@a.test")
    assert not gone["suppressed"]
    assert await _fields(await api.ask("POST", "/suppressions", owner, {"target": "x"})) == [
        "target"
    ]
    past = {"target": "ada@a.test", "expires_at": "2001-01-01T00:00:00Z"}
    assert await _fields(await api.ask("POST", "/suppressions", owner, past)) == ["expires_at"]


async def test_an_import_is_a_job_with_its_lines(api, owner, admin):
    job = await api.good("POST", "/suppressions/import", owner, {"text": "ada@d.test\nno\n"})
    assert (job["kind"], job["state"], job["total"]) == ("suppression-import", "queued", 1)
    assert await api.rooms.jobs.part(job["id"], 0) == "ada@d.test\nno"
    assert (await api.good("GET", f"/jobs/{job['id']}", owner))["tenant_id"] == api.tenants["acme"]
    cancelled = await api.good("POST", f"/jobs/{job['id']}/cancel", owner)
    assert cancelled["state"] == "cancelled"
    again = await api.ask("POST", f"/jobs/{job['id']}/cancel", owner)
    assert again.status_code == 409
    standing = await api.good("GET", "/jobs", admin, open="true", tenant="acme")
    assert job["id"] not in [one["id"] for one in standing["items"]]


async def test_rates_are_of_the_box_and_a_tenant_learns_of_its_own_mail_alone(api, owner, admin):
    live = await api.good("GET", "/queue/live", admin)
    assert (live["accepted_per_s"], live["leaving_per_s"], live["connections"]) == (3.0, 2.5, 3)
    own = await api.good("GET", "/queue/live", owner)
    assert own == dict.fromkeys(live) | {"due_next_hour": own["due_next_hour"]}
    found = (await api.good("GET", "/queue/traffic", admin))["items"]
    assert [(one["accepted"], one["delivered"]) for one in found] == [(1.0, 0.5)] * 3
    assert (await api.ask("GET", "/queue/traffic", owner)).status_code == 403


async def test_the_queue_is_asked_for_a_tenants_own_mail_alone(api, owner, admin):
    mine, theirs = api.owners.add(api.tenants["acme"]), api.owners.add(api.tenants["beta"])
    found = await api.good("GET", "/queue/recipients", owner, domain="good.test")
    assert [one["id"] for one in found["items"]] == [mine]
    assert found["items"][0]["reason"] == "451 later"
    every = await api.good("GET", "/queue/recipients", admin, limit=1)
    after = await api.good("GET", "/queue/recipients", admin, cursor=every["cursor"])
    assert [one["id"] for one in every["items"] + after["items"]] == [mine, theirs]
    whole = await api.good("GET", "/queue/summary", admin, by="provider")
    assert (whole["groups"][0]["recipients"], whole["by"]) == (2, "provider")
    own = await api.good("GET", "/queue/summary", owner)
    assert own["groups"][0]["recipients"] == 1
    assert (own["groups"][0]["kind"], own["groups"][0]["words"]) == ("refused", "451 later")
    assert [(one["title"], one["recipients"]) for one in own["reasons"]] == [("Refused for now", 1)]
    await api.good("GET", "/queue/summary", admin, by="reason", kind="warmup")
    assert (api.owners.asked[-1][1]["by"], api.owners.asked[-1][1]["kind"]) == ("reason", "warmup")
    answer = await api.ask("GET", "/queue/summary", owner, by="egress")
    assert await _fields(answer) == ["by"]
    shown = await api.good("GET", f"/queue/messages/{mine}", owner)
    assert shown["recipients"][0]["state"] == "deferred"
    assert shown["recipients"][0]["kind"] == "refused"
    for place in (theirs, "0000000000000", "no-id-at-all!"):
        answer = await api.ask("GET", f"/queue/messages/{place}", owner)
        assert answer.status_code == 404 if len(place) == 13 else 400, answer.text
    api.owners.messages.clear()


async def test_a_message_is_acted_on_at_once_and_much_mail_as_a_job(api, owner, admin):
    mine, theirs = api.owners.add(api.tenants["acme"]), api.owners.add(api.tenants["beta"])
    done = await api.good("POST", f"/queue/messages/{mine}/hold", owner, {})
    assert done == {"changed": 1, "being_sent": 0, "ready": 0}
    asked = api.owners.asked
    assert asked[-1][1]["filter"]["tenant_id"] == api.tenants["acme"]
    number = len(asked)
    assert (await api.ask("POST", f"/queue/messages/{theirs}/cancel", owner, {})).status_code == 404
    assert "queue_act" not in [method for method, _ in asked[number:]]
    assert (await api.ask("POST", f"/queue/messages/{mine}/burn", owner, {})).status_code == 400
    job = await api.good("POST", "/queue/actions", owner, {"action": "release", "tag": "x"})
    assert job["asked"] == {
        "action": "release",
        "filter": {"tag": "x", "status": "held", "tenant_id": api.tenants["acme"]},
        "pool": "",
    }
    empty = await api.ask("POST", "/queue/actions", owner, {"action": "cancel"})
    assert await _fields(empty) == ["everything"]
    job = await api.good(
        "POST", "/queue/actions", admin, {"action": "cancel", "everything": True}, tenant="beta"
    )
    assert job["asked"]["filter"] == {"tenant_id": api.tenants["beta"]}
    answer = await api.ask("POST", "/queue/actions", owner, {"action": "retry", "provider": "nix"})
    assert await _fields(answer) == ["provider"]
    answer = await api.ask("POST", f"/queue/messages/{mine}/reroute", owner, {"pool": "nix"})
    assert await _fields(answer) == ["pool"]
    api.owners.messages.clear()


async def test_a_pause_of_a_tenant_stops_its_own_mail_alone(api, owner, admin):
    wish = {"domain": "slow.test", "reason": "they asked us to"}
    made = await api.good("POST", "/queue/pauses", owner, wish)
    assert (made["tenant_id"], made["domain"]) == (api.tenants["acme"], "slow.test")
    box = await api.good("POST", "/queue/pauses", admin, {"provider": "google", "reason": "wait"})
    assert box["tenant_id"] == 0
    listed = await api.good("GET", "/queue/pauses", owner)
    assert [one["id"] for one in listed["items"]] == [made["id"]]
    assert (await api.ask("DELETE", f"/queue/pauses/{box['id']}", owner)).status_code == 404
    await api.good("DELETE", f"/queue/pauses/{made['id']}", owner)
    assert not (await api.good("GET", "/queue/pauses", owner))["items"]
    for field, wrong in (("provider", "nix"), ("egress", "nix"), ("credential_id", 999_999)):
        answer = await api.ask("POST", "/queue/pauses", admin, {"reason": "x", field: wrong})
        assert await _fields(answer) == [field]
    await api.good("DELETE", f"/queue/pauses/{box['id']}", admin)


async def test_the_kill_switch_says_who_and_why_to_everybody(api, owner, admin):
    assert not (await api.good("GET", "/sending-stop", owner))["stopped"]
    await api.good("POST", "/sending-stop", admin, {"reason": "we are listed"})
    told = await api.good("GET", "/sending-stop", owner)
    assert (told["stopped"], told["by"], told["reason"]) == (True, "ann", "we are listed")
    assert (await api.ask("POST", "/sending-stop/resume", owner, {})).status_code == 403
    assert not (await api.good("POST", "/sending-stop/resume", admin, {}))["stopped"]


async def test_an_address_comes_warms_up_joins_a_pool_and_goes(api, admin):
    for number in (1, 2):
        wish = {"name": f"out-{number}", "address": f"203.0.113.{number}"}
        made = await api.good("POST", "/egress", admin, wish)
        assert made["state"] == "enabled"
    pool = {"members": [{"egress": "out-1", "weight": 3}, {"egress": "out-2"}], "default": True}
    made = await api.good("PUT", "/pools/main", admin, pool)
    assert made["members"][0] == {"egress": "out-1", "weight": 3}
    assert (await api.good("GET", "/egress/out-1", admin))["pools"] == ["main"]
    assert (await api.ask("PUT", "/pools/main", admin, {"fallback": "no"})).status_code == 400
    first = await api.good("GET", "/egress", admin, limit=1)
    rest = await api.good("GET", "/egress", admin, cursor=first["cursor"])
    assert [one["name"] for one in first["items"] + rest["items"]] == ["out-1", "out-2"]
    await _warm(api, admin)
    assert (await api.ask("DELETE", "/egress/out-1", admin)).status_code == 409
    drained = await api.good("POST", "/egress/out-1/drain", admin, {"reason": "moves"})
    assert (drained["state"], drained["why"]) == ("draining", "moves")
    await api.good("POST", "/egress/out-1/disable", admin, {"reason": "moves"})
    await api.good("DELETE", "/egress/out-1", admin)
    assert not (await api.good("GET", "/warmups", admin))["items"]
    assert (await api.ask("DELETE", "/pools/main", admin)).status_code == 409
    await api.good("DELETE", "/pools/main", admin, force="true")
    await api.good("DELETE", "/egress/out-2", admin, force="true")


async def _warm(api, admin):
    schedules = await api.good("GET", "/warmup-schedules", admin)
    assert "standard" in [one["name"] for one in schedules["items"]]
    started = await api.good("POST", "/warmups/out-1/start", admin, {"providers": ["google"]})
    (one,) = started["items"]
    assert (one["state"], one["stage"], one["used"]) == ("warming", 1, 0)
    assert (await api.ask("POST", "/warmups/out-1/start", admin, {})).status_code == 409
    (one,) = (await api.good("POST", "/warmups/out-1/skip", admin, {}))["items"]
    assert one["stage"] == 2
    body = {"reason": "deferrals"}
    (one,) = (await api.good("POST", "/warmups/out-1/step-back", admin, body))["items"]
    assert (one["stage"], one["reason"]) == (1, "stepped back by hand: deferrals (ann)")
    nameless = await api.ask("POST", "/warmups/out-1/step-back", admin, {})
    assert await _fields(nameless) == ["reason"]
    paused = await api.good("POST", "/warmups/out-1/pause", admin, {"reason": "complaints"})
    assert paused["items"][0]["state"] == "paused"
    (one,) = (await api.good("GET", "/warmups", admin, egress="out-1"))["items"]
    assert one["reason"] == "complaints (ann)"
    assert (await api.ask("POST", "/warmups/out-1/burn", admin, {})).status_code == 400
    assert (await api.ask("POST", "/warmups/nobody/skip", admin, {})).status_code == 404
    unknown = await api.ask("POST", "/warmups/out-1/start", admin, {"schedule": "no"})
    assert await _fields(unknown) == ["schedule"]
    assert not (await api.good("GET", "/warmups/out-1/history", admin))["items"]


async def test_shaping_and_blocklists_are_told(api, admin):
    assert (await api.good("GET", "/shaping/throttles", admin))["items"] == []
    told = await api.good("GET", "/shaping/explain", admin, domain="Nowhere.test")
    assert (told["domain"], told["route"]) == ("nowhere.test", "550 no such domain")
    lift = {"egress": "out-1", "zone": "google", "reason": "they said so"}
    assert (await api.ask("POST", "/shaping/lift", admin, lift)).status_code == 404
    lists = await api.good("GET", "/blocklists", admin)
    assert {one["state"] for one in lists["items"]} == {"not asked yet"}
    assert (await api.good("GET", "/blocklists/listings", admin, ended="true"))["items"] == []


async def test_the_audit_log_is_filtered_and_each_tenants_own(api, owner, admin):
    await api.good("POST", "/credentials", owner, {"name": "audited"})
    mine = await api.good("GET", "/audit", owner, action="credential.")
    assert mine["items"][0]["action"] == "credential.create"
    assert "audited" in mine["items"][0]["record"]
    assert {one["tenant_id"] for one in mine["items"]} == {api.tenants["acme"]}
    by = mine["items"][0]["by"]
    assert (await api.good("GET", "/audit", admin, by=by, limit=1))["items"] == mine["items"][:1]
    assert not (await api.good("GET", "/audit", owner, until="2001-01-01T00:00:00Z"))["items"]
    naive = await api.ask("GET", "/audit", owner, since="2001-01-01T00:00:00")
    assert await _fields(naive) == ["since"]
    beta = Scope.tenant(api.tenants["beta"])
    assert not [one for one in await api.rooms.audit.list(beta) if one.tenant_id != beta.tenant_id]


async def test_asking_for_what_is_not_ones_own_is_audited_and_cannot_flood(api, owner, admin):
    theirs = await api.rooms.suppressions.add(Scope.tenant(api.tenants["beta"]), "x@y.test")
    before = len((await api.good("GET", "/audit", owner, action="access."))["items"])
    for _ in range(30):
        answer = await api.ask("GET", f"/suppressions/{theirs.id}", owner)
        assert answer.status_code == 404
    noted = (await api.good("GET", "/audit", owner, action="access."))["items"]
    assert 1 <= len(noted) - before <= 11
    assert noted[0]["record"] == f"/api/v1/suppressions/{theirs.id}"
    assert (noted[0]["detail"], noted[0]["address"]) == ("GET", "192.0.2.7")
    await api.ask("GET", f"/suppressions/{1 << 40}", admin)
    assert not (await api.good("GET", "/audit", admin, action="access.", by="ann"))["items"]


async def test_a_sandboxed_key_makes_and_changes_what_is_in_the_sandbox_alone(api, owner):
    live = await api.good("POST", "/credentials", owner, {"name": "live"})
    token = api.book.token(GRANTS[Role.OWNER], api.tenants["acme"], is_sandboxed=True)
    place = f"/credentials/{live['credential']['id']}"
    for method, path, body in (
        ("POST", f"{place}/rotate", {}),
        ("PUT", f"{place}/policy", {}),
        ("DELETE", place, None),
    ):
        assert (await api.ask(method, path, token, body)).status_code == 403
    tried = await api.good("POST", "/credentials", token, {"name": "tried"})
    assert tried["credential"]["policy"]["sandbox"]
    place = f"/credentials/{tried['credential']['id']}"
    assert (await api.good("PUT", f"{place}/policy", token, {}))["policy"]["sandbox"]
    made = await api.good("POST", "/keys", token, {"name": "x", "rights": ["keys.read"]})
    assert made["key"]["sandboxed"]
