"""A walk of every page of the console: strangers, rights, forms without their proof, other tenants, dead links.

A page that is added is walked without a word here, except that one with a new parameter in its path must be told
what another tenant's is (everything_of in test_every_route.py, and `others` here).
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest
import pytest_asyncio

from admin_ui.api.guard import PUBLIC, RIGHT
from admin_ui.api.rates import Rates
from admin_ui.console.guard import SIGNED_IN
from appliance.core.scope import Scope
from appliance.rights import BOX_ROLES, GRANTS, Right, Role
from tests.integration.admin_ui.test_every_route import HIGH, ODD_CURSORS, everything_of
from tests.support.api import Api, open_api
from tests.support.console import Page, Visitor, visitor

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("every-page")]

NOWHERE = {"message": "0000000000000", "name": "nobody", "egress": "nobody", "domain": "no.test"}
NOBODYS = {"domain", "kind", "what"}
"""Parameters of paths that name nothing which belongs to somebody."""
NO_PAGES = re.compile(
    r"^/(api|assets|sign-out|live)|/(file|source\.eml|zone|records)\b|\.(eml|txt|csv)$"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("api"), "acme", "beta") as opened:
        yield opened


@pytest.fixture(autouse=True)
def nobody_has_asked_yet(api):
    api.app.state.rates = Rates()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def people(api):
    """Somebody of each role; those of a tenant are acme's."""
    return {role: await visitor(api, role, "" if role in BOX_ROLES else "acme") for role in Role}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def betas(api):
    return await everything_of(api, "beta") | {"tenant_id": str(api.tenants["beta"])}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acmes(api):
    return await everything_of(api, "acme") | {"tenant_id": str(api.tenants["acme"])}


def routes(api: Api) -> list[tuple[Any, str, str]]:
    """Handler, method and path of every page and form for members."""
    return [
        (handler, str(method), route.path_format)
        for route in api.app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.fn.__module__.startswith("admin_ui.console.") and not handler.opt.get(PUBLIC)
        for method in sorted(handler.http_methods)
        if method not in ("OPTIONS", "HEAD")
    ]


def _filled(path: str, values: dict[str, str]) -> str:
    return re.sub(
        r"\{(\w+)\}",
        lambda found: values.get(found[1], NOWHERE.get(found[1], str(HIGH))),
        path,
    )


def _nowhere(path: str) -> str:
    return _filled(path, {})


def _names(path: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", path))


def _needed(handler: Any) -> Right | None:
    return None if handler.opt.get(SIGNED_IN) else handler.opt[RIGHT]


async def _ask(api: Api, who: Visitor | None, method: str, path: str, **own: Any) -> Any:
    api.app.state.rates = Rates()
    if who is None:
        return await api.http.request(method, path, headers={"Accept": "text/html"})
    proof = {"csrf": who.opened.csrf, "view": str(who.opened.tenant_id), "back": "/"} | own
    return await who.http.request(method, path, data=proof if method == "POST" else None)


async def test_every_page_has_a_right_or_is_everybodys(api):
    walked = routes(api)
    assert len(walked) > 60
    for handler, method, path in walked:
        is_everybodys = handler.opt.get(SIGNED_IN)
        assert is_everybodys or isinstance(handler.opt.get(RIGHT), Right), (method, path)


async def test_strangers_are_led_to_the_sign_in_page(api):
    for _, method, path in routes(api):
        answer = await _ask(api, None, method, _nowhere(path))
        assert answer.status_code == 303, (method, path, answer.text[:300])
        assert answer.headers["location"].startswith("/sign-in"), (method, path)


async def test_a_form_without_its_proof_changes_nothing(api, people):
    ada = people[Role.ADMIN]
    for _, method, path in routes(api):
        if method == "POST":
            for wrong in ({"csrf": ""}, {"csrf": "x" * 43}, {"view": "7"}):
                answer = await _ask(api, ada, method, _nowhere(path), **wrong)
                assert answer.status_code == 403, (path, wrong, answer.status_code)


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_sees_and_does_what_the_table_says(api, people, role):
    for handler, method, path in routes(api):
        if path in ("/sign-out", "/view"):
            continue
        answer = await _ask(api, people[role], method, _nowhere(path))
        assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.text)
        needed = _needed(handler)
        if needed is not None and needed not in GRANTS[role]:
            assert answer.status_code == 403, (method, path, answer.status_code)
        else:
            assert answer.status_code != 403 or "needs the right" not in answer.text, (method, path)


async def test_another_tenants_ids_are_not_found(api, people, betas):
    """And nothing of them is changed: what a form says of it is that it was not done."""
    ada, walked = people[Role.OWNER], 0
    for handler, method, path in routes(api):
        needed = _needed(handler)
        if not _names(path) - NOBODYS or needed is None or needed not in GRANTS[Role.OWNER]:
            continue
        assert _names(path) - NOBODYS <= betas.keys(), f"{path}: say what another tenant's is"
        answer = await _ask(api, ada, method, _filled(path, betas))
        if method == "GET":
            assert answer.status_code == 404, (path, answer.status_code)
        else:
            assert _is_refused(answer), (path, answer.status_code, answer.text[:500])
        walked += 1
    assert walked > 20


def _is_refused(answer: Any) -> bool:
    if answer.status_code in (400, 403, 404, 422):
        return True
    told = answer.cookies.get("pillarbox_toast", "")
    return bool(told) and json.loads(urlsafe_b64decode(told))[0] == "error"


