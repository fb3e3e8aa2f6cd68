-- From documents to live documents: what still counts of everything that ever came in.
--
-- Every statement is a SELECT; kangma.evidence.views names its result as the line above it says and puts relations and
-- column lists where a dollar word stands. DuckDB's dialect. Times are seconds since 1970 (BIGINT), days are days since 1970.
-- The words are explained in docs/formats/evidence.md.

-- name: retracted_documents
-- A retraction by document id: all versions of that id, of the named source, else of the feed that retracts. What the
-- operator takes back on the machine itself (feed "local") without naming a source is taken back from every feed.
-- A derived row id (row-…) stands in the same column. Retractions are not folded and cannot be taken back.
select distinct
    retracts as document_id,
    case when source is not null then source when feed <> 'local' then feed end as feed  -- null: any feed
from raw_retractions
where retracts is not null

-- name: retracted_spans
-- A retraction by source and time: all documents of that feed that happened in [from_at, to_at); a missing bound is no
-- bound. A kind that has no time of its own is taken only by a retraction without bounds.
select distinct source as feed, from_at, to_at
from raw_retractions
where retracts is null

-- name: versions
-- Documents that came in more than one version or wording, by a hash of (feed, document_id). A clash of hashes only
-- sends a row the longer way round.
select hash(feed, document_id) as document
from $rows
where document_id is not null
group by document
having count(*) > 1

-- name: newest
-- Of each such document the newest: highest version, then the latest of the kind's own time, then the greatest text.
-- The last two make the choice the same everywhere when a sender forgets to count.
select * exclude (words, place_in_line)
from (
    select
        *,
        row_number() over (
            partition by feed, document_id
            order by document_version desc, $at desc nulls last, words desc
        ) as place_in_line
    from (
        select r.*, $text as words
        from $rows as r $keys
        where r.document_id is not null and hash(r.feed, r.document_id) in (select document from $versions)
    )
)
where place_in_line = 1

-- name: taken_rows
-- Documents without an id of their own that a retraction names by their derived id.
select * exclude (words)
from (select r.*, $text as words from $rows as r $keys where r.document_id is null) as d
where exists (
    select 1
    from retracted_documents as t
    where t.document_id = 'row-' || left(sha256(d.words), 32) and (t.feed is null or t.feed = d.feed)
)

-- name: some
-- The documents that match, and every other version of the same documents: a correction may have moved a document from
-- one person to another.
select * from $matched
union
select r.*
from $rows as r
where
    r.document_id is not null
    and hash(r.feed, r.document_id) in (select hash(feed, document_id) from $matched where document_id is not null)

-- name: joined
-- Pairs of person numbers that are one person: joined by a live document and split by none, whichever way round.
with pairs as (
    select least(person, same_as) as one, greatest(person, same_as) as other, coalesce(undo, false) as undo
    from live_identities
)
select one, other
from pairs
group by one, other
having not bool_or(undo)

-- name: registered_twice
select person from registrations group by person having count(*) > 1

-- name: registered_once_and_for_all
-- One row per person. Several registrations (two feeds, or two papers of one person): column by column the word of the
-- highest version, then of the greatest text, that says anything.
select
    person,
    arg_max(birth_date, (document_version, words)) as birth_date,
    arg_max(nationality, (document_version, words)) as nationality,
    arg_max(district, (document_version, words)) as district,
    arg_max(guardian, (document_version, words)) as guardian
from (
    select r.*, $text as words
    from registrations as r $keys
    where r.person in (select person from registered_twice)
)
group by person

-- name: live_people
select person, birth_date, nationality, district, guardian
from registrations as r
where not exists (select 1 from registered_twice as t where t.person = r.person)
union all
select person, birth_date, nationality, district, guardian from registered_once_and_for_all

-- name: described_twice
select place from described_places group by place having count(*) > 1

-- name: described_once_and_for_all
-- One row per place: the whole row of the highest version, then of the greatest text.
select * exclude (feed, document_id, document_version, words, place_in_line)
from (
    select *, row_number() over (partition by place order by document_version desc, words desc) as place_in_line
    from (
        select r.*, $text as words
        from described_places as r $keys
        where r.place in (select place from described_twice)
    )
)
where place_in_line = 1

-- name: live_places
select * exclude (feed, document_id, document_version)
from described_places as r
where not exists (select 1 from described_twice as t where t.place = r.place)
union all
select * from described_once_and_for_all

-- name: live_cases
-- One row per case and person: all live reports of it taken together. A moment that only one report knows is known;
-- where two differ, the infection counts from the earlier and lasts to the later; who is ruled out once is ruled out.
select
    case_id,
    person,
    max(kind) as kind,  -- "confirmed" outweighs "asymptomatic", and sorts after it
    min(confirmed_at) as confirmed_at,
    min(onset_at) as onset_at,
    min(infectious_from) as infectious_from,
    max(discharged_at) as discharged_at,
    max(excluded_at) as excluded_at
from reported_cases
group by case_id, person
