"""People who have signed in send and send again, through a credential of their tenant, by the same way as keys."""

from __future__ import annotations

import pytest
import pytest_asyncio

from admin_ui.api.guard import COOKIE
from appliance.core.scope import Scope
from appliance.credentials import Door
from appliance.rights import GRANTS, Right, Role
from appliance.tenancy import AuditFilter
from tests.support.api import SYSTEM, open_api
from tests.support.people import HERE, PASSWORD

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("people-send")]

LETTER = {"from": "a@acme.test", "to": ["jane@good.test"], "text": "a test"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("send"), "acme", "beta") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(api):
    """Who has which role, with the session that the browser has."""
    roles = {"owner": "acme", "viewer": "acme", "admin": ""}
    return {role: await _comes_in(api, role, tenant) for role, tenant in roles.items()}


async def _comes_in(api, role, tenant):
    desk = api.rooms.people.invitations
    owner = api.tenants[tenant] if tenant else 0
    _, url = await desk.link(SYSTEM, email=f"{role}@x.test", role=role, tenant_id=owner)
    opened = await desk.accept(url.rpartition("/")[2], HERE, name=role, password=PASSWORD)
    assert opened is not None
    return opened


async def _post(api, opened, path, body, expect=202, **headers):
    sent = {"Cookie": f"{COOKIE}={opened.token}", "X-CSRF-Token": opened.csrf, **headers}
    answer = await api.http.post(f"/api/v1{path}", json=body, headers=sent)
    assert answer.status_code == expect, answer.text
    return answer


async def test_a_person_sends_through_the_tenants_own_credential_of_the_console(api, people):
    told = (await _post(api, people["owner"], "/send", LETTER)).json()
    assert told["recipients"] == 1
    handed, letter = api.carrier.handed[-1]
    assert (handed.tenant_id, handed.address) == (api.tenants["acme"], "192.0.2.7")
    assert letter.recipients == ("jane@good.test",)
    behind = await api.rooms.credentials.get(SYSTEM, handed.credential_id)
    assert (behind.tenant_id, behind.door) == (api.tenants["acme"], Door.CONSOLE)
    await _post(api, people["owner"], "/send/batch", {"messages": [LETTER]}, expect=200)
    assert api.carrier.handed[-1][0].credential_id == behind.id


async def test_that_credential_cannot_be_seen_changed_or_revoked_by_mistake(api, people):
    await _post(api, people["owner"], "/send", LETTER)
    number = api.carrier.handed[-1][0].credential_id
    token = api.token(GRANTS[Role.ADMIN])
    listed = await api.good("GET", "/credentials", token)
    assert number not in [one["id"] for one in listed["items"]]
    for method in ("GET", "DELETE"):
        answer = await api.ask(method, f"/credentials/{number}", token)
        assert answer.status_code == 404, (method, answer.text)
    assert not (await api.rooms.credentials.get(SYSTEM, number)).revoked_at


async def test_who_may_not_send_does_not_and_nobody_sends_for_no_tenant(api, people):
    before = len(api.carrier.handed)
    await _post(api, people["viewer"], "/send", LETTER, expect=403)
    told = (await _post(api, people["admin"], "/send", LETTER, expect=400)).json()
    assert "enter the view" in told["detail"]
    await _post(api, people["owner"], "/send", LETTER, expect=403, **{"X-CSRF-Token": "other"})
    assert len(api.carrier.handed) == before


async def test_what_failed_is_sent_again_and_the_audit_log_says_by_whom(api, people):
    number = api.owners.add(api.tenants["acme"])
    told = (await _post(api, people["owner"], f"/messages/{number}/resend", {})).json()
    handed, letter = api.carrier.handed[-1]
    assert letter.recipients == ("jane@good.test",)
    assert letter.data.endswith(b"\r\n\r\nhello\r\n")
    assert letter.body_8bit
    assert handed.tenant_id == api.tenants["acme"]
    wanted = AuditFilter(action="message.resend", record=f"message {number}")
    (entry,) = await api.rooms.audit.list(Scope.tenant(api.tenants["acme"]), wanted)
    assert (entry.by, entry.address) == ("owner@x.test", "192.0.2.7")
    assert entry.detail == f"as {told['id']} to 1 recipient"


async def test_an_admin_of_the_box_sends_a_tenants_message_again_for_that_tenant(api, people):
    number = api.owners.add(api.tenants["beta"])
    await _post(api, people["admin"], f"/messages/{number}/resend", {})
    assert api.carrier.handed[-1][0].tenant_id == api.tenants["beta"]


async def test_nobody_sends_another_tenants_message_again(api, people):
    before = len(api.carrier.handed)
    number = api.owners.add(api.tenants["beta"])
    for there in (number, "1k3fq9x2mz0a", "nonsense"):
        await _post(api, people["owner"], f"/messages/{there}/resend", {}, expect=404)
    assert len(api.carrier.handed) == before


async def test_bytes_that_are_gone_and_a_stranger_among_the_recipients_are_told(api, people):
    number = api.owners.add(api.tenants["acme"])
    path = f"/messages/{number}/resend"
    stranger = {"recipients": ["jane@good.test", "spy@evil.test"]}
    told = (await _post(api, people["owner"], path, stranger, expect=400)).json()
    assert told["errors"][0]["field"] == "recipients[1]"
    api.owners.lost.add(number)
    told = (await _post(api, people["owner"], path, {}, expect=409)).json()
    assert "spool.keep_content" in told["detail"]


async def test_a_request_that_comes_twice_under_its_key_is_done_once(api, people):
    number = api.owners.add(api.tenants["acme"])
    path, key = f"/messages/{number}/resend", {"Idempotency-Key": "click-1"}
    first = await _post(api, people["owner"], path, {}, **key)
    before = len(api.carrier.handed)
    again = await _post(api, people["owner"], path, {}, **key)
    assert (again.json(), again.headers["idempotent-replayed"]) == (first.json(), "true")
    assert len(api.carrier.handed) == before
    assert b"X-Pillarbox-Idempotency-Key: click-1." in api.carrier.handed[-1][1].data


async def test_a_key_that_may_send_sends_again_too(api):
    number = api.owners.add(api.tenants["acme"])
    token = api.token({Right.MESSAGES_SEND}, "acme")
    assert (await api.good("POST", f"/messages/{number}/resend", token, {}))["recipients"] == 1
