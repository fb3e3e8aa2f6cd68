-- From live documents to facts: one row says one thing about one person, and rules speak of nothing else.
--
-- Every statement is a SELECT over live_<kind> (see live.sql) and over statements before it; kangma.evidence.views names
-- its result. What each fact means, in words, stands in docs/formats/evidence.md. No statement knows the time of day:
-- facts follow from evidence alone, rules compare them with `now`. Spans are half-open, a missing end has not come.
-- "7.0", "1.4" … point into the design's policy and domain chapters.

-- ---------------------------------------------------------------------------------------------------------------------
-- Areas and counties: what was risky where, and when

-- name: area_spans
-- Risk areas over time, levels other than low: what areas documents say, and what the sequence of official lists says.
-- An area has a level from the first list that names it so until the first later list that does not; all lists count,
-- also those that name no area at all.
with lists as (
    select listed_at, row_number() over (order by listed_at) as number
    from (select distinct listed_at from live_area_lists)
),

named as (
    select
        area_id,
        level,
        number,
        any_value(listed_at) as listed_at,
        max(name) as name,
        max(district) as district,
        max(county) as county,
        number - row_number() over (partition by area_id, level order by number) as island
    from live_area_lists
    inner join lists using (listed_at)
    where area_id is not null and level is not null
    group by area_id, level, number
),

listed as (
    select
        area_id,
        max(name) as name,
        max(district) as district,
        max(county) as county,
        level,
        min(listed_at) as from_at,
        max(number) as last_number
    from named
    group by area_id, level, island
),

spans as (
    select area_id, name, district, county, level, from_at, to_at from live_areas
    union all
    select area_id, name, district, county, level, from_at, lists.listed_at as to_at
    from listed
    left join lists on lists.number = listed.last_number + 1
)

select
    s.area_id,
    coalesce(s.name, s.area_id) as name,
    coalesce(s.district, '') as district,
    w.county,
    w.in_city,
    s.level,
    s.from_at,
    s.to_at
from spans as s
inner join written_areas as w
    on w.district is not distinct from s.district and w.written is not distinct from s.county
where s.level <> 'low' and (s.to_at is null or s.from_at < s.to_at)

-- name: area_counties
-- The county of each area, whatever its level: as the latest document has it.
with said as (
    select area_id, district, county, from_at from live_areas
    union all
    select area_id, district, county, listed_at from live_area_lists where area_id is not null
)

select
    s.area_id,
    arg_max(w.county, (s.from_at, w.county)) as county,
    arg_max(w.in_city, (s.from_at, w.county)) as in_city
from said as s
inner join written_areas as w
    on w.district is not distinct from s.district and w.written is not distinct from s.county
where w.county <> ''
group by s.area_id

-- name: county_stretches
-- Per county, in order of time: `infected`, the stretches with local infections, and `risk`, those in which one of its
-- areas was of medium or high risk. Spans that touch or overlap are one stretch. Counties without any are left out.
with spans as (
    select w.county, 'infected' as kind, c.local_infections_from as from_at, c.local_infections_to as to_at
    from live_counties as c
    inner join written_counties as w on w.written = c.county
    where c.local_infections_to is null or c.local_infections_from < c.local_infections_to
    union  -- each span once: the windows below could put two equal ones in different orders
    select county, 'risk' as kind, from_at, to_at
    from area_spans
    where level in ('medium', 'high')
),

reached as (
    select
        *,
        max(coalesce(to_at, 9223372036854775807)) over (
            partition by county, kind order by from_at, coalesce(to_at, 9223372036854775807)
            rows between unbounded preceding and 1 preceding
        ) as reached
    from spans
),

numbered as (
    select
        *,
        count(*) filter (where reached is null or reached < from_at) over (
            partition by county, kind order by from_at, coalesce(to_at, 9223372036854775807)
            rows between unbounded preceding and current row
        ) as stretch
    from reached
),

stretches as (
    select
        county,
        kind,
        min(from_at) as from_at,
        case when bool_and(to_at is not null) then max(to_at) end as to_at
    from numbered
    group by county, kind, stretch
)

select
    county,
    coalesce(
        list({'from_at': from_at, 'to_at': to_at} order by from_at) filter (where kind = 'infected'), []
    ) as infected,
    coalesce(list({'from_at': from_at, 'to_at': to_at} order by from_at) filter (where kind = 'risk'), []) as risk
from stretches
group by county

-- name: border_counties
select w.county
from live_counties as c
inner join written_counties as w on w.written = c.county
group by w.county
having bool_or(c.land_border)

