"""How a run decides: candidates, history and rules go in; decisions and settled steps come out.

Everything happens in one DuckDB connection that can reach neither files nor the network. Each stage decides some of
the open candidates, with a reason, and leaves the rest to the next one; none drops any.

Read from the connection (instants are naive UTC timestamps):

    person, candidate, bystander, zone_span, local_span   from evaluation
    settled, seen, exposure, suppression, erased_person,
    last_decision, rule_history                           from the state, resolved to rule_no, cust and addr

Written to it, replacing those of an earlier planning:

    decision    one row per candidate, and one per superseded step
    settling    the steps this run settles

A rule about accounts has one candidate for each recipient: `person.account_id` tells who belong together, and `settled`
has, beside a recipient's `own` steps, what others of the account got.

A candidate is (rule_no, cust, occurrence), after occurrences of corrected data have been recognised; `decision` bears
the recognised occurrence and anchor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.arbitration import arbitrate
from engine.planning.eligibility import check_eligibility
from engine.planning.guard import stand_guard
from engine.planning.holdout import draw, draw_arms
from engine.planning.ladder import climb
from engine.planning.marking import any_open
from engine.planning.options import PlanOptions
from engine.planning.reasons import WAITING, Outcome, Reason
from engine.planning.recipients import choose_recipients
from engine.planning.send_time import set_send_time
from engine.planning.settling import settle
from engine.planning.tables import create_tables

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from engine.project.rules import Rule

__all__ = ["STAGES", "WAITING", "Outcome", "PlanOptions", "Reason", "draw", "plan"]

STAGES: tuple[Callable[[duckdb.DuckDBPyConnection, PlanOptions], None], ...] = (
    climb,  # which step is due, if any
    check_eligibility,  # may this customer be written to
    set_send_time,  # when it leaves, and on which local date it counts
    choose_recipients,  # at most so many people of an account
    arbitrate,  # caps, priorities, daily limits
    draw_arms,  # holdout, then variants
    stand_guard,  # too many messages wait for a person
)


def plan(db: duckdb.DuckDBPyConnection, rules: Sequence[Rule], options: PlanOptions) -> None:
    """Decide about every row of `candidate`; `rule_no` is the index in `rules`.

    Pure: the same tables, rules and options give the same decisions, whatever the order of rows. From here on the
    connection cannot reach files or the network.
    """
    db.execute("SET enable_external_access = false")
    create_tables(db, rules, options)
    for number, stage in enumerate(STAGES):
        if number == 0 or any_open(db):
            stage(db, options)
    settle(db)  # what is still open is sent, held out or shadowed
