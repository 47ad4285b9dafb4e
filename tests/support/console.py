"""The console in this process, asked as a browser asks it, by people with any role, over real rooms.

async with open_api(path, "acme") as api:
    ada = await visitor(api, "owner", "acme")
    page = await ada.get("/suppressions")
    assert page.text("h1") == "Suppressions"
    await ada.submit("/suppressions", {"target": "ada@example.net"})

A Page is what came back, with lxml's eyes on it. `submit` fills in what every form of the page carries.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
from lxml import html as lxml_html

from appliance.people import Client, Opened

if TYPE_CHECKING:
    from tests.support.api import Api

HERE = Client(address="192.0.2.7", agent="Firefox")
BOX_ROLES = ("admin", "support")
PASSWORD = "correct horse battery"


@dataclass
class Page:
    """An answer, and how to look at it."""

    answer: httpx.Response

    def __post_init__(self) -> None:
        self.html = self.answer.text
        self.tree = lxml_html.fromstring(self.html) if self.html.strip() else None

    @property
    def status(self) -> int:
        return self.answer.status_code

    @property
    def location(self) -> str:
        """Where a form sends the browser."""
        return self.answer.headers.get("location", "")

    def all(self, selector: str) -> list[Any]:
        assert self.tree is not None, self.answer
        return list(self.tree.cssselect(selector))

    def text(self, selector: str) -> str:
        """The words of the first that fits."""
        found = self.all(selector)
        assert found, f"{selector} is not in {self.html[:4000]}"
        return " ".join(found[0].text_content().split())

    def texts(self, selector: str) -> list[str]:
        return [" ".join(one.text_content().split()) for one in self.all(selector)]

    def value(self, name: str) -> str:
        """Of a field."""
        return str(self.all(f'[name="{name}"]')[0].get("value"))


class Visitor:
    """Somebody with a browser, signed in."""

    def __init__(self, api: Api, opened: Opened) -> None:
        self.api, self.opened = api, opened
        transport = httpx.ASGITransport(api.app, client=("192.0.2.7", 1))
        self.http = httpx.AsyncClient(
            transport=transport,
            base_url="http://box.test",
            cookies={"pillarbox": opened.token},
            headers={"Accept": "text/html"},
        )

    async def get(self, path: str, *, expect: int = 200, **headers: str) -> Page:
        answer = await self.http.get(path, headers=headers)
        assert answer.status_code == expect, _told("GET", path, answer)
        return Page(answer)

    async def submit(
        self,
        path: str,
        fields: dict[str, Any] | None = None,
        *,
        expect: int = 303,
        files: Any = None,
        **own: str,
    ) -> Page:
        """A form of a page of the visitor's view; `own` overrules what every form carries."""
        proof = {"csrf": self.opened.csrf, "view": str(self.opened.tenant_id), "back": "/"} | own
        answer = await self.http.post(
            path,
            data=proof | (fields or {}),
            files=files,
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert answer.status_code == expect, _told("POST", path, answer)
        return Page(answer)

    async def follow(self, page: Page) -> Page:
        """The page that a form leads to, with what it says of it."""
        assert page.location, page.answer
        return await self.get(page.location)

    async def close(self) -> None:
        await self.http.aclose()


async def visitor(api: Api, role: str = "admin", tenant: str = "", name: str = "") -> Visitor:
    """Somebody with a role of the box, or of a tenant, in their own view."""
    email = name or f"{role}@{tenant or 'box'}.test"
    tenant_id = api.tenants[tenant] if tenant else 0
    desk = api.rooms.people
    from tests.support.api import SYSTEM

    _, url = await desk.invitations.link(SYSTEM, email=email, role=role, tenant_id=tenant_id)
    opened = await desk.invitations.accept(
        url.rpartition("/")[2], HERE, name=email.partition("@")[0], password=PASSWORD
    )
    assert opened is not None
    return Visitor(api, opened)


def _told(method: str, path: str, answer: httpx.Response) -> str:
    """The words of an answer that was not expected."""
    words = lxml_html.fromstring(answer.text).text_content() if answer.text.strip() else ""
    return f"{method} {path}: {answer.status_code} {' '.join(words.split())[-2000:]}"
