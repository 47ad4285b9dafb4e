from __future__ import annotations

import logging
from http import HTTPStatus

import pytest
from litestar import Litestar, Request, get
from litestar.testing import TestClient

from admin_ui.errors import HANDLERS, STATUS, status_of
from admin_ui.headers import HEADERS, add_headers
from appliance.core import errors
from appliance.core.errors import FencedError, NotFoundError, PillarboxError, StoreError, UsageError

ANSWERS: dict[str, Exception] = {
    "/usage": UsageError("name the tenant this belongs to"),
    "/missing": NotFoundError("no such domain"),
    "/store": StoreError("the database at /var/lib/pillarbox/control.db is locked"),
    "/crash": RuntimeError("a secret path"),
}


@get(list(ANSWERS))
async def fail(request: Request) -> None:
    raise ANSWERS[request.url.path]


@pytest.fixture
def client() -> TestClient[Litestar]:
    app = Litestar(
        [fail], exception_handlers=HANDLERS, before_send=[add_headers], logging_config=None
    )
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("path", "status", "detail"),
    [
        ("/usage", 400, "name the tenant this belongs to"),
        ("/missing", 404, "no such domain"),
        ("/nowhere", 404, "Not Found"),
    ],
)
def test_what_the_asker_did_wrong_is_told_in_words(
    client: TestClient[Litestar], path: str, status: int, detail: str
) -> None:
    answer = client.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    assert answer.status_code == status


@pytest.mark.parametrize(("path", "status"), [("/store", 503), ("/crash", 500)])
def test_what_is_wrong_inside_is_told_to_the_log_alone(
    client: TestClient[Litestar], path: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["detail"] == "the box cannot do this now; its log says why"
    assert str(ANSWERS[path]) in caplog.text


@pytest.mark.parametrize("path", ["/usage", "/crash", "/nowhere"])
def test_errors_carry_the_security_headers_too(client: TestClient[Litestar], path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_every_error_of_the_box_has_a_status() -> None:
    known = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, PillarboxError)
    ]
    assert len(known) > 10
    for cls in known:
        assert 400 <= status_of(cls("x")) < 600


def test_the_nearest_ancestor_decides() -> None:
    assert FencedError not in STATUS
    assert status_of(FencedError("x")) == 503