-- ---------------------------------------------------------------------------------------------------------------------
-- Where people were

-- name: stays
-- Every stay at an area or in a county, with the county's one name. A static code proves nothing (7.0): not a stay.
-- `county` is null for a stay at an area of which nothing is known.
select
    s.person,
    s.area_id,
    coalesce(own.county, a.county) as county,
    coalesce(own.in_city, a.in_city) as in_city,
    s.source,
    s.entered_at,
    s.left_at
from live_area_stays as s
left join written_counties as own on own.written = s.county
left join area_counties as a on a.area_id = s.area_id
where s.source <> 'scan_static'

-- name: absences
-- Who was outside the city: one row per person. A stay outside ends when it says so, or earlier with the first sign of
-- the person in the city after it began: an arrival there, or a stay there.
with outside as (
    select distinct person, entered_at, left_at from stays where not in_city
),

back as (
    select e.person, e.at as back_at from live_city_entries as e where e.person in (select person from outside)
    union
    select person, entered_at as back_at from stays where in_city and person in (select person from outside)
),

ended as (
    select o.person, o.entered_at, least(o.left_at, min(b.back_at)) as ended_at
    from outside as o
    left join back as b on b.person = o.person and b.back_at > o.entered_at
    group by o.person, o.entered_at, o.left_at
)

select
    person,
    bool_or(ended_at is null) as away,
    case when bool_and(ended_at is not null) then max(ended_at) end as in_city_since
from ended
group by person

-- name: risky_places
-- Places inside an area that ever had a level other than low.
select distinct place, area_id from live_places where area_id in (select area_id from area_spans)

-- name: risk_stays
-- One stay during one stretch of one level. Stays come from area stays and from visits at places of the area.
with inside as (
    select person, area_id, source, entered_at, left_at
    from live_area_stays
    where area_id is not null and source <> 'scan_static'
    union all
    select v.person, p.area_id, v.source, v.entered_at, v.left_at
    from live_visits as v
    inner join risky_places as p on p.place = v.place
    where v.source <> 'scan_static'
)

select
    i.person,
    a.area_id,
    a.name,
    a.district,
    a.county,
    a.in_city,
    a.level,
    i.source,
    i.entered_at,
    i.left_at,
    a.from_at as level_from,
    a.to_at as level_to,
    greatest(i.entered_at, a.from_at) as overlap_from,
    least(i.left_at, a.to_at) as overlap_to
from inside as i
inner join area_spans as a
    on a.area_id = i.area_id and meets(i.entered_at, i.left_at, a.from_at, a.to_at)

-- name: county_stays
-- One stay in a county beside the stretches that it met there. The shape, without a product of stretches:
--   a row for each infected stretch met, with the last risk stretch that meets both the stay and that infected stretch;
--   a row for each risk stretch met that no such row carries, `infected_*` null;
--   one row with all four null when the stay met neither.
with met as (
    select
        s.*,
        list_filter(c.infected, lambda x: meets(s.entered_at, s.left_at, x.from_at, x.to_at)) as infected,
        list_filter(c.risk, lambda x: meets(s.entered_at, s.left_at, x.from_at, x.to_at)) as risk
    from stays as s
    inner join county_stretches as c on c.county = s.county
),

paired as (
    select
        * exclude (infected),
        list_transform(
            infected,
            lambda i: {
                'infected': i,
                'risk': list_filter(risk, lambda r: meets(i.from_at, i.to_at, r.from_at, r.to_at))[-1]
            }
        ) as pairs
    from met
),

shaped as (
    select
        * exclude (pairs, risk),
        list_concat(
            pairs,
            list_transform(
                list_filter(risk, lambda r: not list_contains(list_transform(pairs, lambda p: p.risk.from_at), r.from_at)),
                lambda r: {'infected': null, 'risk': r}
            )
        ) as pairs
    from paired
)

select
    person,
    county,
    in_city,
    county in (select county from border_counties) as land_border,
    source,
    entered_at,
    left_at,
    pair.infected.from_at as infected_from,
    pair.infected.to_at as infected_to,
    pair.risk.from_at as risk_from,
    pair.risk.to_at as risk_to
from (
    select * exclude (pairs), unnest(case when len(pairs) > 0 then pairs else [null] end) as pair
    from shaped
    union all
    select s.*, null as pair
    from stays as s
    where s.county is not null and not exists (select 1 from county_stretches as c where c.county = s.county)
)

