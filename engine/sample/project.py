"""The project folder of the sample company: settings, rules and templates."""

from __future__ import annotations

import shutil
from pathlib import Path

PARTS = ("config.yaml", "rules", "templates")


def project_root() -> Path:
    """Where the sample's files are: the root of a checkout, or their copy inside an installed package."""
    checkout = Path(__file__).resolve().parents[2]
    packed = Path(__file__).resolve().parent / "files"
    return packed if packed.is_dir() else checkout


def copy_project(target: Path) -> None:
    """Copy `config.yaml`, `rules/` and `templates/` into `target`, made if missing. Files already there stay.

    Raises FileExistsError, before anything is copied, when one of the three exists.
    """
    taken = [part for part in PARTS if (target / part).exists()]
    if taken:
        raise FileExistsError(f"{target} already has {', '.join(taken)}")
    target.mkdir(parents=True, exist_ok=True)
    for part in PARTS:
        source = project_root() / part
        if source.is_dir():
            shutil.copytree(source, target / part)
        else:
            shutil.copyfile(source, target / part)
