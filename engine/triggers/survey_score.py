"""The `survey_score` trigger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from engine.project.faults import Fault
from engine.project.trigger_spec import ColumnType, TriggerParams
from engine.project.types import Line, read_list
from engine.triggers.base import Condition, Found, Lookup, Needs, Trigger


class SurveyScoreParams(TriggerParams):
    """Which survey, and which answers to it."""

    survey: Line
    at_least: int | None = None
    at_most: int | None = None
    reason: Annotated[tuple[Line, ...], BeforeValidator(read_list)] = ()

    @model_validator(mode="after")
    def _in_order(self) -> SurveyScoreParams:
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            found = f"at_least {self.at_least} is more than at_most {self.at_most}"
            raise Fault("HF129", found, "no score can be both")
        return self


class SurveyScore(Trigger):
    """Customers by their latest answer to a survey.

        trigger:
          survey_score: {survey: nps, at_most: 6}

    Holds when the score of the customer's latest answer to this survey is at least `at_least` and at most `at_most`,
    and with `reason` when the answer gives it (one of them, for a list). A later answer replaces the one before and ends
    its ladder. Names of surveys and reasons are compared trimmed and without regard to case.
    """

    name = "survey_score"
    params = SurveyScoreParams
    about = "the response"
    survives = "none"
    row_table = "responses"

    def facts(self, params: Any) -> Mapping[str, ColumnType]:
        """The answer."""
        return {"score": "number", "reason": "text", "comment": "text", "answered_at": "instant"}

    def needs(self, params: SurveyScoreParams) -> Needs:
        """Responses; their reasons where the rule names some."""
        reason = ("reason",) if params.reason else ()
        return Needs(
            required={"responses": ("survey", "score", "at", *reason)}, optional={"responses": ("reason", "comment")}
        )

    def find(self, params: SurveyScoreParams, look: Lookup) -> Found:
        """One candidate a customer: the latest answer."""
        reason = look.column("r", "responses", "reason", "VARCHAR")
        latest = look.shared(_latest(params.survey, look))
        conditions = [Condition(f"the latest answer to {params.survey}", "l.newest = 1", {"answered": 'r."at"'})]
        for words, sign, bound in (("at least", ">=", params.at_least), ("at most", "<=", params.at_most)):
            if bound is not None:
                sql = f"r.score {sign} {look.bind(bound)}"
                conditions.append(Condition(f"a score of {words} {bound}", sql, {"score": "r.score"}))
        if params.reason:
            wanted = ", ".join(_folded(look.bind(word)) for word in params.reason)
            text = f"the reason is {' or '.join(params.reason)}"
            conditions.append(Condition(text, f"{_folded(reason)} IN ({wanted})", {"reason": reason}))
        return Found(
            f"t_responses AS r JOIN {latest} AS l ON l.response_id = r.response_id JOIN person AS p ON p.cust = r.cust",
            tuple(conditions), "r.response_id", 'r."at"',
            {
                "score": lambda: "r.score", "reason": lambda: reason,
                "comment": lambda: look.column("r", "responses", "comment", "VARCHAR"), "answered_at": lambda: 'r."at"',
            },
        )  # fmt: skip


def _latest(survey: str, look: Lookup) -> str:
    """Past answers to the survey, numbered from each customer's newest on; of one instant, the greater id is newer."""
    return (
        'SELECT x.response_id, row_number() OVER (PARTITION BY x.cust ORDER BY x."at" DESC, x.response_id DESC) '
        f'AS newest FROM t_responses AS x WHERE x."at" < {look.now} AND {_folded("x.survey")} = {_folded(look.bind(survey))}'
    )


def _folded(text: str) -> str:
    return f"lower(trim({text}))"
