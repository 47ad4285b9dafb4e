"""The pages of domains, credentials and onboarding in a browser."""

from __future__ import annotations

import pytest
import pytest_asyncio

from appliance.core import clock
from appliance.core.scope import Scope
from appliance.credentials import Policy, Try, Use
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.looking import look
from tests.support.published import publish
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
DOMAINS = ("mail.acme.example", "acme.example", "news.acme.example", "acme-store.example")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    async with (
        open_api(tmp_path_factory.mktemp("box"), "acme") as api,
        served(api.app) as url,
    ):
        ada = await visitor(api, "owner", "acme")
        tenant = await api.rooms.tenants.by_id(SYSTEM, api.tenants["acme"])
        scope = Scope.tenant(tenant.id, by="ada")
        for name in DOMAINS:
            await api.rooms.domains.create(scope, tenant_id=tenant.id, name=name)
        missing = ("_dmarc.mail.acme.example", "_dmarc.acme.example")
        await publish(api.rooms, "mail.acme.example", cut="k=rsa", missing=missing)
        await publish(api.rooms, "acme.example")
        await publish(api.rooms, "news.acme.example", missing=("_pillarbox.news.acme.example",))
        for name in ("billing-app", "web-shop", "crm"):
            policy = Policy(
                networks=("203.0.113.0/24",), recipients_per_hour=600, tags=("billing",)
            )
            await api.rooms.credentials.create(scope, tenant, name=name, policy=policy)
        yield api, url, ada


async def _tries(api):
    """The first credential was refused, the second is in use."""
    now = clock.now_ms()
    words = (
        "550 5.7.1 From is of acme-store.example, which is no verified domain of this account:"
        " verify it, or send From an address of one that is"
    )
    signed = {"at": now, "address": "203.0.113.40", "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384"}
    await api.rooms.tries.note_tries(
        [
            Try(credential_id=1, **signed),
            Try(credential_id=1, at=now + 1, sender="shop@acme-store.example", words=words),
            Try(credential_id=2, **signed),
        ]
    )
    uses = [Use(credential_id=n, at=now, address="203.0.113.40") for n in (1, 2)]
    await api.rooms.credentials.note_uses(uses)
    await api.rooms.tries.note_mail({}, {2: (now, 7 << 20)})


async def test_the_list_of_domains_looks_as_it_should(chromium, box):
    _, url, ada = box
    await look(chromium, url, ada, "/domains", "domains")


async def test_a_domain_looks_as_it_should(chromium, box):
    api, url, ada = box
    (found,) = [one for one in await api.rooms.domains.list(SYSTEM) if one.name == DOMAINS[0]]
    await look(chromium, url, ada, f"/domains/{found.id}", "domain")


async def test_credentials_look_as_they_should(chromium, box):
    api, url, ada = box
    await _tries(api)
    await look(chromium, url, ada, "/credentials", "credentials")
    await look(chromium, url, ada, "/credentials/1", "credential")


async def test_what_a_credential_may_do_looks_as_it_should(chromium, box):
    _, url, ada = box

    async def opened(page):
        await page.locator('[command="show-modal"][commandfor="policy"]').click()
        await page.locator("dialog#policy[open]").wait_for()

    await look(chromium, url, ada, "/credentials/3", "credential-policy", opened)


async def test_the_beginning_looks_as_it_should(chromium, box):
    _, url, ada = box
    await look(chromium, url, ada, "/onboarding", "onboarding")
    await look(chromium, url, ada, "/onboarding?step=domain", "onboarding-domain")
