from __future__ import annotations

from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from web_world import CONFIG, NOW, Web

from engine import Project
from engine.errors import SetupError
from engine.store import RawEvent
from engine.web import make_app

LOCAL = {"peer": "127.0.0.1"}


def samples(text: str) -> dict[str, float]:
    """`name{label=value}` to figure."""
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_health_is_good_while_the_state_answers_and_says_nothing_else(any_web: Web) -> None:
    assert any_web.get("/health").json() == {"status": "ok"}
    assert any_web.ask("HEAD", "/health").status_code == 200


def test_figures_come_from_the_state_and_name_nobody(any_web: Web) -> None:
    key = any_web.plan()
    any_web.plan("bob", not_before=NOW - timedelta(minutes=5))
    any_web.send(key, NOW)
    run = any_web.store.runs.latest("daily", NOW.date())
    assert run is not None
    any_web.store.runs.finish(run.id, [("quiet", "send", "", 2), ("tips", "skip", "no_consent", 5)], {}, {}, NOW)
    any_web.store.outbox.release("test")
    any_web.store.inbound.keep("stripe", [RawEvent("evt_1", "invoice.paid", NOW, "{}", about="cus_bob")], NOW)
    answer = any_web.get("/metrics", **LOCAL)
    assert answer.headers["content-type"].startswith("text/plain")
    assert samples(answer.text) == {
        "holdfast_runs schedule=daily state=finished": 1,
        "holdfast_last_run_finished_timestamp_seconds schedule=daily": 1_795_424_400,
        "holdfast_decisions_total outcome=send": 2,
        "holdfast_decisions_total outcome=skip": 5,
        "holdfast_outbox_messages state=planned": 1,
        "holdfast_outbox_messages state=sending": 1,
        "holdfast_outbox_oldest_due_seconds": 300,
        "holdfast_deliveries_total result=under_way": 1,
        "holdfast_inbound_events source=stripe state=new": 1,
    }
    for word in ("@", "bob", "key-", "203.0.113", "example.com"):
        assert word not in answer.text


def test_without_a_token_figures_are_for_this_machine_only(web: Web) -> None:
    assert web.get("/metrics", peer="::1").status_code == 200
    assert web.get("/metrics").status_code == 403
    assert web.get("/metrics", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 403
    assert web.get("/metrics", **LOCAL, headers={"x-forwarded-for": "198.51.100.1"}).status_code == 403


def test_with_a_token_figures_are_for_who_brings_it(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_TOKEN", "s3cret")
    web._write("config.yaml", CONFIG + 'web: {metrics_token: "${METRICS_TOKEN}"}\n')
    web.project = Project.load(web.folder)
    assert web.get("/metrics", headers={"authorization": "Bearer s3cret"}).status_code == 200
    for wrong in ("Bearer s3cre", "Bearer", "s3cret", "", "Bearer é"):
        refused = web.get("/metrics", headers={"authorization": wrong.encode()}, **LOCAL)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"] == "Bearer"


def test_a_token_that_is_not_set_stops_the_start(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METRICS_TOKEN", raising=False)
    web._write("config.yaml", CONFIG + 'web: {metrics_token: "${METRICS_TOKEN}"}\n')
    with pytest.raises(SetupError, match="METRICS_TOKEN"):
        make_app(Project.load(web.folder), web.store)


def test_the_web_settings_have_documented_defaults(web: Web) -> None:
    settings = web.project.settings.web
    assert (settings.host, settings.port, settings.track_clicks) == ("127.0.0.1", 8080, False)
    assert (settings.trusted_proxies, settings.metrics_token, settings.topics) == ((), None, {})


@pytest.mark.parametrize(
    "wrong", ["port: 0", "port: 70000", "trusted_proxies: [proxy.example]", "metrics_token: plain", "color: red"]
)
def test_wrong_web_settings_are_refused(web: Web, wrong: str) -> None:
    web._write("config.yaml", CONFIG + f"web: {{{wrong}}}\n")
    with pytest.raises(SetupError, match=r"config\.yaml"):
        Project.load(web.folder)