-- name: city_entries
-- Arrivals in the city. The itinerary of the days before (1.3): what the person declared against what the telephone
-- network saw. Only counties outside the city are compared, and a stay that the network saw too shortly (a train
-- passing through) contradicts nobody.
with arrivals as (
    select distinct e.person, e.at as entered_at from live_city_entries as e
),

travelled as (
    select
        a.person,
        a.entered_at,
        bool_or(s.source = 'declared') as declared,
        coalesce(list(distinct s.county) filter (where s.source = 'declared' and s.county is not null), []) as told,
        coalesce(
            list(distinct s.county) filter (
                where s.source = 'telecom' and not s.in_city and coalesce(s.left_at, a.entered_at) - s.entered_at >= $telecom_stay
            ),
            []
        ) as seen
    from arrivals as a
    inner join stays as s
        on s.person = a.person
        and s.entered_at < a.entered_at
        and (s.left_at is null or s.left_at > a.entered_at - $itinerary)
    group by a.person, a.entered_at
),

departures as (
    select a.person, a.entered_at, min(s.entered_at) as leaves_at
    from arrivals as a
    inner join stays as s on s.person = a.person and s.entered_at > a.entered_at and not s.in_city
    group by a.person, a.entered_at
)

select
    e.person,
    e.at,
    e.from_county,
    e.means,
    case
        when not coalesce(t.declared, false) then 'undeclared'
        when list_has_all(t.told, t.seen) then 'agrees'
        else 'contradicted'
    end as itinerary,
    d.leaves_at
from live_city_entries as e
left join travelled as t on t.person = e.person and t.entered_at = e.at
left join departures as d on d.person = e.person and d.entered_at = e.at

-- ---------------------------------------------------------------------------------------------------------------------
-- Tests

-- name: tubes
-- Pooled tubes that came out positive, and when that was first reported. A tube is one laboratory's.
select lab, pool_id, min(reported_at) as positive_at
from live_tests
where pool_id is not null and result = 'positive'
group by lab, pool_id

-- name: tests
select
    t.person,
    t.specimen_id,
    t.sampled_at,
    t.reported_at,
    t.method,
    t.pooled,
    t.pool_id,
    t.result,
    t.lab,
    u.positive_at as pool_positive_at
from live_tests as t
left join tubes as u on u.lab = t.lab and u.pool_id = t.pool_id

-- name: occupations
-- Who must test on a schedule. The next test is due every_days times 24 hours after the last negative specimen, at the
-- same hour, or after the duty began. A specimen without a sampling time counts from its report. The day count is held
-- to a century, so that a wild number in one row stops nobody else's arithmetic.
select
    o.person,
    o.occupation,
    o.every_days,
    o.from_at,
    o.to_at,
    n.last_sampled_at,
    greatest(o.from_at, n.last_sampled_at) + least(greatest(o.every_days, 0), 36525) * 86400 as due_at
from live_occupations as o
left join (
    select person, max(coalesce(sampled_at, reported_at)) as last_sampled_at
    from live_tests
    where method = 'nat' and result = 'negative' and person in (select person from live_occupations)
    group by person
) as n on n.person = o.person

-- name: rounds
-- The screening rounds, one bit each within its district, the newest 120 of a district. Two documents about one round
-- are one round.
with known as (
    select w.county as district, r.round_id, r.due, min(r.opened_at) as opened_at, max(r.closed_at) as closed_at
    from live_screening_rounds as r
    inner join written_counties as w on w.written = r.district
    group by w.county, r.round_id, r.due
)

select
    * exclude (number),
    1::uhugeint << number::uhugeint as bit
from (
    select
        *,
        row_number() over (partition by district order by opened_at desc, closed_at desc, round_id, due) - 1 as number
    from known
)
where number < 120

-- name: round_triples
-- Each three consecutive rounds of a district to which the same people were due.
select district, due, first_opened_at, last_closed_at, bits
from (
    select
        district,
        due,
        opened_at as first_opened_at,
        greatest(closed_at, lead(closed_at) over later, lead(closed_at, 2) over later) as last_closed_at,
        bit | lead(bit) over later | lead(bit, 2) over later as bits
    from rounds
    window later as (partition by district, due order by opened_at, closed_at, round_id)
)
where bits is not null

-- name: missed_rounds
-- Residents of a district that were sampled in none of three consecutive rounds (1.4, 29 April). What the result was
-- does not matter; a specimen without a sampling time counts if it was reported by a day after the round closed.
with residents as (
    select p.person, p.district as written, w.county as district
    from live_people as p
    inner join written_counties as w on w.written = p.district
    where w.county in (select district from round_triples)
),

