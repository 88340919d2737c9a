from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, time
from pathlib import Path

import pytest

from engine.channels import CHANNELS
from engine.evaluation import Evaluation, queries_of
from engine.messages import load_templates
from engine.project.loading import ProjectFiles, load_project
from engine.project.rules import Rule
from engine.sample.project import project_root
from engine.triggers import triggers
from tests.sample.rows import TODAY

AS_OF = datetime.combine(TODAY, time(9))


@pytest.fixture(scope="module")
def project(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> ProjectFiles:
    """The sample company in a folder of its own, with its data."""
    root = tmp_path_factory.mktemp("project")
    for part in ("rules", "templates"):
        shutil.copytree(project_root() / part, root / part)
    shutil.copyfile(project_root() / "config.yaml", root / "config.yaml")
    (root / "data").symlink_to(whole)
    return load_project(root, triggers(), {name: channel.Settings for name, channel in CHANNELS.items()})


@pytest.fixture(scope="module")
def evaluation(project: ProjectFiles) -> Iterator[Evaluation]:
    """The rules of the sample over its tables, on the morning after the export."""
    evaluation = Evaluation(project.settings, project.root, project.rules, AS_OF, queries=queries_of(project.files))
    yield evaluation
    evaluation.close()


def templates_of(rule: Rule) -> set[str]:
    sends = {step.send for step in rule.steps} | {v.send for step in rule.steps for v in step.variants.values()}
    return {name for name in sends if name}


def test_a_newcomer_sees_one_warning_about_the_secret_and_nothing_else(project: ProjectFiles) -> None:
    assert {warning.code for warning in project.warnings} <= {"HF204"}


def test_every_trigger_is_shown_by_a_rule(project: ProjectFiles) -> None:
    assert {rule.trigger.name for rule in project.rules} == set(triggers())
    assert {rule.status for rule in project.rules} == {"active"}


def test_dunning_is_service_mail_that_holds_marketing_back(project: ProjectFiles) -> None:
    dunning = [rule for rule in project.rules if rule.trigger.name == "payment_failed"]
    assert len(dunning) == 4
    for rule in dunning:
        assert (rule.class_, rule.ground, rule.topic) == ("service", "contract", "payment")
        assert rule.blocks == ("marketing", "renewal")
        assert not rule.holdout


def test_the_rules_fit_the_tables(evaluation: Evaluation) -> None:
    assert [str(problem) for problem in evaluation.check()] == []


def test_every_mail_reads_only_what_its_rule_provides(project: ProjectFiles, evaluation: Evaluation) -> None:
    templates = load_templates(project.files, default_locale=project.settings.workspace.locale)
    assert not templates.warnings
    for rule in project.rules:
        catalog = evaluation.catalog(rule)
        provided = {"customer": catalog[""], "fact": catalog["fact"], "subscription": catalog["subscription"]}
        for name in templates_of(rule):
            assert [str(problem) for problem in templates.check(name, rule.class_, provided)] == []


def test_every_rule_finds_somebody(project: ProjectFiles, evaluation: Evaluation) -> None:
    evaluation.run()
    found = dict(evaluation.db.execute("SELECT rule_no, count(*) FROM candidate GROUP BY ALL").fetchall())
    by_rule = {rule.id: found.get(number, 0) for number, rule in enumerate(project.rules)}
    # Nothing is "settled" before a mail about it has left; and few people tell their bank to stop a payment.
    assert {rule for rule, count in by_rule.items() if not count} <= {"payment-settled", "payment-stopped"}
