"""`holdfast dunning` as people and programs see it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from dunning_company import Company, invoice, make_company, on, remember
from test_dunning_outcomes import company_of_everything


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOLDFAST_SECRET", raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    return company_of_everything(tmp_path_factory.mktemp("dunning") / "shop")


@pytest.fixture
def small(tmp_path: Path) -> Company:
    invoices = [
        invoice("a", on("06-28"), number="N-1"), invoice("b", on("06-28"), number="N-2"), invoice("c", on("06-28"), number="N-2")
    ]  # fmt: skip
    return make_company(tmp_path / "small", {"invoices": invoices})


def test_text_has_the_lines_a_marketer_looks_for(company: Company) -> None:
    said = [" ".join(line.split()) for line in company.text("--since", "2026-04-01").splitlines()]
    for line in (
        "Failed payments as of Tue 30 Jun 2026, 09:00 UTC",
        "17 cases with 18 invoices: €85.90, ¥900",
        "c-soon N-1 +1 soft 2 €51.00 0 1 Jul first",
        "c-climbing climbing soft 5 €15.00 1 2 Jul second",
        "c-control control soft 4 €0.15 0 3 Jul second (held out)",
        "c-hold hold soft 4 ¥900 0 on hold",
        "c-old old soft 41 €0.40 0 a person: too old",
        "c-unruled unruled authentication 4 €0.10 0 no rule",
        "a person: nobody is mailed; `holdfast tasks` lists what is to do",
        "First failed from Wed 1 Apr 2026 to Tue 30 Jun 2026",
        "33 invoices: €216.40, ¥900, $13.00",
        "recovered 8 24 % €91.00, $13.00",
        "paid by credit 1 3 %",
        "reversed 3 9 % €27.00",
        "lost 2 6 % €10.00",
        "voided 1 3 % €2.50",
        "still open 18 55 % €85.90, ¥900",
        "before any mail 5 €41.00, $8.00",
        "after 1 mail 2 1 €50.00",
        "after 2 mails 1 1 $5.00",
        "5 by the same card, 2 by a new one, 1 by an unknown one",
        "half of them within 3.5 days of the first failure",
        "8 mails sent, 1.0 for each recovery, 2 spam complaints",
        "payment-hard first 1 0 0",
        "second 1 1 1",
        "no control group: no rule about failed payments names a `holdout`",
        "hold Sat 27 Jun 2026 =calls us back",
    ):
        assert line in said, line


def test_json_is_whole_and_keeps_amounts_in_minor_units(company: Company) -> None:
    document = company.json("--since", "2026-04-01")
    assert (document["as_of"], document["since"], document["until"]) == (
        "2026-06-30T09:00:00Z", "2026-04-01T00:00:00Z", "2026-06-30T09:00:00Z",
    )  # fmt: skip
    assert document["open"] == {"cases": 17, "invoices": 18, "money": {"EUR": 8590, "JPY": 900}}
    assert len(document["cases"]) == 17
    assert document["opened"]["invoices"] == 33
    assert document["outcomes"]["recovered"] == {"invoices": 8, "money": {"EUR": 9100, "USD": 1300}}
    assert document["recoveries"][1] == {
        "mails": 1, "held_out": False, "invoices": 2, "within_7_days": 1, "money": {"EUR": 5000}
    }  # fmt: skip
    assert document["lifts"] == []
    assert document["holds"] == [{"invoice_id": "hold", "note": "=calls us back", "at": "2026-06-27T08:00:00Z"}]
    assert {
        "customer_id": "c-soon", "invoice_id": "soon", "number": "N-1", "group": "soft", "failed_at": "2026-06-28T08:00:00Z",
        "days": 2, "currency": "EUR", "amount_minor": 5100, "invoices": 2, "mails": 0, "next_step": "first",
        "next_on": "2026-07-01", "waits": None,
    } in document["cases"]  # fmt: skip


def test_most_money_comes_first_whatever_its_minor_unit(tmp_path: Path) -> None:
    invoices = [
        invoice("cents", on("06-28"), amount=99_999, currency="EUR"), invoice("yen", on("06-28"), amount=1000, currency="JPY"),
        invoice("fils", on("06-28"), amount=1_000_500, currency="KWD"),
    ]  # fmt: skip
    company = make_company(tmp_path, {"invoices": invoices})
    assert [one["invoice_id"] for one in company.json()["cases"]] == ["fils", "yen", "cents"]
    said = company.text()
    assert "KWD 1,000.500" in said.replace("\N{NO-BREAK SPACE}", " ")
    assert "¥1,000" in said
    assert "€999.99" in said


def test_screen_shows_thirty_cases_and_the_csv_all(tmp_path: Path) -> None:
    invoices = [invoice(f"i{number:02}", on("06-28"), amount=1000 + number) for number in range(35)]
    company = make_company(tmp_path / "shop", {"invoices": invoices})
    file = tmp_path / "open.csv"
    said = company.text("--csv", str(file))
    assert sum(line.startswith("  c-i") for line in said.splitlines()) == 30
    assert "and 5 more; --csv FILE writes them all" in said
    rows = list(csv.DictReader(file.read_text().splitlines()))
    assert len(rows) == 35
    assert rows[0]["invoice_id"] == "i34"
    assert (rows[0]["amount_minor"], rows[0]["currency"], rows[0]["next_on"]) == ("1034", "EUR", "2026-07-01")
    assert rows[0]["failed_at"] == "2026-06-28T08:00:00Z"
    assert "and 5 more" not in company.run("dunning", "--since", "2030-01-01").stdout


def test_csv_cells_are_no_formulas(tmp_path: Path) -> None:
    evil = invoice("=1+1", on("06-28"), customer_id="@c", number="+49", currency="EUR")
    company = make_company(tmp_path / "shop", {"invoices": [evil]})
    company.text("--csv", str(tmp_path / "open.csv"))
    (row,) = csv.DictReader((tmp_path / "open.csv").read_text().splitlines())
    assert (row["invoice_id"], row["customer_id"], row["number"]) == ("'=1+1", "'@c", "'+49")


def test_json_and_csv_together_keep_the_document_whole(small: Company, tmp_path: Path) -> None:
    result = small.run("dunning", "--as-of", "2026-06-30", "--csv", str(tmp_path / "x.csv"), "--format", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["open"]["cases"] == 3
    assert (tmp_path / "x.csv").exists()


def test_default_period_is_the_last_ninety_days_and_dates_count_whole(small: Company) -> None:
    document = small.json()
    assert (document["since"], document["until"]) == ("2026-04-01T00:00:00Z", "2026-06-30T09:00:00Z")
    document = small.json("--since", "2026-06-28", "--until", "2026-06-28")
    assert (document["since"], document["until"]) == ("2026-06-28T00:00:00Z", "2026-06-29T00:00:00Z")
    assert document["opened"]["invoices"] == 3


def test_period_that_ends_before_it_begins_is_refused(small: Company) -> None:
    result = small.run("dunning", "--since", "2026-06-28", "--until", "2026-06-27")
    assert result.exit_code == 2
    assert "--since 2026-06-28 is later than --until 2026-06-27" in result.stderr


def test_hold_keeps_a_case_waiting_until_it_is_released(small: Company) -> None:
    remember(small)
    assert "is on hold" in small.run("dunning", "hold", "N-1", "--note", "they call back").stdout
    document = small.json()
    assert {one["invoice_id"]: one["waits"] for one in document["cases"]} == {"a": "on_hold", "b": None, "c": None}
    assert document["holds"][0]["note"] == "they call back"
    assert "was on hold already" in small.run("dunning", "hold", "a").stdout
    assert "goes on with the next run" in small.run("dunning", "release", "N-1").stdout
    assert small.json()["holds"] == []
    result = small.run("dunning", "release", "a", "--format", "json")
    assert json.loads(result.stdout) == {"released": False, "invoice_id": "a"}


def test_hold_of_an_invoice_nobody_knows_is_refused(small: Company) -> None:
    result = small.run("dunning", "hold", "nonsense")
    assert result.exit_code == 2
    assert 'here is no invoice "nonsense"' in result.stderr
    assert not (small.folder / "holdfast.db").exists()


def test_number_of_two_invoices_is_refused(small: Company) -> None:
    result = small.run("dunning", "hold", "N-2")
    assert result.exit_code == 2
    assert "2 invoices have this number: b, c" in result.stderr


def test_invoice_gone_from_the_tables_can_still_be_released(small: Company) -> None:
    remember(small)
    with small.store() as store:
        store.cases.hold("gone", "", on("06-27"))
    assert "goes on" in small.run("dunning", "release", "gone").stdout
