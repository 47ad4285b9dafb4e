"""A walk of every route of the API: rights, strangers, other tenants, examples, pages.

A route that is added is walked without a word here, except that one with a new parameter in its path must be
told what another tenant's is.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from litestar import Response
from litestar.response import File

from admin_ui.api.guard import PUBLIC, RIGHT
from admin_ui.api.openapi import BODY, EXAMPLE, document
from admin_ui.api.rates import Rates
from appliance.core.scope import Scope
from appliance.jobs import Order
from appliance.keys import Wish
from appliance.operations import Target
from appliance.rights import BOX_ROLES, GRANTS, Right, Role
from tests.support.api import SYSTEM, Api, open_api
from tests.support.people import HERE as CLIENT
from tests.support.people import PASSWORD

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("every-route")]

NOWHERE = {"message": "0000000000000", "action": "retry", "name": "nobody", "egress": "nobody"}
NOBODYS = {"kind"}
"""Parameters of paths that name nothing which belongs to somebody."""

HIGH = 1 << 52
ODD_CURSORS = ("-1", "1e3", "٣", "no-such-cursor", "k", "9" * 30)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory):
    async with open_api(tmp_path_factory.mktemp("api"), "acme", "beta") as opened:
        yield opened


@pytest.fixture(autouse=True)
def nobody_has_asked_yet(api):
    api.app.state.rates = Rates()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def betas(api):
    """What belongs to beta, by the name of the parameter that names it."""
    return await everything_of(api, "beta")


async def everything_of(api: Api, tenant: str) -> dict[str, str]:
    rooms, owner = api.rooms, api.tenants[tenant]
    scope = Scope.tenant(owner, by="test")
    record = await rooms.tenants.by_id(SYSTEM, owner)
    issued = await rooms.credentials.create(SYSTEM, record, name="app")
    pause = await rooms.operations.pause(scope, Target(domain="good.test"), reason="wait")
    made = {
        "credential_id": issued.credential.id,
        "domain_id": (
            await rooms.domains.create(SYSTEM, tenant_id=owner, name=f"{tenant}.test")
        ).id,
        "job_id": (await rooms.jobs.order(scope, Order(kind="test", tenant_id=owner))).id,
        "key_id": (
            await rooms.keys.create(
                scope, Wish(name="app", rights=frozenset({Right.KEYS_READ})), held=set(Right)
            )
        ).key.id,
        "pause_id": pause.id,
        "suppression_id": (await rooms.suppressions.add(scope, "jane@good.test")).id,
    }
    others = await _made_over_http(api, tenant)
    names = {"name": tenant, "message": api.owners.add(owner), "action": "hold"}
    return {name: str(value) for name, value in (made | others).items()} | names


async def _made_over_http(api: Api, tenant: str) -> dict[str, int]:
    """Of rooms whose making is the face's: an endpoint and an invitation."""
    token = api.token(GRANTS[Role.OWNER], tenant)
    asked = {"url": "https://hooks.example/in", "types": ["message.delivered"]}
    endpoint = await api.good("POST", "/webhooks", token, _example(api, "POST", "/webhooks", asked))
    return {"webhook_id": _id(endpoint)} | await _people(api, api.tenants[tenant])


async def _people(api: Api, owner: int) -> dict[str, int]:
    """Somebody who came, and somebody who was asked to."""
    desk = api.rooms.people.invitations
    _, url = await desk.link(SYSTEM, email=f"jo-{owner}@x.test", role="viewer", tenant_id=owner)
    opened = await desk.accept(url.rpartition("/")[2], CLIENT, name="Jo", password=PASSWORD)
    assert opened is not None
    asked, _ = await desk.link(SYSTEM, email=f"ada-{owner}@x.test", role="viewer", tenant_id=owner)
    users = await api.rooms.people.users.list(Scope.tenant(owner))
    (jo,) = [one for one in users if one.email.startswith("jo-")]
    return {"invitation_id": asked.id, "user_id": jo.id}


def _id(answer: dict[str, Any]) -> int:
    """The id in an answer, or in what it holds."""
    if "id" in answer:
        return int(answer["id"])
    return next(int(one["id"]) for one in answer.values() if isinstance(one, dict) and "id" in one)


def _example(api: Api, method: str, path: str, instead: Any) -> Any:
    for handler, verb, place in routes(api):
        if (verb, place) == (method, path):
            return handler.opt[EXAMPLE].request
    return instead


def routes(api: Api) -> list[tuple[Any, str, str]]:
    """Handler, method and path behind /api/v1 of every route that a key may open."""
    return [
        (handler, str(method), route.path_format.removeprefix("/api/v1"))
        for route in api.app.routes
        if route.path_format.startswith("/api/v1")
        for handler in getattr(route, "route_handlers", ())
        for method in sorted(handler.http_methods)
        if method not in ("OPTIONS", "HEAD") and not handler.opt.get(PUBLIC)
    ]


