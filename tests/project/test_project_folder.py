from __future__ import annotations

from pathlib import Path

import pytest
from project_world import CHANNELS, CONFIG, FILES, RULE, TRIGGERS, load, load_rule

from engine.errors import SetupError
from engine.project.loading import ProjectFiles, load_project, read_files, snapshot_sha, vanished_rules


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    for name, text in {**FILES, "rules/quiet.yaml": RULE}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def loaded(folder: Path) -> ProjectFiles:
    return load_project(folder, TRIGGERS, CHANNELS)


def refusal(folder: Path) -> str:
    with pytest.raises(SetupError) as refused:
        read_files(folder)
    return str(refused.value)


def test_a_project_holds_its_settings_rules_and_templates(folder: Path) -> None:
    (folder / "rules" / "more").mkdir()
    (folder / "rules" / "more" / "second.yml").write_text(RULE.replace("quiet", "second"))
    (folder / "README.md").write_text("notes")
    (folder / "templates" / "hello" / "photo.png").write_bytes(b"\x89PNG")
    (folder / "rules" / ".quiet.yaml.swp").write_bytes(b"\xff")
    project = loaded(folder)
    assert sorted(project.files) == sorted([*FILES, "rules/quiet.yaml", "rules/more/second.yml"])
    assert [rule.id for rule in project.rules] == ["second", "quiet"]


def test_a_folder_without_settings_is_no_project(tmp_path: Path) -> None:
    assert "HF201" in refusal(tmp_path)


def test_a_link_out_of_the_project_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yaml").write_text(RULE)
    (folder / "rules" / "linked.yaml").symlink_to(tmp_path / "secret.yaml")
    said = refusal(folder)
    assert said.startswith("rules/linked.yaml: a link that leads out of the project folder;")
    assert said.endswith("[HF114]")


def test_a_linked_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "rules" / "loop").symlink_to(folder / "rules")
    assert refusal(folder).startswith("rules/loop: a linked or too deep folder;")


def test_a_link_within_the_project_is_followed(folder: Path) -> None:
    (folder / "templates" / "again").mkdir()
    (folder / "templates" / "again" / "mail.html").symlink_to(folder / "templates" / "hello" / "mail.html")
    assert loaded(folder).files["templates/again/mail.html"] == FILES["templates/hello/mail.html"]


def test_a_dangling_link_is_refused(folder: Path) -> None:
    (folder / "rules" / "gone.yaml").symlink_to(folder / "rules" / "nowhere.yaml")
    assert (
        refusal(folder)
        == "rules/gone.yaml: no such file or directory; expected a readable file inside the project folder. [HF114]"
    )


def test_a_file_of_more_than_a_million_characters_is_refused(folder: Path) -> None:
    (folder / "rules" / "big.yaml").write_text("#" * 1_000_001)
    assert refusal(folder) == "rules/big.yaml: too many characters; a file may hold 1,000,000. [HF110]"


def test_a_file_in_another_encoding_is_refused_with_its_line(folder: Path) -> None:
    (folder / "rules" / "latin.yaml").write_bytes(b"rule: quiet\nowner: J\xf6rg\n")
    assert refusal(folder) == "rules/latin.yaml:2: bytes that are not UTF-8; save the file as UTF-8. [HF103]"


def test_windows_files_read_like_any_other(folder: Path) -> None:
    (folder / "rules" / "quiet.yaml").write_bytes(b"\xef\xbb\xbf" + RULE.replace("\n", "\r\n").encode())
    assert loaded(folder).files["rules/quiet.yaml"] == RULE


def test_all_unreadable_files_are_named_at_once(folder: Path) -> None:
    (folder / "rules" / "a.yaml").write_bytes(b"\xff")
    (folder / "templates" / "hello" / "mail.html").write_bytes(b"\xff")
    assert refusal(folder).count("HF103") == 2


def test_the_snapshot_changes_with_any_file_and_with_nothing_else() -> None:
    first = load({"rules/a.yaml": RULE})
    assert first.snapshot_sha == load({"rules/a.yaml": RULE}).snapshot_sha
    for change in (
        {"rules/a.yaml": RULE + "\n"},
        {"rules/b.yaml": RULE},
        {"config.yaml": CONFIG + "\n"},
        {"templates/x/mail.html": ""},
    ):
        assert snapshot_sha({**first.files, **change}) != first.snapshot_sha


def test_text_cannot_pass_from_one_file_of_a_snapshot_to_the_next() -> None:
    assert snapshot_sha({"a": "bc", "d": ""}) != snapshot_sha({"a": "b", "cd": ""})


def test_a_project_reads_the_same_from_its_snapshot(folder: Path) -> None:
    project = loaded(folder)
    assert load(project.files).rules == project.rules


def test_a_rule_that_vanished_is_a_warning_unless_it_was_renamed() -> None:
    rules = load_rule(RULE + "was: [silent]\n").rules
    assert vanished_rules(rules, ["quiet", "silent"]) == []
    (warning,) = vanished_rules(rules, ["quiet", "gone"])
    assert (warning.severity, warning.code, warning.found) == ("warning", "HF329", 'the rule "gone" is gone')
