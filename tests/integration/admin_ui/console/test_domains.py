"""The pages of sending domains, over real rooms."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.api import SYSTEM, open_api
from tests.support.console import visitor
from tests.support.published import Dns, publish

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("console-domains")]
BAD = '"><script>alert(1)</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("box"), "acme", "globex") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(api):
    return await visitor(api, "owner", "acme")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(api, ada):
    """A domain's address, added by its form."""
    assert "No domain yet" in (await ada.get("/domains")).text(".empty")
    return (await ada.submit("/domains", {"name": "Mail.Acme.example"})).location


async def test_a_new_domain_shows_all_records_to_copy(api, ada, made):
    page = await ada.get(made)
    assert page.text("h1").startswith("mail.acme.example 6 of 6 records need work")
    (found,) = await api.rooms.domains.list(SYSTEM.within(api.tenants["acme"]))
    shown = page.texts(".record .copy code")
    for record in api.rooms.domains.records(found):
        assert record.name in shown
        assert record.value in shown
    zone = await ada.http.get(f"{made}/zone")
    assert zone.headers["content-disposition"].endswith('"mail.acme.example.zone"')
    assert zone.text.count(" IN TXT ") == 5
    assert "mailto:?subject=" in page.all('a[href^="mailto:"]')[0].get("href")


async def test_what_is_found_wrong_is_said_in_words_and_what_is_right_is_one_line(api, ada, made):
    """The nameserver of the test answers nothing: then what it says by hand."""
    page = await ada.follow(await ada.submit(f"{made}/check", back=made))
    assert page.text(".toast b") == "Looked at"
    assert set(page.texts(".record .badge")) == {"No answer"}
    await publish(api.rooms, "mail.acme.example", cut="k=rsa")
    page = await ada.get(made)
    (note,) = page.texts(".record .note")
    assert "cut off after 40 of" in note
    assert "Found: v=DKIM1; k=rsa; p=" in note
    assert len(page.all("details.record-right")) == 5
    assert "Send a test for me" in page.text(".actions")
    await publish(api.rooms, "mail.acme.example")
    assert (await ada.get(made)).text("h1") == "mail.acme.example Right"


async def test_what_the_name_servers_say_stands_beside_what_they_must(api, ada):
    name = "shop.astray.example"
    place = (await ada.submit("/domains", {"name": name})).location
    scope = SYSTEM.within(api.tenants["acme"])
    found = await api.rooms.domains.get(scope, name)
    zone = {(one.type, one.name): one.value for one in api.rooms.domains.records(found)}
    rsa, other = sorted(one for _, one in zone if "_domainkey" in one)[::-1]
    zone["TXT", f"_dmarc.{name}.astray.example"] = zone.pop(("TXT", f"_dmarc.{name}"))
    zone["TXT", rsa] = zone["TXT", other]
    del zone["CNAME", f"bounces.{name}"]
    zone["TXT", name] = f"v=spf1 include:mail.example {BAD} -all"
    await api.rooms.domains.check(scope, name, Dns(zone))
    page = await ada.get(place)
    assert BAD not in page.html
    assert "Asked: 192.0.2.53" in page.html
    notes = " ".join(page.texts(".record .note"))
    assert f"It stands at _dmarc.{name}.astray.example" in notes
    assert (
        "The DNS host appends astray.example by itself, so enter the name as _dmarc.shop." in notes
    )
    assert "It holds the key of the selector pb1e" in notes
    assert f"Found: nothing at bounces.{name}." in notes
    assert page.texts(".seen mark")
    values = page.texts(".record .copy code")
    (spf,) = [one for one in values if one.startswith("v=spf1")]
    assert "include:mail.example" in spf
    assert "include:bounces.box.test -all" in spf
    await ada.submit(f"{place}/remove")


async def test_keys_are_renewed_and_taken_over(api, ada, made):
    page = await ada.follow(await ada.submit(f"{made}/rotate"))
    assert len(page.all(".record")) == 8
    assert any("new" in title for title in page.texts("h3"))
    secret = "-----BEGIN PRIVATE KEY-----" + BAD
    page = await ada.submit(f"{made}/import", {"selector": "s1", "pem": secret}, expect=422)
    assert page.all("dialog#import[data-open]")
    assert page.value("selector") == "s1"
    assert page.text("#pem-note")
    assert "script>" not in page.html.replace("</script>", "").replace("<script ", "")
    page = await ada.submit(f"{made}/import", {"selector": BAD, "pem": "x"}, expect=422)
    assert page.text("#selector-note")
    assert BAD not in page.html


async def test_a_domain_becomes_the_default_and_has_its_own_return_path_mode(api, ada, made):
    other = (await ada.submit("/domains", {"name": "second.example"})).location
    page = await ada.follow(await ada.submit(f"{other}/default"))
    assert "Default domain" in page.html
    await ada.submit(f"{other}/return-path", {"mode": "message"})
    scope = SYSTEM.within(api.tenants["acme"])
    found = await api.rooms.domains.get(scope, "second.example")
    assert (found.is_default, found.return_path_mode) == (True, "message")
    await ada.submit(f"{other}/remove")
    assert (await ada.get("/domains")).texts("tbody td.title") == ["mail.acme.example"]


async def test_a_test_is_sent_from_the_domain_to_who_asks(api, ada, made):
    await publish(api.rooms, "mail.acme.example")
    await ada.submit(f"{made}/test", back=made)
    ((handed, letter),) = api.carrier.handed
    assert handed.tenant_id == api.tenants["acme"]
    assert (letter.sender, letter.recipients) == ("test@mail.acme.example", ("owner@acme.test",))


async def test_what_is_wrong_with_a_new_domain_stands_beside_its_field(ada, made):
    for name in (BAD, "mail.acme.example", ""):
        page = await ada.submit("/domains", {"name": name}, expect=422)
        assert page.all("dialog#add[data-open]")
        assert page.text("#name-note"), name
        assert BAD not in page.html


async def test_the_box_sees_all_domains_with_their_tenant_and_adds_them_for_one(api, made):
    admin = await visitor(api)
    page = await admin.submit("/domains", {"name": "third.example"}, expect=422)
    assert page.text("#tenant-note")
    wish = {"name": "third.example", "tenant": str(api.tenants["globex"])}
    await admin.submit("/domains", wish)
    page = await admin.get("/domains")
    assert {"acme", "globex"} <= set(page.texts("tbody td[data-label=Tenant]"))
    assert (await admin.get("/domains?q=third")).texts("tbody td.title") == ["third.exampleDefault"]


async def test_another_tenants_domain_is_not_there_and_a_viewer_changes_nothing(api, made):
    bob = await visitor(api, "owner", "globex")
    await bob.get(made, expect=404)
    for act in ("check", "rotate", "import", "default", "return-path", "remove", "test"):
        await bob.submit(
            f"{made}/{act}", {"mode": "", "selector": "a", "pem": "b"}, back="/domains"
        )
        assert "No domain has the id" in (await bob.get("/domains")).text(".toast"), act
    carl = await visitor(api, "viewer", "acme")
    page = await carl.get(made)
    assert not page.all("main form")
    await carl.submit(f"{made}/remove", expect=403)
