-- Contacts of contacts, for a tracer's list: one row for each case, contact between, and person whom that one met.
--
-- chains(chain, case_id, via, from_at, to_at)         as chains.sql gives them
-- met(case_id, person, minutes, …)                    exposures.sql over the windows of the chains; case_id is a chain
-- live_contacts, live_cases                           as the evidence gives them, canonical persons
select
    c.case_id,
    c.via,
    m.person,
    m.minutes,
    m.meetings,
    m.first_at,
    m.last_at
from met as m
inner join chains as c on m.case_id = c.chain
where
    -- Neither the case nor its own contacts are contacts of its contacts.
    not exists (select 1 from live_cases as k where k.case_id = c.case_id and k.person = m.person)
    and not exists (
        select 1 from live_contacts as d
        where d.index_case_id = c.case_id and d.person = m.person and d.degree = 1
    )
order by c.case_id, c.via, m.person
