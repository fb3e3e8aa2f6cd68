-- The definition of an exposure. Everything else that traces must give exactly these rows.
--
-- visits(person, place, entered_at, left_at, source)  live, canonical persons, seconds since 1970
-- windows(case_id, person, from_at, to_at)            when a case was infectious: one row per case and person
-- places(place, kind, cell)                           one row per place
-- $min_overlap, $linger                               whole seconds; at least 1, at least 0
with own as (
    -- Where the case was while infectious. A picture of a static code proves no presence, and two phones in one
    -- telecom cell have not met: that is what companions.sql is for.
    select distinct
        w.case_id,
        w.person,
        v.place,
        v.entered_at,
        v.left_at,
        greatest(v.entered_at, w.from_at) as start_at,
        least(v.left_at, w.to_at) + $linger as end_at
    from windows as w
    inner join visits as v on w.person = v.person
    where
        v.source <> 'scan_static'
        and v.entered_at < w.to_at
        and (v.left_at > w.from_at or v.entered_at >= w.from_at)
        and not exists (select 1 from places as p where p.place = v.place and p.kind = 'grid')
),

meetings as (
    -- Two senders who tell of one visit in the same words tell of one visit: hence distinct, here and above.
    select distinct
        o.case_id,
        o.person as carrier,
        o.place,
        o.entered_at as carrier_entered_at,
        o.left_at as carrier_left_at,
        v.person,
        v.entered_at,
        v.left_at,
        greatest(o.start_at, v.entered_at) as start_at,
        least(o.end_at, v.left_at) as end_at
    from own as o
    inner join visits as v on o.place = v.place
    where
        v.source <> 'scan_static'
        and v.person <> o.person
        and least(o.end_at, v.left_at) - greatest(o.start_at, v.entered_at) >= $min_overlap
)

select
    case_id,
    person,
    cast(sum(end_at - start_at) as double) / 60 as minutes,
    count(*) as meetings,
    min(start_at) as first_at,
    max(end_at) as last_at
from meetings
group by case_id, person
order by case_id, person
