from __future__ import annotations

from datetime import time
from pathlib import Path

import pytest
from project_world import CHANNELS, CONFIG, RULE, OutboxDir, Smtp, load, load_rule

from engine.errors import SetupError
from engine.project.durations import Duration
from engine.project.secret import Secret
from engine.project.settings import Settings, read_settings
from engine.project.settings_values import Cap, Guard, QuietHours
from engine.project.yaml_source import load_documents


def settings_of(text: str, root: Path = Path("acme")) -> Settings:
    return read_settings(load_documents(text, "config.yaml")[0], "config.yaml", CHANNELS, root)


def test_what_is_not_written_has_the_documented_default() -> None:
    settings = settings_of("workspace: {name: Acme, timezone: UTC}\nwarehouse: {tables: {customers: {path: c.csv}}}\n")
    assert (settings.workspace.locale, settings.workspace.currency) == ("en", "EUR")
    assert settings.state.url.reveal() == "sqlite:///holdfast.db"
    assert settings.warehouse.url.reveal() == "duckdb://"
    assert settings.warehouse.max_age == {"events": Duration(48, "hours")}
    assert settings.warehouse.tables["customers"].timezone == "UTC"
    assert settings.schedules == {"daily": time(9)}
    assert (settings.catch_up, settings.send_at) == ("latest", None)
    assert settings.quiet_hours == QuietHours(time(21), time(8))
    assert settings.caps.all == (Cap(1, 1), Cap(2, 7), Cap(4, 30))
    assert settings.caps.topics == {"payment": (Cap(1, 2),)}
    assert settings.holdout.global_ == 0
    assert settings.guard == Guard(share=0.2, first_run=500, growth=3, floor=100)
    assert settings.consent.require_in == ()
    assert (settings.channels, settings.uses) == ({"email": OutboxDir(path="outbox")}, {"email": "outbox_dir"})
    assert (settings.delivery.concurrency, settings.delivery.rate_per_s, settings.delivery.timeout_s) == (16, 50, 10)
    assert settings.delivery.recheck_after == Duration(5, "minutes")
    assert (settings.retention.decisions, settings.retention.raw_events) == (
        Duration(400, "days"),
        Duration(30, "days"),
    )


def test_off_switches_off() -> None:
    settings = settings_of(CONFIG + "quiet_hours: off\nguard: off\n")
    assert (settings.quiet_hours, settings.guard) == (None, None)


def test_a_table_age_of_off_lifts_only_that_table() -> None:
    with_ages = CONFIG.replace("warehouse:\n", "warehouse:\n  max_age: {events: off, customers: 2 days}\n")
    assert settings_of(with_ages).warehouse.max_age == {"customers": Duration(2, "days")}


def test_naming_one_table_age_keeps_the_default_of_events() -> None:
    with_ages = CONFIG.replace("warehouse:\n", "warehouse:\n  max_age: {customers: 2 days}\n")
    assert settings_of(with_ages).warehouse.max_age == {
        "events": Duration(48, "hours"),
        "customers": Duration(2, "days"),
    }


def test_naming_one_topic_replaces_the_topics_and_keeps_the_rest() -> None:
    caps = settings_of(CONFIG + "caps: {topics: {renewal: [3/2 weeks]}}\n").caps
    assert caps.all == (Cap(1, 1), Cap(2, 7), Cap(4, 30))
    assert caps.topics == {"renewal": (Cap(3, 14),)}


@pytest.mark.parametrize("text", ["1/1 day", "2/7 days", "4/30 days"])
def test_a_cap_prints_as_it_is_written(text: str) -> None:
    (cap,) = settings_of(CONFIG + f"caps: {{all: [{text}]}}\n").caps.all
    assert str(cap) == text


def test_a_channel_is_read_by_the_model_of_its_kind() -> None:
    settings = settings_of(
        CONFIG + "channels:\n  email: {use: smtp, host: mail, port: 25}\n  notes: {use: outbox_dir, path: x}\n"
    )
    assert settings.channels == {"email": Smtp(host="mail", port=25), "notes": OutboxDir(path="x")}
    assert settings.uses == {"email": "smtp", "notes": "outbox_dir"}


def test_every_problem_of_settings_and_rules_is_told_at_once_in_order_of_place() -> None:
    with pytest.raises(SetupError) as refused:
        load(
            {"config.yaml": CONFIG + "catch_up: x\nsend_at: y\n", "rules/a.yaml": "rule: A\n", "rules/b.yaml": "a: [\n"}
        )
    assert [problem.place for problem in refused.value.problems] == [
        "config.yaml:11:11",
        "config.yaml:12:10",
        "rules/a.yaml:1:1",
        "rules/a.yaml:1:7",
        "rules/b.yaml:2:1",
    ]


def test_a_wrong_config_does_not_invent_problems_in_rules() -> None:
    with pytest.raises(SetupError) as refused:
        load({"config.yaml": CONFIG + "catch_up: x\n", "rules/a.yaml": RULE + "schedule: weekly\n"})
    assert [problem.path for problem in refused.value.problems] == ["config.yaml"]


SECRET = CONFIG.replace("  name: Acme", "  name: Acme\n  secret: ${ACME_SECRET}")


def test_a_secret_is_looked_up_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    secret = settings_of(SECRET).workspace.secret
    monkeypatch.setenv("ACME_SECRET", "s3cret")
    assert (secret.reveal(), secret.is_set) == ("s3cret", True)
    assert "s3cret" not in repr(secret)


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_named_with_its_place(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_SECRET", raising=False)
    if value is not None:
        monkeypatch.setenv("ACME_SECRET", value)
    secret = settings_of(SECRET).workspace.secret
    assert not secret.is_set
    with pytest.raises(SetupError, match=r"config.yaml:3:11: the environment variable ACME_SECRET is missing .*HF204"):
        secret.reveal()


def test_a_secret_file_is_read_from_the_project_folder(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-file\n")
    assert Secret("${file:key}", tmp_path).reveal() == "from-file"
    assert not Secret("${file:other}", tmp_path).is_set


def test_a_reference_may_stand_inside_a_database_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD", "p")
    settings = settings_of(CONFIG + "state: {url: 'postgresql://me:${DB_PASSWORD}@db/holdfast'}\n")
    assert settings.state.url.reveal() == "postgresql://me:p@db/holdfast"


def test_without_live_mail_a_fixed_value_stands_in_for_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACME_SECRET", raising=False)
    monkeypatch.delenv("HOLDFAST_SECRET", raising=False)
    settings = settings_of(SECRET)
    assert settings.signing_secret(live=False) == settings_of(SECRET).signing_secret(live=False)
    assert settings.signing_secret(live=False) != settings_of(SECRET.replace("Acme\n", "Other\n", 1)).signing_secret(
        live=False
    )
    with pytest.raises(SetupError, match="ACME_SECRET"):
        settings.signing_secret(live=True)
    with pytest.raises(SetupError, match="HOLDFAST_SECRET"):
        settings.salt(live=True)


def test_an_unset_secret_is_a_warning_when_the_project_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SECRET", raising=False)
    assert [(warning.code, warning.severity) for warning in load_rule(RULE).warnings] == [("HF204", "warning")]
    monkeypatch.setenv("HOLDFAST_SECRET", "x")
    assert load_rule(RULE).warnings == ()
