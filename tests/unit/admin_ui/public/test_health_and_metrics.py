from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from admin_ui.app import create_app
from admin_ui.headers import HEADERS

PATH = "/var/lib/pillarbox/run/worker.sock"


class Processes:
    def __init__(self, *, well: bool = True) -> None:
        self.well = well

    async def health(self) -> dict[str, dict[str, Any]]:
        return {
            "mta-0": {"ok": True, "checks": {}},
            "worker": {"ok": self.well, "words": f"nobody answers at {PATH}"},
        }

    async def metrics(self) -> bytes:
        return b"# TYPE up gauge\nup 1\n"


@cache
def app_of(token: str, well: bool) -> Litestar:
    """Half a second each."""
    return create_app(Processes(well=well), None, token=token)


def client(address: str = "192.0.2.1", *, token: str = "", well: bool = True) -> TestClient[Any]:
    app = app_of(token, well)

    async def from_address(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "client": (address, 4711)}, receive, send)

    return TestClient(from_address)


@pytest.mark.parametrize(("well", "status"), [(True, 200), (False, 503)])
def test_health_is_bland_for_strangers(well: bool, status: int) -> None:
    answer = client(well=well).get("/health")
    assert answer.status_code == status
    assert answer.json() == {
        "ok": well,
        "processes": {"mta-0": {"ok": True}, "worker": {"ok": well}},
    }


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.9.9.9"])
def test_programs_of_this_machine_see_inside(address: str) -> None:
    assert PATH in client(address).get("/health").text
    assert client(address).get("/metrics").text == "# TYPE up gauge\nup 1\n"


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_what_a_proxy_passes_on_is_a_stranger(header: str) -> None:
    answer = client("127.0.0.1").get("/metrics", headers={header: "127.0.0.1"})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("token", "given", "status"),
    [
        ("s3cret", "Bearer s3cret", 200),
        ("s3cret", "bearer s3cret", 200),
        ("s3cret", "Bearer wrong", 401),
        ("s3cret", "Basic s3cret", 401),
        ("s3cret", "Bearer", 401),
        ("s3cret", "", 401),
        ("", "Bearer ", 401),
        ("", "", 401),
    ],
)
def test_strangers_need_the_token(token: str, given: str, status: int) -> None:
    answer = client(token=token).get("/metrics", headers={"Authorization": given})
    assert answer.status_code == status
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


def test_every_answer_carries_the_security_headers() -> None:
    answer = client().get("/health")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_monitors_may_ask_with_head() -> None:
    answer = client(well=False).head("/health")
    assert answer.status_code == 503
