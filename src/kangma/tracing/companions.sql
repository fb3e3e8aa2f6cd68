-- The definition of a spatio-temporal companion: the same grid cell as a case for long enough, and a long stay there.
--
-- visits(person, place, entered_at, left_at, source)  live, canonical persons, seconds since 1970
-- windows(case_id, person, from_at, to_at)            when a case was infectious: one row per case and person
-- places(place, kind, cell)                           one row per place; cell as in places.sql
-- $min_shared                                         seconds together in the cell, to be exceeded in one stretch
-- $min_stay                                           seconds in the cell in all, to be exceeded
-- $horizon                                            seconds before the window's end over which stays are summed
-- $either                                             true: the case's own stay in the cell will do as well
with own as (
    select
        w.case_id,
        w.person as carrier,
        w.from_at,
        w.to_at,
        w.to_at - $horizon as since_at,
        p.cell,
        v.entered_at,
        v.left_at
    from windows as w
    inner join visits as v on w.person = v.person
    inner join places as p on v.place = p.place
    where
        v.source <> 'scan_static'
        and v.entered_at < w.to_at
        and v.left_at > w.to_at - $horizon
),

near as (
    -- Only who was in the cell together with the case at all is looked at further.
    select distinct
        o.case_id,
        o.carrier,
        o.from_at,
        o.to_at,
        o.since_at,
        o.cell,
        v.person
    from own as o
    inner join places as p on o.cell = p.cell
    inner join visits as v on p.place = v.place
    where
        v.source <> 'scan_static'
        and v.person <> o.carrier
        and least(v.left_at, o.left_at, o.to_at) > greatest(v.entered_at, o.entered_at, o.from_at, o.since_at)
),

clipped as (
    select
        n.case_id,
        n.carrier,
        n.from_at,
        n.cell,
        n.person,
        greatest(v.entered_at, n.since_at) as entered_at,
        least(v.left_at, n.to_at) as left_at
    from near as n
    inner join places as p on n.cell = p.cell
    inner join visits as v on n.person = v.person and p.place = v.place
    where
        v.source <> 'scan_static'
        and v.entered_at < n.to_at
        and v.left_at > n.since_at
    union all
    select
        case_id,
        carrier,
        from_at,
        cell,
        carrier as person,
        greatest(entered_at, since_at) as entered_at,
        least(left_at, to_at) as left_at
    from own
),

marked as (
    -- A stay begins where nothing earlier reaches: overlapping and touching visits in one cell are one stay.
    select
        *,
        case
            when entered_at <= max(left_at) over (
                partition by case_id, carrier, cell, person
                order by entered_at, left_at
                rows between unbounded preceding and 1 preceding
            ) then 0
            else 1
        end as begins
    from clipped
),

numbered as (
    select
        *,
        sum(begins) over (
            partition by case_id, carrier, cell, person
            order by entered_at, left_at, begins desc -- of equal visits the one that begins a stay comes first
            rows between unbounded preceding and current row
        ) as stay
    from marked
),

stays as (
    select
        case_id,
        carrier,
        from_at,
        cell,
        person,
        min(entered_at) as entered_at,
        max(left_at) as left_at
    from numbered
    group by case_id, carrier, from_at, cell, person, stay
),

sums as (
    select
        case_id,
        carrier,
        cell,
        person,
        sum(left_at - entered_at) as stayed
    from stays
    group by case_id, carrier, cell, person
),

shared as (
    select
        c.case_id,
        c.carrier,
        c.cell,
        s.person,
        greatest(c.entered_at, s.entered_at, c.from_at) as start_at,
        least(c.left_at, s.left_at) as end_at
    from stays as c
    inner join stays as s
        on c.case_id = s.case_id and c.carrier = s.carrier and c.cell = s.cell and c.person <> s.person
    where
        c.person = c.carrier
        and least(c.left_at, s.left_at) - greatest(c.entered_at, s.entered_at, c.from_at) > $min_shared
)

select
    h.case_id,
    h.person,
    cast(sum(h.end_at - h.start_at) as double) / 60 as minutes,
    cast(max(case when $either then greatest(mine.stayed, theirs.stayed) else mine.stayed end) as double)
    / 3600 as cumulative_hours,
    min(h.start_at) as first_at,
    max(h.end_at) as last_at
from shared as h
inner join sums as mine
    on h.case_id = mine.case_id and h.carrier = mine.carrier and h.cell = mine.cell and h.person = mine.person
inner join sums as theirs
    on h.case_id = theirs.case_id and h.carrier = theirs.carrier and h.cell = theirs.cell and h.carrier = theirs.person
where mine.stayed > $min_stay or ($either and theirs.stayed > $min_stay)
group by h.case_id, h.person
order by h.case_id, h.person
