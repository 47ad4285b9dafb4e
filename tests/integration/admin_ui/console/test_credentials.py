"""The pages of credentials and the way to the first message, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from admin_ui.console.onboarding import onboarding_of
from appliance.credentials import Try
from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.published import publish

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("console-credentials"),
]
BAD = '"><script>alert(1)</script>'
NOW = 1_800_000_000_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


async def _credential(api, name="billing-app"):
    scope = SYSTEM.within(api.tenants["acme"])
    (found,) = [
        one
        for one in await api.rooms.credentials.list(scope)
        if one.name == name and not one.revoked_at
    ]
    return found


async def test_a_tenant_is_led_from_its_name_to_its_first_message(api, ada):
    page = await ada.get("/onboarding")
    assert page.text("[aria-current=step]") == "1Your organisation"
    wish = {"organisation": "", "country": "DE", "postal_address": "Kai 1\nHamburg"}
    page = await ada.submit("/onboarding/organisation", wish, expect=422)
    assert page.text("#organisation-note")
    assert page.value("country") == "DE"
    page = await ada.submit("/onboarding/organisation", wish | {"organisation": BAD})
    page = await ada.follow(page)
    assert page.text("[aria-current=step]") == "2A domain"
    page = await ada.submit("/onboarding/domain", {"name": "nonsense"}, expect=422)
    assert page.text("#name-note")
    page = await ada.follow(await ada.submit("/onboarding/domain", {"name": "acme.example"}))
    assert len(page.all(".record")) == 6
    await publish(api.rooms, "acme.example")
    page = await ada.get("/onboarding?step=domain")
    assert "All records are right" in page.text(".note")
    page = await ada.get("/onboarding")
    assert page.text("[aria-current=step]") == "3A credential"
    page = await ada.get("/onboarding?step=message")  # there is no login to show
    assert page.text("[aria-current=step]") == "3A credential"
    page = await ada.get("/onboarding?step=organisation")
    assert BAD not in page.html
    assert page.value("organisation") == BAD


async def test_the_password_stands_on_the_page_that_makes_it_and_nowhere_else(api, ada):
    page = await ada.submit("/onboarding/credential", {"name": "Billing-App"}, expect=200)
    password = page.text("#password")
    found = await _credential(api)
    assert password
    assert page.answer.headers["cache-control"] == "no-store"
    assert password in page.text("#settings-postfix")
    assert page.text("#server") == "box.test"
    assert "Waiting for your first message" in page.text("#first .note")
    for path in ("/onboarding?step=message", f"/credentials/{found.id}", "/credentials"):
        assert password not in (await ada.get(path)).html
    page = await ada.get(f"/credentials/{found.id}?tab=django")
    assert page.all("input[value=django][checked]")
    assert len(page.all(".pane")) == 7


async def test_the_page_tells_each_step_of_the_first_message(api, ada):
    found = await _credential(api)
    path = f"/credentials/{found.id}"
    note = api.rooms.tries.note_tries
    await note(
        [Try(credential_id=found.id, at=NOW, words="535 5.7.8 user name or password is wrong")]
    )
    assert "Sign-in refused" in (await ada.get(path)).text(".timeline")
    signed = Try(credential_id=found.id, at=NOW, address="203.0.113.40", tls="TLSv1.3 X")
    words = f"550 5.7.1 {BAD} is no verified domain of this account"
    refused = Try(credential_id=found.id, at=NOW + 1, sender=BAD, words=words)
    await note([signed, refused, Try(credential_id=999, at=NOW)])
    page = await ada.get(path)
    assert "203.0.113.40, TLSv1.3" in page.text(".timeline")
    assert page.text(".timeline .bad .quote") == words
    assert page.all('.timeline .bad a[href="/domains"]')
    assert BAD not in page.html
    assert "Refused last" in (await ada.get("/credentials")).text("tbody td.state")

    await api.rooms.tries.note_mail({found.id: (NOW + 2, 7 << 20)}, {})
    page = await ada.get(path)
    assert page.texts(".timeline .good b") == ["Connected", "Signed in", "Accepted"]
    scope = SYSTEM.within(api.tenants["acme"])
    assert not (await onboarding_of(api.rooms, scope)).is_over
    await api.rooms.tries.note_mail({}, {found.id: (NOW + 3, 7 << 20)})
    page = await ada.get(path)
    assert "Your first message has arrived" in page.text("#first .note")
    assert (await onboarding_of(api.rooms, scope)).is_over
    # What is in use writes nothing down but refusals.
    await note([Try(credential_id=found.id, at=NOW + 9, address="192.0.2.1")])
    assert (await api.rooms.tries.of(scope, [found.id]))[found.id].address == "203.0.113.40"


async def test_what_it_may_do_is_changed_and_what_is_wrong_stands_at_its_field(api, ada):
    found = await _credential(api)
    wish = {
        "allowed_from": "acme.example",
        "networks": "203.0.113.0/24",
        "recipients_per_hour": "600",
        "recipients_per_day": "",
        "pool": "",
        "traffic_class": "transactional",
        "compliance": "warn",
        "tags": "billing",
        "surge_hold": "yes",
    }
    path = f"/credentials/{found.id}"
    for field, wrong in (("networks", "nowhere"), ("tags", "<b>"), ("pool", "none")):
        page = await ada.submit(f"{path}/policy", wish | {field: wrong}, expect=422)
        assert page.all("dialog#policy[data-open]")
        assert page.text(f"#{field}-note"), field
    page = await ada.follow(await ada.submit(f"{path}/policy", wish))
    assert "600 recipients an hour" in page.text("dl.pairs")
    policy = (await _credential(api)).policy
    assert (policy.networks, policy.tags, policy.surge_hold) == (
        ("203.0.113.0/24",),
        ("billing",),
        True,
    )
    page = await ada.submit(f"{path}/policy", wish | {"any_from": "yes"}, expect=422)
    assert "Only the box" in page.text("dialog#policy")


async def test_it_is_rotated_tried_and_revoked(api, ada):
    found = await _credential(api)
    path = f"/credentials/{found.id}"
    page = await ada.submit(f"{path}/rotate", {"hours": "x"}, expect=422)
    assert page.text("#hours-note")
    page = await ada.submit(f"{path}/rotate", {"hours": "24"}, expect=200)
    assert page.text("#user") != found.logins[0].username
    assert page.text("#password")
    assert len((await ada.get(path)).texts(".rows code")) == 2
    await ada.submit(f"{path}/test")
    assert api.carrier.handed[-1][1].sender == "test@acme.example"
    await ada.submit(f"{path}/revoke")
    assert (await ada.get("/credentials")).texts("tbody td.title") == []
    assert (await ada.get("/credentials?revoked=true")).texts("tbody td.title") == ["billing-app"]


async def test_names_are_checked_and_others_are_kept_out(api, ada):
    for name in (BAD, ""):
        page = await ada.submit("/credentials", {"name": name}, expect=422)
        assert page.text("#name-note")
        assert BAD not in page.html
    page = await ada.submit("/credentials", {"name": "app"}, expect=200)
    path = f"/credentials/{(await _credential(api, 'app')).id}"
    page = await ada.submit("/credentials", {"name": "app"}, expect=422)
    assert "already" in page.text("#name-note")
    bob = await visitor(api, "owner", "globex")
    await bob.get(path, expect=404)
    for act in ("policy", "rotate", "revoke", "test"):
        await bob.submit(f"{path}/{act}", back="/credentials")
        assert "No credential has the id" in (await bob.get("/credentials")).text(".toast"), act
    carl = await visitor(api, "viewer", "acme")
    await carl.get(path, expect=403)
    await carl.submit(f"{path}/revoke", expect=403)
    await carl.get("/onboarding", expect=403)


async def test_the_admin_of_a_fresh_box_makes_its_first_tenant_and_is_in_its_view(tmp_path):
    async with open_api(tmp_path) as api:
        ann = await visitor(api)
        page = await ann.get("/onboarding")
        assert "Create your first tenant" in page.text("main")
        page = await ann.submit("/onboarding/tenant", {"name": "no name!"}, expect=422)
        assert page.text("#name-note")
        answer = await ann.submit("/onboarding/tenant", {"name": "acme"})
        page = await ann.follow(answer)
        assert page.text("[aria-current=step]") == "1Your organisation"
        assert page.all(".visiting")