def _names(path: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", path))


def _filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: values[found[1]], path)


def _nowhere(path: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: NOWHERE.get(found[1], str(HIGH)), path)


def _body(handler: Any) -> Any:
    """What is no request of any route, so that one which is let through does nothing."""
    return {"no such field": 1} if handler.opt[EXAMPLE].request is not None else None


async def test_every_route_has_a_right_and_an_example(api):
    walked = routes(api)
    assert len(walked) > 60
    for handler, method, path in walked:
        assert isinstance(handler.opt.get(RIGHT), Right), (method, path)
        assert EXAMPLE in handler.opt, (method, path)
    used = {handler.opt[RIGHT] for handler, _, _ in walked}
    missing = set(Right) - used - {Right.BOX_READ, Right.MESSAGES_SOURCE}
    missing -= {Right.NOTIFICATIONS_READ, Right.NOTIFICATIONS_MANAGE}
    assert not missing


async def test_strangers_hear_401_everywhere(api):
    for handler, method, path in routes(api):
        for token in ("", "stolen"):
            answer = await api.ask(method, _nowhere(path), token, _body(handler))
            assert answer.status_code == 401, (method, path, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


async def test_each_route_takes_its_right_and_no_other(api):
    """All rights but its own do not open it; its own alone does."""
    without = {right: api.token(set(Right) - {right}, "acme") for right in Right}
    alone = {right: api.token({right}, "acme") for right in Right}
    for handler, method, path in routes(api):
        right = handler.opt[RIGHT]
        assert await _is_refused(api, handler, method, path, without[right]), (method, path)
        assert not await _is_refused(api, handler, method, path, alone[right]), (method, path)


async def _is_refused(api: Api, handler: Any, method: str, path: str, token: str) -> bool:
    """For want of a right; what is let through does nothing, and never crashes."""
    answer = await api.ask(method, _nowhere(path), token, _body(handler))
    assert answer.status_code < 500, (method, path, answer.text)
    return answer.status_code == 403 and "needs the right" in answer.json()["detail"]


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_may_what_the_table_says(api, role):
    token = api.token(GRANTS[role], "" if role in BOX_ROLES else "acme")
    for handler, method, path in routes(api):
        is_refused = await _is_refused(api, handler, method, path, token)
        assert is_refused is (handler.opt[RIGHT] not in GRANTS[role]), (method, path)


async def test_another_tenants_ids_are_not_found(api, betas):
    """And are not changed: afterwards beta has all that it had."""
    token, walked = api.token(GRANTS[Role.OWNER], "acme"), 0
    for handler, method, path in routes(api):
        if not _names(path) - NOBODYS or handler.opt[RIGHT] not in GRANTS[Role.OWNER]:
            continue
        body = handler.opt[EXAMPLE].request
        answer = await api.ask(method, _filled(path, betas), token, body)
        if answer.status_code == 403:  # a tenant may this to nobody: it tells nothing of whom
            same = await api.ask(method, _nowhere(path), token, body)
            assert same.json() == answer.json(), (method, path)
        else:
            assert answer.status_code == 404, (method, path, answer.text)
            walked += 1
    assert walked > 20
    own = api.token(GRANTS[Role.OWNER], "beta")
    for handler, method, path in routes(api):
        is_shown = (
            method == "GET" and _names(path) - NOBODYS and handler.opt[RIGHT] in GRANTS[Role.OWNER]
        )
        if is_shown and not path.startswith(("/messages", "/users", "/exports")):
            answer = await api.ask(method, _filled(path, betas), own)
            assert answer.status_code == 200, (method, path, answer.text)


async def test_another_tenants_name_is_not_found(api):
    """Neither is one that nobody has: the answers are the same but for the name."""
    token, walked = api.token(GRANTS[Role.OWNER], "acme"), 0
    for handler, method, path in routes(api):
        names = set(handler.parsed_fn_signature.parameters)
        if "tenant" not in names or handler.opt[RIGHT] not in GRANTS[Role.OWNER]:
            continue
        needed = {"address": "a@b.test", "domain": "b.test", "by": "domain"}
        query = {name: value for name, value in needed.items() if name in names}
        for tenant in ("beta", "nobody"):
            answer = await api.ask(
                method, path, token, handler.opt[EXAMPLE].request, tenant=tenant, **query
            )
            assert answer.status_code == 404, (method, path, answer.text)
        walked += 1
    assert walked > 10


async def test_every_example_is_what_the_route_takes_and_gives(api):
    for handler, method, path in routes(api):
        example = handler.opt[EXAMPLE]
        wanted = handler.opt.get(BODY) or (
            handler.parsed_data_field.annotation if handler.parsed_data_field else None
        )
        assert (example.request is None) is (wanted is None), (method, path)
        if wanted is not None:
            msgspec.json.decode(msgspec.json.encode(example.request), type=wanted)
        shape = handler.parsed_return_field
        if shape.is_subclass_of(File):  # no JSON
            continue
        given = shape.inner_types[0].annotation if shape.is_subclass_of(Response) else None
        given = given or shape.annotation
        told = msgspec.json.decode(msgspec.json.encode(example.answer))
        read = msgspec.convert(told, given)
        again = msgspec.json.decode(msgspec.json.encode(read))
        assert _times(again) == _times(told), (method, path)


def _times(value: Any) -> Any:
    """With every time in one form."""
    if isinstance(value, dict):
        return {name: _times(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_times(one) for one in value]
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value):
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


async def test_every_list_refuses_huge_pages_and_odd_cursors(api):
    token, walked, described = api.token(), 0, document(api.app)
    for handler, method, path in routes(api):
        names = set(handler.parsed_fn_signature.parameters)
        if "limit" not in names:
            continue
        place = _nowhere(path)
        most = _most_rows(described, path)
        assert most <= 1000, path
        needed = {"by": "domain"} if "/statistics/" in path else {}
        for limit in ("0", str(most + 1), "-1", "x", "1" * 30):
            answer = await api.ask(method, place, token, limit=limit, **needed)
            assert answer.status_code == 400, (path, limit, answer.text)
            assert [one["field"] for one in answer.json()["errors"]] == ["limit"], path
        for cursor in ODD_CURSORS if "cursor" in names else ():
            answer = await api.ask(method, place, token, cursor=cursor, **needed)
            assert answer.status_code in (400, 404 if "{" in path else 400), (path, answer.text)
            if answer.status_code == 400:
                assert answer.json().get("errors", [{}])[0].get("field") == "cursor", (
                    path,
                    cursor,
                    answer.text,
                )
        walked += 1
    assert walked > 15


def _most_rows(described: Any, path: str) -> int:
    parameters = described["paths"]["/api/v1" + path]["get"]["parameters"]
    (limit,) = [one["schema"] for one in parameters if one["name"] == "limit"]
    return int(limit["maximum"])


async def test_the_description_has_every_route_with_an_example(api):
    answer = await api.http.get("/api/openapi.json")
    described = answer.json()
    assert described["openapi"].startswith("3.1")
    for handler, method, path in routes(api):
        operation = described["paths"]["/api/v1" + path][method.lower()]
        assert operation["x-right"] == handler.opt[RIGHT]
        assert operation["summary"], path
        assert operation["tags"], path
        good = [one for status, one in operation["responses"].items() if status.startswith("2")]
        if handler.opt[EXAMPLE].answer is not None:
            (content,) = good[0]["content"].values()
            assert content["example"] is not None, path
        if handler.opt[EXAMPLE].request is not None:
            (body,) = operation["requestBody"]["content"].values()
            assert body["example"] == handler.opt[EXAMPLE].request
            assert body["schema"], path


async def test_the_docs_page_shows_every_operation_and_loads_nothing(api):
    answer = await api.http.get("/api/docs")
    page = answer.text
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for _, method, path in routes(api):
        assert f"{method}</span> /api/v1{path}" in page
    assert "<script" not in page
    assert not re.search(r"<(img|link|iframe|object|embed)\b|url\(|@import|\bsrc=|\bstyle=", page)


async def test_numbers_that_no_id_can_be_are_refused(api):
    token = api.token()
    for handler, method, path in routes(api):
        for number in ("0", "-1", "9" * 19, "9" * 40) if "_id}" in path else ():
            place = re.sub(r"\{\w+_id\}", number, path)
            answer = await api.ask(method, place, token, _body(handler))
            assert answer.status_code in (400, 404), (method, place, answer.text)


NO_BODIES = (
    b"",
    b"null",
    b"[]",
    b"{",
    b'"\xed\xa0\x80"',
    b'{"name":"\xff"}',
    b'{"name":"\\ud800"}',
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
)


async def test_bodies_that_are_no_request_are_refused(api):
    tokens = [api.token(), api.token(GRANTS[Role.OWNER], "acme")]
    for handler, method, path in routes(api):
        for content in NO_BODIES if handler.opt[EXAMPLE].request is not None else ():
            api.app.state.rates = Rates()
            token = tokens[handler.opt[RIGHT] is Right.MESSAGES_SEND]
            answer = await api.http.request(
                method,
                f"/api/v1{_nowhere(path)}",
                headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
                content=content,
            )
            assert answer.status_code == 400, (method, path, content[:30], answer.text)
