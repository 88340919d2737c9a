-- One row per customer who has shared at least 20 reports. It happens once, so the occurrence is a fixed word;
-- the anchor is the moment of the 20th.
select
  numbered.customer_id,
  'reports-20' as occurrence,
  max(case when numbered.n = 20 then numbered.at end) as anchor,
  count(*) as reports_shared,
  greatest(25 - count(*), 0) as reports_left
from (
  select
    events.customer_id,
    events.at,
    row_number() over (partition by events.customer_id order by events.at) as n
  from events
  where events.name = 'report_shared' and events.at < :as_of
) as numbered
group by numbered.customer_id
having count(*) >= 20
