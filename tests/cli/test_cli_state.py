"""Care of the state, and the list of whom not to write to."""

from __future__ import annotations

import shutil
from pathlib import Path

from cli_shop import CONFIG, DAY, Shop


def test_a_backup_put_back_is_the_state_again(ran: Shop, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert ran.json("backup", str(copy))["bytes"] == copy.stat().st_size
    for file in ran.folder.glob("holdfast.db*"):
        file.unlink()
    assert ran.run("status").exit_code == 2
    shutil.copy(copy, ran.folder / "holdfast.db")
    assert ran.json("status")["outbox"] == {"accepted": 22}
    assert ran.json("run", "--as-of", DAY.isoformat())["delivery"]["sent"] == 0


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(ran: Shop) -> None:
    document = ran.json("db", "upgrade")
    assert document["before"] == document["after"]
    assert "up to date" in ran.run("db", "upgrade").stdout


def test_status_shows_runs_mail_and_pauses(ran: Shop) -> None:
    ran.run("pause")
    text = ran.run("status").stdout
    assert "1    daily     Sat 2 May 2026  Sat 2 May 2026, 09:00 BST  finished" in text
    assert "sent        22" in text
    assert "everything since" in text
    assert ran.json("resume")["lifted"] is True
    assert ran.json("resume")["lifted"] is False


def test_the_list_is_kept_by_address_kind_and_topic(shop: Shop) -> None:
    assert shop.json("suppress", "add", "Ann@Example.com")["added"] == 1
    assert shop.json("suppress", "add", "ann@example.com")["added"] == 0
    assert shop.json("suppress", "add", "ann@example.com", "--topic", "win-back")["added"] == 1
    assert shop.json("suppress", "add", "bob@example.com", "--kind", "not_until", "--until", "2026-06-01")["added"] == 1
    listed = shop.json("suppress", "list")["suppressions"]
    assert [(one["address"], one["kind"], one["topic"], one["until"]) for one in listed] == [
        ("ann@example.com", "unsubscribed", None, None),
        ("ann@example.com", "unsubscribed", "win-back", None),
        ("bob@example.com", "not_until", None, "2026-06-01"),
    ]
    assert shop.json("suppress", "remove", "ANN@example.com", "--topic", "win-back")["removed"] == 1
    assert shop.json("suppress", "remove", "ann@example.com")["removed"] == 1
    assert shop.json("suppress", "list", "--kind", "unsubscribed")["suppressions"] == []


def test_an_exported_list_is_imported_whole(shop: Shop, tmp_path: Path) -> None:
    for number in range(5):
        shop.run("suppress", "add", f"c{number}@example.com")
    file = tmp_path / "list.csv"
    assert shop.json("suppress", "export", str(file))["exported"] == 5
    assert shop.run("suppress", "export").stdout.replace("\r\n", "\n") == file.read_text().replace("\r\n", "\n")
    for entry in range(5):
        shop.run("suppress", "remove", f"c{entry}@example.com")
    assert shop.json("suppress", "import", str(file)) == {"added": 5, "known": 0, "left_out": []}
    assert shop.json("suppress", "import", str(file))["known"] == 5


def test_lines_that_cannot_be_read_are_listed_and_the_others_taken(shop: Shop, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email,kind\nann@example.com,\nnot an address,\nbob@example.com,bounced\n")
    result = shop.run("suppress", "import", str(file))
    assert result.exit_code == 1
    assert f"{file}:3: " in result.stderr
    assert [one["kind"] for one in shop.json("suppress", "list")["suppressions"]] == ["unsubscribed", "bounced"]


def test_a_suppression_holds_whatever_database_the_state_is_on(shop: Shop, postgres_url: str) -> None:
    shop.write("config.yaml", CONFIG + f"state: {{url: '{postgres_url}'}}\n")
    shop.run("suppress", "add", "c00@example.com")
    assert shop.json("run", "--as-of", DAY.isoformat())["delivery"]["sent"] == 21
    refused = shop.run("backup", "copy.db")
    assert refused.exit_code == 4
    assert "pg_dump" in refused.stderr