async def test_another_tenant_that_is_named_in_a_form_is_not_meant(api, people, betas):
    """What is made is one's own, and what is another's stays as it is."""
    beta, ada = Scope.tenant(api.tenants["beta"]), people[Role.OWNER]
    named = {"tenant": betas["tenant_id"]}
    forms = (
        ("/domains", {"name": "theirs.test"}),
        ("/credentials", {"name": "theirs"}),
        ("/keys", {"name": "theirs", "rights": "messages.send"}),
        ("/queue/pauses", {"reason": "theirs", "domain": "theirs.test"}),
        ("/queue/actions", {"by": "domain", "action": "hold", "pick": "deferred theirs.test"}),
        ("/suppressions/remove", {"pick": betas["suppression_id"]}),
    )
    before = await _everything(api, beta)
    for path, fields in forms:
        await _ask(api, ada, "POST", path, **named, **fields)
    assert await _everything(api, beta) == before
    assert _is_refused(await _ask(api, ada, "POST", "/view", **named))
    made = await api.rooms.domains.list(Scope.tenant(api.tenants["acme"]))
    assert "theirs.test" in {one.name for one in made}, "the forms were right otherwise"


async def _everything(api: Api, scope: Scope) -> list[Any]:
    rooms = api.rooms
    lists = (rooms.domains, rooms.credentials, rooms.keys, rooms.jobs, rooms.suppressions)
    return [await one.list(scope) for one in lists] + [await rooms.operations.pauses(scope)]


async def test_anothers_session_and_passkey_are_not_ones_own(api, people):
    ada = people[Role.OWNER]
    other = people[Role.VIEWER].opened
    seen = await api.rooms.sessions.seen(other.token)
    for path in (f"/account/sessions/{seen.session_id}/end", "/account/passkeys/1/remove"):
        assert _is_refused(await _ask(api, ada, "POST", path)), path
    assert await api.rooms.sessions.seen(other.token) is not None


async def test_what_one_has_is_shown(api, people, acmes):
    """The walk above finds nothing because it is another's, not because nothing is ever found."""
    ada = people[Role.OWNER]
    for handler, method, path in routes(api):
        needed = _needed(handler)
        mine = _names(path) - NOBODYS
        if method != "GET" or not mine or needed is None or needed not in GRANTS[Role.OWNER]:
            continue
        if NO_PAGES.search(path) or mine & {"message", "user_id", "tenant_id"}:
            continue
        answer = await _ask(api, ada, method, _filled(path, acmes))
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-500:])


async def test_odd_cursors_and_numbers_crash_nothing(api, people):
    ada = people[Role.ADMIN]
    for handler, method, path in routes(api):
        names = set(handler.parsed_fn_signature.parameters)
        if method != "GET":
            continue
        for cursor in ODD_CURSORS if "cursor" in names else ():
            api.app.state.rates = Rates()
            answer = await ada.http.get(_nowhere(path), params={"cursor": cursor})
            assert answer.status_code in (200, 400, 404), (path, cursor, answer.status_code)
        for number in ("0", "-1", "9" * 40) if "_id}" in path else ():
            place = re.sub(r"\{\w+_id\}", number, path)
            answer = await _ask(api, ada, method, _nowhere(place))
            assert answer.status_code in (400, 404), (place, answer.status_code)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SUPPORT, Role.OWNER, Role.VIEWER])
async def test_every_link_leads_somewhere_and_every_page_keeps_the_rules(api, people, acmes, role):
    """A crawl from the home page: what somebody sees to press, they may press."""
    who, seen, waiting = people[role], set(), ["/"]
    while waiting and len(seen) < 150:
        path = waiting.pop(0)
        shape = re.sub(r"\d+", "N", path)  # one of many rows is enough
        if shape in seen or NO_PAGES.search(urlsplit(path).path):
            continue
        seen.add(shape)
        answer = await _ask(api, who, "GET", path)
        assert answer.status_code in (200, 303), (path, answer.status_code, answer.text[-800:])
        if answer.status_code == 200 and "text/html" in answer.headers["content-type"]:
            page = Page(answer)
            _keeps_the_rules(path, page)
            waiting += _links(path, page)
    assert len(seen) > 15


def _links(path: str, page: Page) -> list[str]:
    found = [urldefrag(urljoin(path, one.get("href", "")))[0] for one in page.all("a[href]")]
    return [one for one in found if one.startswith("/") and one not in ("", path)]


def _keeps_the_rules(path: str, page: Page) -> None:
    assert len(page.all("h1")) == 1, path
    assert len(page.all("main")) == 1, path
    assert not page.all("[style], script:not([src]), style, [onclick], [onload], [onerror]"), path
    policy = page.answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    ids = [one.get("id") for one in page.all("[id]")]
    assert len(ids) == len(set(ids)), (path, sorted({one for one in ids if ids.count(one) > 1}))
    for form in page.all('form[method="post"]'):
        fields = {one.get("name") for one in form.cssselect("input")}
        assert {"csrf", "view"} <= fields, (path, form.get("action"))
    primaries = [
        " ".join(one.text_content().split())
        for one in page.all("main .button.primary")
        if not any(above.tag == "dialog" for above in one.iterancestors())
        and not any("data-bulk" in above.attrib for above in one.iterancestors())
    ]
    assert len(primaries) <= 1, (path, primaries)
    for dialog in {one.get("commandfor") for one in page.all("[commandfor]")}:
        assert dialog in ids, (path, dialog)
