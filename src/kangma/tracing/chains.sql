-- Chains of one case and one of its contacts, and when that contact could have infected others in turn:
-- chains(chain, case_id, via, from_at, to_at), from the contact's first exposure to the contact's isolation.
-- With windows(case_id, person, from_at, to_at) := (chain, via, from_at, to_at), exposures.sql finds whom they met.
--
-- live_contacts(person, index_case_id, degree, last_exposure_at, …), live_cases(case_id, person, excluded_at, …),
-- live_isolations(person, kind, from_at, to_at, …)    as the evidence gives them, canonical persons
-- exposures(case_id, person, first_at, …)             as exposures.sql gives them
-- $until                                              seconds since 1970: the end for whom nobody has isolated yet
with named as (
    -- Only a document makes a contact: what the machine found is a lead for a tracer, not a link of a chain.
    select
        index_case_id as case_id,
        person,
        min(last_exposure_at) as last_exposure_at
    from live_contacts
    where degree = 1 and index_case_id is not null
    group by index_case_id, person
),

standing as (
    select distinct case_id
    from live_cases
    where excluded_at is null
),

opened as (
    -- A contact that no visit shows is counted from the exposure that the tracer wrote down.
    select
        n.case_id,
        n.person,
        least(coalesce(min(e.first_at), n.last_exposure_at), n.last_exposure_at) as from_at
    from named as n
    inner join standing as s on n.case_id = s.case_id
    left join exposures as e on n.case_id = e.case_id and n.person = e.person
    group by n.case_id, n.person, n.last_exposure_at
),

isolated as (
    select
        o.case_id,
        o.person,
        min(greatest(i.from_at, o.from_at)) as isolated_at
    from opened as o
    inner join live_isolations as i on o.person = i.person
    where i.kind in ('central', 'home') and (i.to_at is null or i.to_at > o.from_at)
    group by o.case_id, o.person
)

select
    concat(o.case_id, '#', cast(o.person as text)) as chain,
    o.case_id,
    o.person as via,
    o.from_at,
    least(coalesce(i.isolated_at, $until), $until) as to_at
from opened as o
left join isolated as i on o.case_id = i.case_id and o.person = i.person
where least(coalesce(i.isolated_at, $until), $until) > o.from_at
order by o.case_id, o.person
