"""What the console's pages load: style, script, fonts and icons, as built/ holds them.

    assets = Assets.load()
    assets.url("console.css")   "/assets/console-1f2e3d4c5b.css": named by its content, cached for ever
    assets.icon("globe")        the drawing within an <svg>

All is read once and served from memory, compressed as it was at the build; only names of the manifest are
served, so no path of the disk can be asked for. Without built/ the box does not start: ConfigError.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from admin_ui.api.guard import PUBLIC
from appliance.core.errors import ConfigError, NotFoundError

BUILT: Final = Path(__file__).parent / "built"
_MEDIA: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".woff2": "font/woff2",
}
_CODINGS: Final = {"br": ".br", "gzip": ".gz"}  # the smaller first
_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file, and the same compressed, by content coding."""

    media_type: str
    content: bytes
    compressed: Mapping[str, bytes]

    def best(self, accepted: frozenset[str]) -> tuple[bytes, str]:
        """What to send, and its coding ("": as it is)."""
        for coding, content in self.compressed.items():
            if coding in accepted:
                return content, coding
        return self.content, ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assets:
    """All that was built."""

    names: Mapping[str, str]  # console.css -> console-1f2e3d4c5b.css
    files: Mapping[str, Asset]  # by the name with the hash
    icons: Mapping[str, str]

    @classmethod
    def load(cls, folder: Path = BUILT) -> Assets:
        """Read built/. Raises ConfigError."""
        try:
            names = json.loads((folder / "manifest.json").read_bytes())
            icons = json.loads((folder / "icons.json").read_bytes())
            files = {name: _read(folder / name) for name in names.values()}
        except OSError as error:
            raise ConfigError(
                f"the console's assets are not built ({error.filename} cannot be read): "
                "run make, or python admin_ui/assets/build.py"
            ) from error
        return cls(names=names, files=files, icons=icons)

    def url(self, name: str) -> str:
        """Where a page finds it."""
        return f"/assets/{self.names[name]}"

    def icon(self, name: str) -> str:
        """The drawing; a name that icons.txt does not have is a mistake in a template."""
        try:
            return self.icons[name]
        except KeyError:
            raise ConfigError(
                f'no icon "{name}": add it to admin_ui/assets/icons.txt, then make'
            ) from None


def _read(path: Path) -> Asset:
    compressed = {}
    for coding, ending in _CODINGS.items():
        beside = path.with_name(path.name + ending)
        if beside.is_file():
            compressed[coding] = beside.read_bytes()
    return Asset(media_type=_MEDIA[path.suffix], content=path.read_bytes(), compressed=compressed)


def accepted_codings(header: str) -> frozenset[str]:
    """The codings that Accept-Encoding names and does not refuse with q=0 (RFC 9110, 12.5.3)."""
    found = set()
    for part in header.lower().split(","):
        coding, _, weight = part.replace(" ", "").partition(";q=")
        if weight.strip("0.") or not weight:
            found.add(coding)
    return frozenset(found)


@route(
    "/assets/{name:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
    opt={PUBLIC: True},
    include_in_schema=False,
)
async def assets(
    request: Request[Any, Any, Any],
    name: FromPath[str],
    assets: NamedDependency[SkipValidation[Assets]],
) -> Response[bytes]:
    """One of them."""
    found = assets.files.get(name)
    if found is None:
        raise NotFoundError("no such asset: load the page again")
    content, coding = found.best(accepted_codings(request.headers.get("accept-encoding", "")))
    headers = {"Cache-Control": _FOR_EVER}
    if found.compressed:
        headers["Vary"] = "Accept-Encoding"
    if coding:
        headers["Content-Encoding"] = coding
    return Response(content, media_type=found.media_type, headers=headers)
