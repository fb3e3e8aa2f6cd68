-- When each case could infect others: windows(case_id, person, from_at, to_at), one row per case and person.
--
-- live_cases, live_tests, live_isolations             as the evidence gives them, canonical persons
-- $look_back                                          seconds before onset or positive sample
-- $episode                                            seconds before confirmation that a positive sample may lie
-- $isolation_wait                                     seconds after confirmation that the isolation may begin
with cases as (
    -- Two senders may report one case: the earliest of each moment stands. An excluded report opens no window.
    select
        case_id,
        person,
        min(confirmed_at) as confirmed_at,
        min(onset_at) as onset_at,
        min(infectious_from) as infectious_from
    from live_cases
    where excluded_at is null
    group by case_id, person
),

samples as (
    -- A positive tube is not a positive person. A sample of an infection long past is not of this one.
    select
        c.case_id,
        c.person,
        min(coalesce(t.sampled_at, t.reported_at)) as sampled_at
    from cases as c
    inner join live_tests as t on c.person = t.person
    where
        t.result = 'positive'
        and not t.pooled
        and coalesce(t.sampled_at, t.reported_at) <= c.confirmed_at
        and coalesce(t.sampled_at, t.reported_at) > c.confirmed_at - $episode
    group by c.case_id, c.person
),

opened as (
    select
        c.case_id,
        c.person,
        c.confirmed_at,
        coalesce(
            c.infectious_from,
            c.onset_at - $look_back,
            s.sampled_at - $look_back,
            c.confirmed_at - $look_back
        ) as from_at
    from cases as c
    left join samples as s on c.case_id = s.case_id and c.person = s.person
),

isolated as (
    -- Who was already isolated when the window opens has no window. Health monitoring is not isolation.
    select
        o.case_id,
        o.person,
        min(greatest(i.from_at, o.from_at)) as isolated_at
    from opened as o
    inner join live_isolations as i on o.person = i.person
    where
        i.kind in ('central', 'home')
        and (i.to_at is null or i.to_at > o.from_at)
        and i.from_at <= o.confirmed_at + $isolation_wait
    group by o.case_id, o.person
)

select
    o.case_id,
    o.person,
    o.from_at,
    coalesce(i.isolated_at, o.confirmed_at) as to_at
from opened as o
left join isolated as i on o.case_id = i.case_id and o.person = i.person
where coalesce(i.isolated_at, o.confirmed_at) > o.from_at
order by o.case_id, o.person
