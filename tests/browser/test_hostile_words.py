"""Stored script tried in every text that reaches a page: every page is opened in a browser, and nothing comes of it.

A page is wrong when an attack has become an element of it, when any of it ran, when the policy had to stop
something, or when a link leads anywhere but to a page or a letter.
"""

from __future__ import annotations

import itertools
from urllib.parse import quote

import pytest
import pytest_asyncio

from appliance.rights import Role
from tests.integration.admin_ui.console.test_every_page import _filled, routes
from tests.support.api import open_api
from tests.support.busy_box import Reports
from tests.support.chromium import profile
from tests.support.console import visitor
from tests.support.hostile import ATTACK, sow
from tests.support.looking import enter
from tests.support.served import served

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("chromium")]
NO_PAGES = ("/counts", "/palette", "/theme", "/components")
FILES = (".eml", "/file", "/zone")
TRAPS = """
window.ran = 0;
window.boom = window.alert = window.confirm = window.prompt = () => { window.ran += 1; };
window.stopped = [];
addEventListener("securitypolicyviolation", (event) => window.stopped.push(event.violatedDirective));
"""
WRONG = """(root) => [
  ...[...root.querySelectorAll("x-x, img[src=x], [onerror], [onclick]")].map((one) => one.outerHTML),
  ...[...root.querySelectorAll("a[href], area[href]")].map((one) => one.href)
    .filter((to) => !/^(https?|mailto):/.test(to)),
  ...[...root.querySelectorAll("form")].map((one) => one.action)
    .filter((to) => to && new URL(to, location).origin !== location.origin),
]"""
LOOK = f"""() => ({{
  wrong: ({WRONG})(document), ran: window.ran, stopped: window.stopped,
  words: document.documentElement.outerHTML.toLowerCase().match(/m-[a-z0-9-]+/g) ?? [],
  forms: [...document.querySelectorAll("form[method=post]")].map((form) => ({{
    to: form.getAttribute("action"),
    fields: [...new FormData(form)].filter(([, said]) => typeof said === "string"),
    free: [...form.querySelectorAll("input:not([type]), input[type=text], input[type=search], textarea")]
      .map((one) => one.name),
  }})),
}})"""
READ = f"""(text) => ({WRONG})(new DOMParser().parseFromString(text, "text/html")).length"""
SEND = f"""async ([to, fields]) => {{
  const answer = await fetch(to, {{method: "POST", body: new URLSearchParams(fields)}});
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  return {{wrong: ({WRONG})(page), status: answer.status}};
}}"""
"""What a form answers, as the browser reads it: the page that it leads to, or itself with what was typed."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def box(tmp_path_factory):
    path = tmp_path_factory.mktemp("box")
    async with open_api(path, "acme", "beta", processes=Reports()) as api:
        people = {role: await visitor(api, role, tenant) for role, tenant in WHO}
        found = await sow(api, path)
        async with served(api.app) as url:
            yield api, url, people, found


WHO = ((Role.ADMIN, ""), (Role.OWNER, "acme"))
OF_TENANT = ("/", "/usage", "/settings", "/onboarding", "/queue", "/credentials/{credential_id}")
"""What is another page for a tenant than for the box."""
TABS = ("headers", "source", "events")
SEARCHED = ("/palette", "/queue", "/messages", "/domains", "/suppressions")
SAID = quote("</title><x-x>\"'", safe="")


async def test_no_text_of_anybodys_is_ever_more_than_text(chromium, box):
    api, url, people, (marks, values) = box
    api.app.state.rates._now = itertools.count(0.0, 3600.0).__next__
    seen: set[str] = set()
    for role, who in people.items():
        async with profile(chromium, base_url=url) as watched:
            watched.expected = ("status of 4",)  # what forms are answered
            await watched.context.add_init_script(TRAPS)
            await enter(watched, url, who)
            page = await watched.page()
            assert await page.evaluate(READ, ATTACK), "an attack that is not escaped is seen"
            paths = _pages(api, values) if role is Role.ADMIN else OF_TENANT
            words, forms = await _walk(page, [_filled(path, values) for path in paths])
            seen |= words
            for one in forms:
                answer = await page.evaluate(SEND, [one["to"], _hostile(one)])
                assert not answer["wrong"], (one, answer)
                assert answer["status"] < 500, (one, answer)
    assert not marks - seen, f"no page shows {sorted(marks - seen)}: it was not tried"


async def _walk(page, paths):
    """Open every page; the words that were seen, and a form for each place that takes typed words."""
    words, forms = set(), {}
    for path in paths:
        answer = await page.goto(path, wait_until="domcontentloaded")
        assert answer.status == 200, (path, answer.status)
        found = await page.evaluate(LOOK)
        assert (found["wrong"], found["ran"], found["stopped"]) == ([], 0, []), path
        words |= set(found["words"])
        forms |= {one["to"]: one for one in found["forms"] if one["free"]}
    return words, forms.values()


def _pages(api, values):
    """Every page of the box, with all that is told of each record, and what echoes what was searched for."""
    found = [
        path
        for _, method, path in routes(api)
        if method == "GET" and not path.endswith(FILES) and path not in NO_PAGES
    ]
    return (
        found
        + [f"/messages/{{message}}?tab={tab}" for tab in TABS]
        + [f"{one}?q={SAID}" for one in SEARCHED]
    )


def _hostile(form):
    attack = f"m-typed{ATTACK}"
    return [[name, attack if name in form["free"] else said] for name, said in form["fields"]]
