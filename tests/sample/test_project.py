from __future__ import annotations

from pathlib import Path

import pytest

from engine.sample import copy_project
from engine.sample.project import PARTS, project_root


def test_the_copy_is_the_checkouts_own_project(tmp_path: Path) -> None:
    copy_project(tmp_path / "new")
    root = project_root()
    ours = sorted(path.relative_to(root) for part in ("rules", "templates") for path in (root / part).rglob("*"))
    copied = sorted(path.relative_to(tmp_path / "new") for path in (tmp_path / "new").rglob("*"))
    assert copied == sorted([Path("config.yaml"), Path("rules"), Path("templates"), *ours])
    assert (tmp_path / "new/config.yaml").read_bytes() == (root / "config.yaml").read_bytes()


@pytest.mark.parametrize("part", PARTS)
def test_a_copy_never_overwrites(tmp_path: Path, part: str) -> None:
    (tmp_path / part).mkdir()
    with pytest.raises(FileExistsError, match=part.replace(".", r"\.")):
        copy_project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [part]


def test_other_files_in_the_folder_stay(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine", "utf-8")
    copy_project(tmp_path)
    assert (tmp_path / "README.md").read_text("utf-8") == "mine"