attended as (
    select t.person, bit_or(r.bit) as bits
    from live_tests as t
    inner join residents as p on p.person = t.person
    inner join rounds as r
        on r.district = p.district
        and coalesce(t.sampled_at, t.reported_at) >= r.opened_at
        and coalesce(t.sampled_at, t.reported_at - 86400) <= r.closed_at
    where t.method = 'nat'
    group by t.person
),

missed as (
    select p.person, p.written as district, t.due, t.first_opened_at, t.last_closed_at
    from residents as p
    inner join round_triples as t on t.district = p.district
    left join attended as a on a.person = p.person
    where coalesce(a.bits, 0::uhugeint) & t.bits = 0
)

select person, district, 3 as rounds, first_opened_at, last_closed_at
from missed
where due = 'everyone'
union all
-- A round for one occupation concerns who held it all the while.
select person, district, 3 as rounds, first_opened_at, last_closed_at
from missed as m
where
    due <> 'everyone'
    and exists (
        select 1
        from live_occupations as o
        where
            o.person = m.person
            and o.occupation = m.due
            and o.from_at <= m.first_opened_at
            and (o.to_at is null or o.to_at >= m.last_closed_at)
    )

-- ---------------------------------------------------------------------------------------------------------------------
-- Cases, and who met them

-- name: case_heads
-- A case by its id, whoever is named under it; ruled out when it is ruled out for everybody named.
select
    case_id,
    min(confirmed_at) as confirmed_at,
    case when bool_and(excluded_at is not null) then max(excluded_at) end as excluded_at
from live_cases
group by case_id

