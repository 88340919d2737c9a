from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from delivery_world import Desk, options, parts, plan, states

from engine.delivery import Redirection, deliver
from engine.errors import HeldError, SetupError
from engine.project.loading import project_from_files
from engine.store import Store

TESTER = "tester@acme.example"


class Keeping(Desk):
    """A desk that keeps what was sent."""

    def send(self, mail, custom_args):  # type: ignore[no-untyped-def]
        self.mails = [*getattr(self, "mails", []), mail]
        return super().send(mail, custom_args)


def delivered(store: Store, redirection: Redirection) -> tuple[Keeping, object]:
    desk = Keeping()
    return desk, deliver(store, replace(parts(desk), redirection=redirection), options())


def test_mail_to_anybody_else_goes_to_the_tester_marked_and_without_a_trace_of_whom_it_was_for(store: Store) -> None:
    plan(store, ["ann"])
    desk, _ = delivered(store, Redirection((), TESTER))
    (mail,) = desk.mails
    assert (mail.to.name, mail.to.address) == ("", TESTER)
    assert mail.subject.startswith("[test] ")
    assert mail.headers == ()


def test_those_on_the_list_get_their_own_mail(store: Store) -> None:
    plan(store, ["ann", "bob"])
    desk, report = delivered(store, Redirection(("ann@example.com",), None))
    assert [mail.to.address for mail in desk.mails] == ["ann@example.com"]
    assert not desk.mails[0].subject.startswith("[test]")
    assert states(store) == {"ann": "accepted", "bob": "planned"}
    assert report.outcomes["held"] == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("domain", "sent"), [("@example.com", 1), ("@ample.com", 0), ("@sub.example.com", 0), ("@com", 0)]
)
def test_a_domain_is_meant_whole(store: Store, domain: str, sent: int) -> None:
    plan(store, ["ann"])
    desk, _ = delivered(store, Redirection((domain,), None))
    assert len(desk.calls) == sent


def test_a_test_and_real_sending_never_share_a_state(store: Store) -> None:
    plan(store, ["ann"])
    delivered(store, Redirection((), TESTER))
    assert store.install.environment() == "folder"
    plan(store, ["bob"], rule="other")
    with pytest.raises(HeldError, match="go-live"):
        deliver(store, parts(Desk(), live=True), options())


def test_a_state_that_has_sent_real_mail_refuses_a_test(store: Store) -> None:
    plan(store, ["ann"])
    deliver(store, parts(Desk(), live=True), options())
    plan(store, ["bob"], rule="other")
    with pytest.raises(HeldError):
        delivered(store, Redirection((), TESTER))
    assert states(store)["bob"] == "planned"


def settings(delivery: str) -> object:
    config = (
        "workspace: {name: Acme, timezone: UTC}\nwarehouse: {tables: {customers: {path: c.csv}}}\n"
        f"delivery: {delivery}\n"
    )
    return project_from_files({"config.yaml": config}, Path(), {}, {}).settings.delivery


def test_addresses_are_read_as_strictly_as_any() -> None:
    read = settings("{only_to: [Ann@Example.com, '@Acme.example'], rewrite_to: T@acme.example}")
    assert read.only_to == ("ann@example.com", "@acme.example")  # type: ignore[attr-defined]
    assert (read.rewrite_to, read.test_mode) == ("t@acme.example", True)  # type: ignore[attr-defined]
    assert not settings("{}").test_mode  # type: ignore[attr-defined]
    for wrong in ("{only_to: [everybody]}", "{only_to: ['@']}", "{rewrite_to: '@acme.example'}"):
        with pytest.raises(SetupError, match="HF206"):
            settings(wrong)
