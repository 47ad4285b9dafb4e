"""The pages of keys, webhooks, tenants, users and settings in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.keys import KeyUse, Wish
from appliance.rights import GRANTS, Right, Role
from appliance.webhooks import TYPES, Delivery, Outcome
from tests.support.api import ALL, SYSTEM, open_api
from tests.support.busy_box import send
from tests.support.chromium import profile
from tests.support.console import visitor
from tests.support.looking import enter, look, opened
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]

ANSWERS = (
    (Outcome.TAKEN, 200, 41, "ok"),
    (Outcome.TAKEN, 204, 38, ""),
    (Outcome.FAILED, 503, 212, "upstream connect error or disconnect/reset before headers"),
    (Outcome.FAILED, 0, 10_000, "no answer within 10 s"),
    (Outcome.REFUSED, 404, 22, '<html><body onload="alert(1)">Not Found</body></html>'),
    (Outcome.TAKEN, 200, 44, "ok"),
)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with (
        open_api(
            path,
            "acme-store",
            "delta-freight",
            "harbor-books",
            "orchard",
            public_url="https://relay.example",
        ) as api,
        served(api.app) as url,
    ):
        api.tenants["acme"] = api.tenants["acme-store"]
        send(api, path)
        await people(api)
        ada = await visitor(api, "owner", "acme", "ines.torres@acme.example")
        ann = await visitor(api, "admin", name="ann@relay.example")
        await keys(api)
        yield url, ada, ann, await hooks(api)


async def people(api):
    rooms, acme = api.rooms, api.tenants["acme"]
    for name, role in (("Max Weber", "manager"), ("Lena Okafor", "sender"), ("Jo Bell", "viewer")):
        email = f"{name.partition(' ')[0].lower()}@acme.example"
        made = await rooms.people.users.create(
            SYSTEM, email=email, name=name, role=role, tenant_id=acme
        )
    await rooms.people.users.disable(SYSTEM, made.id)
    await rooms.people.invitations.link(
        SYSTEM, email="finance@acme.example", role="viewer", tenant_id=acme
    )
    await rooms.tenants.set_profile(
        SYSTEM,
        acme,
        organisation="Acme Store GmbH",
        country="DE",
        postal_address="Lindenstraße 9\n10969 Berlin",
    )
    await rooms.tenants.set_limits(SYSTEM, "harbor-books", recipients_per_day=50_000, weight=4)
    await rooms.tenants.set_limits(SYSTEM, "orchard", sandboxed=True)
    await rooms.tenants.suspend(SYSTEM, "delta-freight", reason="complaints above 0.3 % in a week")


async def keys(api):
    scope, now = Scope.tenant(api.tenants["acme"], by="ines.torres@acme.example"), clock.now_ms()
    wishes = (
        Wish(name="billing", rights=GRANTS[Role.SENDER]),
        Wish(
            name="warehouse",
            rights=frozenset({Right.MESSAGES_SEND}),
            expires_at=now + 7 * clock.DAY,
        ),
        Wish(name="dashboard", rights=GRANTS[Role.VIEWER]),
        Wish(name="staging", rights=frozenset({Right.MESSAGES_SEND}), sandboxed=True),
    )
    made = [(await api.rooms.keys.create(scope, wish, held=ALL)).key for wish in wishes]
    uses = [
        KeyUse(key_id=one.id, at=now - clock.MINUTE, address="203.0.113.40") for one in made[:3]
    ]
    await api.rooms.keys.note_uses(uses)
    await api.rooms.keys.revoke(scope, made[2].id)


async def hooks(api):
    """The endpoint that has much to tell."""
    scope = Scope.tenant(api.tenants["acme"], by="ines.torres@acme.example")
    made = await api.rooms.webhooks.create(
        scope, url="https://hooks.acme.example/mail", types=TYPES, description="Orders and receipts"
    )
    other = await api.rooms.webhooks.create(
        scope, url="https://crm.acme.example/in", types=["message.bounced"]
    )
    await api.rooms.webhooks.disable(scope, other.endpoint.id, reason="moves to another host")
    for number, (outcome, status, took, answer) in enumerate(ANSWERS):
        attempt = Delivery(
            webhook_id=made.endpoint.id,
            tenant_id=scope.tenant_id,
            event=f"msg_06f4x4drj11n8-0-{number}-{made.endpoint.id}",
            type="message.delivered",
            message_id=1,
            at=clock.now_ms() - (60 - 9 * number) * clock.SECOND,
            attempt=1 + number % 3,
            outcome=outcome,
            status=status,
            took=took,
            answer=answer,
        )
        await api.rooms.webhooks.note_delivery(scope, attempt)
    return made.endpoint.id


async def test_keys_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/keys", "keys")


async def test_the_dialog_of_a_key_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], "/keys", "keys-add", opened("add"))


async def test_a_new_key_looks_as_it_should(chromium, box):
    async def make(page):
        await opened("add")(page)
        await page.get_by_label("Name").fill("erp")
        await page.get_by_label("Send mail").check()
        await page.get_by_role("button", name="Make the key", exact=True).click()
        await page.locator("#token").wait_for()

    await look(chromium, *box[:2], "/keys", "key-made", make)


async def test_webhooks_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/webhooks", "webhooks")


async def test_a_webhook_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], f"/webhooks/{box[3]}", "webhook")


async def test_tenants_look_as_they_should(chromium, box):
    await look(chromium, box[0], box[2], "/tenants", "tenants")


async def test_a_tenant_looks_as_it_should(chromium, box):
    await look(chromium, box[0], box[2], "/tenants/1", "tenant")


async def test_what_happens_when_a_tenant_is_suspended_looks_as_it_should(chromium, box):
    await look(chromium, box[0], box[2], "/tenants/1", "tenant-suspend", opened("suspend"))


async def test_the_secret_of_a_webhook_looks_as_it_should(chromium, box):
    async def rotate(page):
        await opened("rotate")(page)
        await page.get_by_role("button", name="Make it").click()
        await page.locator("#secret").wait_for()

    await look(chromium, *box[:2], f"/webhooks/{box[3]}", "webhook-secret", rotate)


async def test_the_audit_log_looks_as_it_should(chromium, box):
    await look(chromium, *box[:2], "/audit", "audit")


async def test_notifications_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/notifications", "notifications")


async def test_the_components_look_as_they_should(chromium, box):
    await look(chromium, box[0], box[2], "/components", "components")


async def test_users_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/users", "users")


async def test_a_user_looks_as_it_should(chromium, box):
    await look(chromium, box[0], box[2], "/users/1", "user")


async def test_the_settings_of_the_box_look_as_they_should(chromium, box):
    await look(chromium, box[0], box[2], "/settings?show=changed", "settings-box")


async def test_the_settings_of_a_tenant_look_as_they_should(chromium, box):
    await look(chromium, *box[:2], "/settings", "settings")


async def test_the_table_of_rights_looks_as_it_should(chromium, box):
    await look(chromium, box[0], box[2], "/settings/rights", "rights")


async def test_a_key_is_made_and_revoked_without_scripts(chromium, box):
    url, ada = box[:2]
    async with profile(chromium, java_script_enabled=False) as watched:
        await enter(watched, url, ada)
        page = await watched.page()
        await page.goto(f"{url}/keys")
        await page.locator('[commandfor="add"]').first.click()
        await page.get_by_label("Name").fill("by-hand")
        await page.get_by_label("Send mail").check()
        await page.get_by_role("button", name="Make the key", exact=True).click()
        assert (await page.locator("#token").inner_text()).startswith("pbk_")
        await page.goto(f"{url}/keys")
        await page.get_by_role("button", name="Revoke by-hand").click()
        await page.get_by_role("button", name="Revoke it").click()
        assert "by-hand opens nothing any more" in await page.locator(".toast").inner_text()