-- name: contacts
-- The contacts that tracers named, with what became of the contact between (the 9th protocol's chain): a contact of a
-- contact becomes a contact when that one proves infected, is freed sooner when that one's first two tests are negative,
-- and is no contact of any kind when that one is none any more.
with recursive named as (
    -- After two papers turn out to be one person, nobody is the contact of themselves.
    select *
    from live_contacts as c
    where
        c.index_person is distinct from c.person
        and not exists (select 1 from live_cases as k where k.case_id = c.index_case_id and k.person = c.person)
),

standing as (
    -- Who is a contact or a case: cases, contacts that depend on nobody between, and then whoever met one of these.
    select person from live_cases
    union
    select person from named where degree = 1 or index_person is null
    union
    select n.person from named as n inner join standing as s on s.person = n.index_person
),

own_cases as (
    -- The cases of one person, ruled out when each of them is.
    select person, case when bool_and(excluded_at is not null) then max(excluded_at) end as excluded_at
    from live_cases
    group by person
),

rows as (
    select
        n.*,
        -- The head case: the one named, else the index person's own.
        case when n.index_case_id is not null then h.excluded_at else o.excluded_at end as head_excluded_at
    from named as n
    left join case_heads as h on h.case_id = n.index_case_id
    left join own_cases as o on o.person = n.index_person
    where n.degree = 1 or n.index_person is null or n.index_person in (select person from standing)
),

between_heads as (
    -- A contact's own heads, ruled out when each of them is.
    select person, case when bool_and(head_excluded_at is not null) then max(head_excluded_at) end as excluded_at
    from rows
    group by person
),

links as (
    -- The contact between, and the exposure that made them one: their latest that is not after they met the person,
    -- else their earliest; without any, they stand as a case and were never in question.
    select
        r.index_person,
        r.last_exposure_at,
        coalesce(
            max(o.last_exposure_at) filter (where o.last_exposure_at <= r.last_exposure_at), min(o.last_exposure_at)
        ) as exposed_at
    from (select distinct index_person, last_exposure_at from rows where degree = 2 and index_person is not null) as r
    left join rows as o on o.person = r.index_person
    group by r.index_person, r.last_exposure_at
),

proofs as (
    -- When the contact between was known to be infected: a single positive test, or a case. A tube's positive is
    -- nobody's yet. What belongs to an infection that was over before the meeting, or to a case since ruled out, is past.
    select l.index_person, l.last_exposure_at, t.reported_at as known_at
    from links as l
    inner join live_tests as t on t.person = l.index_person
    where
        t.method = 'nat'
        and t.result = 'positive'
        and not t.pooled
        and not exists (
            select 1
            from live_cases as k
            where
                k.person = l.index_person
                and (
                    k.excluded_at >= t.reported_at
                    or (k.discharged_at >= t.reported_at and k.discharged_at <= l.last_exposure_at)
                )
        )
    union all
    select l.index_person, l.last_exposure_at, k.confirmed_at as known_at
    from links as l
    inner join live_cases as k on k.person = l.index_person
    where k.excluded_at is null and (k.discharged_at is null or k.discharged_at > l.last_exposure_at)
),

positives as (
    select index_person, last_exposure_at, min(known_at) as known_at
    from proofs
    group by index_person, last_exposure_at
),

specimens as (
    -- One specimen, however often reported, after that exposure; positive if any report says so.
    select
        l.index_person,
        l.last_exposure_at,
        t.lab,
        t.specimen_id,
        min(coalesce(t.sampled_at, t.reported_at)) as sampled_at,
        min(t.reported_at) as reported_at,
        bool_or(t.result = 'positive') as positive
    from links as l
    inner join live_tests as t on t.person = l.index_person
    where
        t.method = 'nat'
        and t.result in ('negative', 'positive')
        and coalesce(t.sampled_at, t.reported_at) > l.exposed_at
    group by l.index_person, l.last_exposure_at, t.lab, t.specimen_id
),

first_two as (
    select *
    from specimens
    qualify row_number() over (
        partition by index_person, last_exposure_at
        order by sampled_at, reported_at, positive desc, lab, specimen_id
    ) <= 2
),

negatives as (
    select index_person, last_exposure_at, max(reported_at) as known_at
    from first_two
    group by index_person, last_exposure_at
    having count(*) = 2 and not bool_or(positive)
)

select
    r.person,
    r.index_case_id,
    case when r.degree = 1 or p.known_at is not null then 1 else 2 end as degree,
    r.degree as declared_degree,
    r.last_exposure_at,
    r.found_by,
    p.known_at as index_positive_at,
    n.known_at as index_second_negative_at,
    case
        -- One who proved infected is a head of their own.
        when p.known_at is not null then null
        when r.degree = 2 and r.index_case_id is null and b.person is not null then b.excluded_at
        else r.head_excluded_at
    end as index_excluded_at
from rows as r
left join positives as p
    on r.degree = 2 and p.index_person = r.index_person and p.last_exposure_at = r.last_exposure_at
left join negatives as n
    on r.degree = 2 and n.index_person = r.index_person and n.last_exposure_at = r.last_exposure_at
left join between_heads as b on b.person = r.index_person

-- name: exposures
-- What tracing found, of cases that still are. Nobody meets themselves: after two papers turn out to be one person, the
-- rows of the time before may say so.
with traced as (
    select coalesce(c.canonical, e.person) as person, e.* exclude (person)
    from exposures as e
    left join canonical as c on c.person = e.person
)

select e.person, e.case_id, e.minutes, e.meetings, e.first_at, e.last_at, h.confirmed_at, h.excluded_at
from traced as e
inner join case_heads as h on h.case_id = e.case_id
where not exists (select 1 from live_cases as k where k.case_id = e.case_id and k.person = e.person)

-- name: companions
with traced as (
    select coalesce(c.canonical, e.person) as person, e.* exclude (person)
    from companions as e
    left join canonical as c on c.person = e.person
)

select e.person, e.case_id, e.minutes, e.cumulative_hours, e.first_at, e.last_at, h.confirmed_at, h.excluded_at
from traced as e
inner join case_heads as h on h.case_id = e.case_id
where not exists (select 1 from live_cases as k where k.case_id = e.case_id and k.person = e.person)

-- ---------------------------------------------------------------------------------------------------------------------
-- People

-- name: without_registration
select p.person
from ($persons) as p
where not exists (select 1 from live_people as l where l.person = p.person)

-- name: unregistered
-- Persons without a registration of whom something else is known, by their other documents.
select distinct d.person
from ($documents) as d
where d.person in (select person from without_registration)

-- name: people
-- One row per person of whom anything live is known, registered or not: a rule may ask where somebody is of whom only
-- a telephone's stay is known. Visits alone make nobody known; being at risk, or exposed, by one does.
with traced as (
    select person from fact_exposures
    union
    select person from fact_companions
)

select p.person, p.birth_date, p.nationality, p.district, coalesce(a.away, false) as away, a.in_city_since
from (
    select person, birth_date, nationality, district from live_people
    union all
    select person, null as birth_date, null as nationality, null as district from unregistered
    union all
    select t.person, null as birth_date, null as nationality, null as district
    from traced as t
    where
        not exists (select 1 from live_people as l where l.person = t.person)
        and not exists (select 1 from unregistered as u where u.person = t.person)
) as p
left join absences as a on a.person = p.person
