"""Whom a due step may be sent to: address, preferences, consent, blocks and the step's own `where`.

Unsubscribing and missing consent stop marketing; unsubscribing from a topic stops that topic in marketing and service.
A bounce or complaint stops marketing and service. Erasure stops everything. Where proof of consent is required,
an unknown country counts as one that requires it. Channels that do not reach the customer need neither address nor
consent; only erasure, blocks and `where` stop them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.planning.local_time import instant
from engine.planning.marking import mark

if TYPE_CHECKING:
    import duckdb

    from engine.planning.options import PlanOptions

_MUTED = """
CREATE TABLE planning.muted AS
SELECT o.cand,
       bool_or(x.kind = 'unsubscribed' AND (x.topic IS NULL AND r.class = 'marketing'
                                            OR x.topic = r.topic AND r.class <> 'legal')) AS unsubscribed,
       bool_or(x.kind = 'bounced' AND r.class <> 'legal') AS bounced,
       bool_or(x.kind = 'complained' AND r.class <> 'legal') AS complained,
       bool_or(x.kind = 'erased') AS erased,
       bool_or(x.kind = 'not_until' AND r.class = 'marketing' AND coalesce(x.topic = r.topic, true)
               AND x.until > greatest(z.today, o.due_date)) AS not_until
FROM planning.open o
JOIN planning.rule r USING (rule_no)
JOIN person p ON p.cust = o.cust
JOIN planning.zone_today z ON z.zone_no = p.zone_no
JOIN suppression x ON x.addr = p.addr
GROUP BY o.cand
"""

# A rule blocks for as long as its trigger yields the customer, from the anchor on, whatever its own ladder does.
_BLOCKED = """
CREATE TABLE planning.blocked AS
SELECT o.cand, min(r.rule_id) AS blocker
FROM planning.blocking b
JOIN planning.open o ON o.rule_no = b.target_no
JOIN (SELECT rule_no, cust, anchor FROM candidate UNION ALL FROM bystander) c
  ON c.rule_no = b.blocker_no AND c.cust = o.cust
JOIN planning.rule r ON r.rule_no = b.blocker_no
WHERE c.anchor <= {as_of} AND (b.lasts IS NULL OR c.anchor + b.lasts > {as_of})
GROUP BY o.cand
"""

_JUDGED = """
SELECT o.*,
       CASE WHEN p.address_state = 'nobody' THEN 'no_recipient'
            WHEN t.reaches AND p.address_state = 'none' THEN 'no_address'
            WHEN t.reaches AND (p.address_state <> 'ok' OR p.addr IS NULL) THEN 'invalid_address'
            WHEN t.reaches AND m.unsubscribed THEN 'unsubscribed'
            WHEN t.reaches AND r.class = 'marketing' AND p.consent IS NOT TRUE THEN 'no_consent'
            WHEN t.reaches AND r.class = 'marketing' AND p.consent_proved IS NOT TRUE AND q.required THEN 'no_basis'
            WHEN t.reaches AND m.bounced THEN 'bounced'
            WHEN t.reaches AND m.complained THEN 'complained'
            WHEN m.erased OR e.cust IS NOT NULL THEN 'erased'
            WHEN t.reaches AND m.not_until THEN 'not_until'
            WHEN b.blocker IS NOT NULL THEN 'blocked_by'
            WHEN o.failing THEN 'where_step' END::planning.reason AS reason,
       CASE WHEN reason = 'blocked_by' THEN b.blocker END AS detail
FROM planning.open o
JOIN planning.rule r USING (rule_no)
JOIN planning.step t USING (rule_no, step_no)
JOIN person p ON p.cust = o.cust
LEFT JOIN planning.muted m ON m.cand = o.cand
LEFT JOIN planning.blocked b ON b.cand = o.cand
LEFT JOIN erased_person e ON e.cust = o.cust
LEFT JOIN (
    SELECT upper(trim(country)) AS country, true AS required FROM planning.require_in
    UNION ALL SELECT NULL, true WHERE EXISTS (FROM planning.require_in)
) q ON q.country IS NOT DISTINCT FROM nullif(upper(trim(p.country)), '')
"""


def check_eligibility(db: duckdb.DuckDBPyConnection, options: PlanOptions) -> None:
    """Decide who must or may not be written to."""
    db.execute(_MUTED)
    db.execute(_BLOCKED.format(as_of=instant(options.as_of)))
    mark(db, _JUDGED)
    db.execute("DROP TABLE planning.muted; DROP TABLE planning.blocked")
