"""A wheel holds what the console's pages load, built on the way; all else stands in pyproject.toml.

An editable install builds nothing: there `make` does, whenever a source under admin_ui/assets changed.
"""

from __future__ import annotations

import runpy

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithAssets(build_py):
    """Builds admin_ui/assets/built first."""

    def run(self) -> None:
        if not self.editable_mode:
            runpy.run_path("admin_ui/assets/build.py", run_name="__main__")
        super().run()


setup(cmdclass={"build_py": BuildWithAssets})
