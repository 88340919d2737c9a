"""Packs the sample company (config.yaml, rules/, templates/) into the wheel; everything else is in pyproject.toml.

The sample lives at the root of the repository, outside the package, because the root is a working project itself.
`holdfast init` needs it in an installed package too.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

PARTS = ("config.yaml", "rules", "templates")


class BuildWithSample(build_py):
    """As always, then copy the sample beside the code that reads it."""

    def run(self) -> None:
        """Build into `build_lib`; an editable install reads the checkout and gets no copy."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib, "engine", "sample", "files")
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in PARTS:
            copy = shutil.copytree if Path(part).is_dir() else shutil.copyfile
            copy(part, target / part)


setup(cmdclass={"build_py": BuildWithSample})
