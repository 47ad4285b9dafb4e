"""What the console's pages load: by names that change with the content, for ever, as small as asked for."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import httpx
import pytest
from litestar import Litestar
from litestar.di import Provide

from admin_ui.assets import Assets, accepted_codings, assets
from admin_ui.desks import Topic
from admin_ui.errors import HANDLERS
from appliance.core.errors import ConfigError

ROOT = Path(__file__).parents[3]
FIRST_LOAD = ("console.css", "console.js", "inter-latin.woff2", "jetbrains-mono-latin.woff2")
ROOM_FOR_HTML = 15_000
MOST = 100_000


@pytest.fixture(scope="module")
def built() -> Assets:
    return Assets.load()


@pytest.fixture
def client(built: Assets) -> httpx.AsyncClient:
    app = Litestar(
        [assets],
        dependencies={"assets": Provide(lambda: built, sync_to_thread=False)},
        exception_handlers=HANDLERS,
    )
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://box.test")


@pytest.mark.parametrize("name", ["console.css", "console.js", "inter-latin.woff2"])
async def test_an_asset_is_kept_for_ever_under_a_name_of_its_content(client, built, name):
    answer = await client.get(built.url(name))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert re.fullmatch(r"/assets/[a-z-]+-[0-9a-f]{10}\.[a-z0-9]+", built.url(name))
    assert answer.headers["content-type"].split("/")[0] in ("text", "font")


@pytest.mark.parametrize(
    ("asked", "coding"),
    [("br, gzip", "br"), ("gzip, deflate", "gzip"), ("br;q=0, gzip;q=0.5", "gzip"), ("", "")],
)
async def test_text_comes_as_packed_as_the_browser_takes_it(client, built, asked, coding):
    answer = await client.get(built.url("console.js"), headers={"Accept-Encoding": asked})
    assert answer.headers.get("content-encoding", "") == coding
    assert answer.headers["vary"] == "Accept-Encoding"
    raw = len(built.files[built.names["console.js"]].content)
    assert (int(answer.headers["content-length"]) < raw) is bool(coding)


async def test_a_font_is_packed_already(client, built):
    answer = await client.get(built.url("inter-latin.woff2"), headers={"Accept-Encoding": "br"})
    assert "content-encoding" not in answer.headers
    assert answer.content.startswith(b"wOF2")


@pytest.mark.parametrize(
    "name", ["manifest.json", "icons.json", "console.css", "..%2Fbuild.py", "..%2F..%2Fapp.py"]
)
async def test_nothing_but_what_the_manifest_names_is_served(client, name):
    assert (await client.get(f"/assets/{name}")).status_code == 404


def test_what_a_first_page_loads_stays_small_without_brotli(built):
    """Browsers ask for Brotli over HTTPS only: gzip is what a box without a certificate sends."""
    files = [built.files[built.names[name]] for name in FIRST_LOAD]
    sizes = [len(one.best(frozenset({"gzip"}))[0]) for one in files]
    assert sum(sizes) + ROOM_FOR_HTML <= MOST


def test_the_style_asks_for_nothing_that_is_not_on_the_box(built):
    style = built.files[built.names["console.css"]]
    urls = re.findall(rb"url\(([^)]*)\)", style.content)
    assert urls
    ours = {f'"{name}"'.encode() for name in built.files}
    assert {url for url in urls if not url.startswith((b'"data:', b"data:", b"#"))} <= ours
    assert gzip.decompress(style.compressed["gzip"]) == style.content


def test_an_icon_is_a_drawing_and_nothing_else(built):
    assert built.icon("globe").startswith("<circle")
    for drawing in built.icons.values():
        assert re.fullmatch(
            r"(<(path|circle|rect|line|polyline|polygon|ellipse) [^<>]*/>)+", drawing
        )
        assert "style=" not in drawing


def test_an_icon_that_is_not_named_is_a_mistake_that_says_where_to_name_it(built):
    with pytest.raises(ConfigError, match=r"icons\.txt"):
        built.icon("unicorn")


def test_assets_that_are_not_built_are_told_in_words(tmp_path: Path):
    with pytest.raises(ConfigError, match="run make"):
        Assets.load(tmp_path)


def test_a_coding_that_is_refused_is_not_accepted():
    assert accepted_codings("gzip;q=0, BR ; q=1.0, x;q=0.000") == {"br"}


def test_the_pages_listen_for_every_topic_that_the_box_tells():
    """A stream's events come by name: who does not know the name does not hear it."""
    source = (ROOT / "admin_ui" / "assets" / "ts" / "live.ts").read_text()
    listed = re.search(r"const TOPICS = \[(.*?)\]", source, re.S)
    assert listed
    assert set(re.findall(r'"([a-z-]+)"', listed[1])) == {*Topic, "all", "signed-out"}
