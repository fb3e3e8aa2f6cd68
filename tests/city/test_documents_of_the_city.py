"""What the city reports: valid, consistent, and never before it can be known."""

from collections import defaultdict
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from small_city import all_visits, small_city

from kangma.city import make_city, write_city
from kangma.city.atlas import DAY, DISTRICTS, NEVER
from kangma.city.map import HOSPITAL, SHOP_EVERY
from kangma.intake.identity import Keyer
from kangma.intake.kinds import KINDS, Type
from kangma.intake.limits import Limits
from kangma.intake.tables import read_table

KINDS_OF_THE_CITY = {
    "people", "places", "visits", "tests", "vaccinations", "cases", "contacts", "areas", "counties", "area_stays",
    "entries", "city_entries", "purchases", "clinic_visits", "screening_rounds", "occupations", "isolations",
    "clearances",
}  # fmt: skip


@cache
def rows(kind: str) -> list[dict]:
    """All rows of a kind with the day on which they arrived."""
    city = small_city()
    out = []
    for day in range(city.days):
        table = city.documents(day).get(kind)
        if table is not None:
            out += [{**row, "day": day} for row in table.to_pylist()]
    return out


def newest(kind: str) -> dict[str, dict]:
    live: dict[str, dict] = {}
    for row in rows(kind):
        if (
            row["document_id"] not in live
            or row["document_version"] > live[row["document_id"]]["document_version"]
        ):
            live[row["document_id"]] = row
    return live


def person_index() -> dict[str, int]:
    return {number: i for i, number in enumerate(small_city().people.id_number.to_pylist())}


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_intake_refuses_not_one_row_of_what_the_city_writes(tmp_path, form):
    city = make_city(1_500, 8, 3, infected=10)
    files = write_city(city, tmp_path, form)
    seen = set()
    for path in files:
        if path.name.startswith("_"):
            continue
        kind = path.stem.split("-")[0]
        seen.add(kind)
        with path.open("rb") as source:
            batches = list(read_table(source, kind=kind, form=form, keyer=Keyer(b"k" * 32), limits=Limits()))
        refused = [(r.code, r.column, r.raw) for b in batches for r in b.refused]
        assert not refused, (path.name, refused[:3])
        there = pq.read_metadata(path).num_rows if form == "parquet" else pa.csv.read_csv(path).num_rows
        assert sum(b.accepted.num_rows for b in batches) == there > 0
    assert seen == KINDS_OF_THE_CITY


def test_the_truth_lies_apart_and_begins_with_an_underscore(tmp_path):
    files = write_city(make_city(500, 2, 3), tmp_path)
    assert (tmp_path / "truth" / "_truth.parquet") in files
    assert all(f.parent == tmp_path for f in files if not f.name.startswith("_"))


def test_one_file_of_visits_a_day(tmp_path):
    files = {f.name for f in write_city(make_city(500, 3, 3), tmp_path)}
    assert {f"visits-2022-04-{d}.parquet" for d in (15, 16, 17)} <= files


@pytest.mark.parametrize("kind", sorted(KINDS_OF_THE_CITY - {"people", "places", "visits"}))
def test_nothing_is_reported_before_it_happened(kind):
    city = small_city()
    planned = {("screening_rounds", "opened_at"), ("screening_rounds", "closed_at")}
    for row in rows(kind):
        end_of_day = city.zero + (row["day"] + 1) * DAY
        for column in KINDS[kind].columns:
            value = row.get(column.outer_names[0])
            if value is None or (kind, column.name) in planned:
                continue
            if column.type is Type.TIME:
                assert value.timestamp() <= end_of_day, (row, column.name)
            elif column.type is Type.DATE:
                assert (value - city.start).days <= row["day"]


def test_every_table_has_every_column_of_its_kind():
    city = small_city()
    for kind in KINDS_OF_THE_CITY - {"visits"}:
        table = next(t[kind] for t in map(city.documents, range(city.days)) if kind in t)
        names = [n for c in KINDS[kind].columns for n in c.outer_names]
        assert table.column_names == ["document_id", "document_version", *names]


def test_versions_of_a_document_arrive_in_order():
    for kind in ("tests", "cases", "isolations", "areas", "area_stays", "counties"):
        versions = defaultdict(list)
        for row in rows(kind):
            versions[row["document_id"]].append((row["day"], row["document_version"]))
        for seen in versions.values():
            assert [v for _, v in sorted(seen)] == sorted({v for _, v in seen})


def test_some_results_are_pending_first_some_invalid_some_by_antigen_and_most_pooled_by_ten():
    tests = rows("tests")
    results = {r["result"] for r in tests}
    assert results == {"negative", "positive", "invalid", "pending"}
    assert {r["method"] for r in tests} == {"nat", "antigen"}
    pools = defaultdict(set)
    for row in tests:
        assert row["pooled"] == (row["pool_id"] is not None)
        if row["pooled"]:
            pools[row["pool_id"]].add(row["specimen_id"])
    sizes = np.array([len(p) for p in pools.values()])
    assert sizes.max() == 10
    assert (sizes == 10).mean() > 0.5


def test_all_of_one_tube_get_one_result():
    results = defaultdict(set)
    for row in newest("tests").values():
        if row["pooled"] and row["result"] != "pending":
            results[row["pool_id"]].add((row["result"], row["reported_at"]))
    assert all(len(r) == 1 for r in results.values())
    assert any(next(iter(r))[0] == "positive" for r in results.values())


def test_a_pending_result_becomes_final_under_the_same_document():
    first = {r["document_id"]: r for r in rows("tests") if r["result"] == "pending"}
    final = {r["document_id"]: r for r in rows("tests") if r["document_version"] == 1}
    assert len(first) > 10
    assert set(final) <= set(first)
    assert len(final) > 0.5 * len(first)


def test_a_case_was_sampled_positive_twice_before():
    city = small_city()
    swabs = defaultdict(list)
    for row in rows("tests"):
        if row["result"] == "positive":
            swabs[row["id_number"]].append(row["reported_at"])
    cases = newest("cases").values()
    assert len(cases) > 5
    for case in cases:
        before = [t for t in swabs[case["id_number"]] if t <= case["confirmed_at"]]
        assert len(before) >= 2
    assert len(cases) == len(city.response.cases)


def test_contacts_were_really_with_the_one_whose_contacts_they_are():
    city = small_city()
    visits = all_visits(city)
    index = person_index()
    cases = {c["case_id"]: c["id_number"] for c in rows("cases")}
    degrees = set()
    for row in rows("contacts"):
        degrees.add(row["degree"])
        who = index[row["id_number"]]
        other = index[row["index_id_number"] or cases[row["index_case_id"]]]
        assert who != other
        moment = int(row["last_exposure_at"].timestamp()) - city.zero
        mine = visits.where((visits.person == who) & (visits.entered < moment) & (visits.left >= moment))
        theirs = visits.where((visits.person == other) & (visits.entered < moment) & (visits.left >= moment))
        assert len(mine) == len(theirs) == 1
        assert mine.place[0] == theirs.place[0]
        assert moment - max(mine.entered[0], theirs.entered[0]) >= 600
    assert degrees == {1, 2}


def test_the_contact_between_is_a_contact_of_degree_one():
    first = {r["id_number"] for r in rows("contacts") if r["degree"] == 1}
    second = [r for r in rows("contacts") if r["degree"] == 2]
    assert second
    assert all(r["index_id_number"] in first and r["index_case_id"] is None for r in second)


def test_cases_and_contacts_are_isolated():
    isolated = {r["id_number"] for r in rows("isolations")}
    last = small_city().days - 1
    for row in rows("cases"):
        assert row["id_number"] in isolated or row["day"] == last
    contacts = [r["id_number"] for r in rows("contacts") if r["day"] < last]
    assert sum(c in isolated for c in contacts) > 0.9 * len(contacts)


def test_areas_have_the_level_of_their_cases():
    city = small_city()
    index = person_index()
    found = defaultdict(list)
    for case in newest("cases").values():
        if case["excluded_at"] is None:
            area = city.communities.texts[
                city.people.community[city.people.household[index[case["id_number"]]]]
            ]
            found[area.area_id].append(case["confirmed_at"])
    levels = [a for a in newest("areas").values() if a["area_id"].startswith("北京市")]
    assert {a["level"] for a in levels} == {"medium", "high"}
    for area in levels:
        midnight = area["from"].replace(hour=0)
        count = sum(t < midnight for t in found[area["area_id"]])
        if area["to"] is not None:
            continue  # an exclusion took a case away since
        assert area["level"] == ("high" if count >= 6 else "medium" if count >= 2 else "low")


def test_a_district_with_a_case_has_three_rounds_and_most_people_come():
    rounds = defaultdict(list)
    for row in rows("screening_rounds"):
        rounds[row["district"]].append(row)
    assert rounds
    assert all(len(r) == 3 for r in rounds.values())
    sampled = {(r["id_number"], r["sampled_at"].date()) for r in rows("tests")}
    city = small_city()
    lives = city.people.district[city.people.household]
    # The largest of the districts with rounds, so that the share means something.
    number = max(
        (i for i, d in enumerate(DISTRICTS) if d.name in rounds), key=lambda i: np.count_nonzero(lives == i)
    )
    opened, here = rounds[DISTRICTS[number].name], lives == number
    numbers = np.array(city.people.id_number.to_pylist())[here]
    share = np.mean([(n, opened[0]["opened_at"].date()) in sampled for n in numbers])
    assert 0.75 < share < 0.97


def test_whoever_buys_or_is_seen_was_there():
    city = small_city()
    visits = all_visits(city)
    index = person_index()
    for kind in ("purchases", "clinic_visits"):
        assert rows(kind)
        for row in rows(kind):
            at = int(row["at"].timestamp()) - city.zero
            mine = visits.where(
                (visits.person == index[row["id_number"]]) & (visits.entered <= at) & (visits.left >= at)
            )
            assert len(mine) == 1
            assert (city.places.kind[mine.place[0]] == HOSPITAL) == (kind == "clinic_visits")
            if kind == "purchases":
                rank = mine.place[0] - city.places.sections["shop"].first[city.places.district[mine.place[0]]]
                assert rank % SHOP_EVERY == 0


def test_who_comes_back_from_a_journey_was_elsewhere():
    stays = {r["id_number"] for r in rows("area_stays")}
    entries = [
        r for r in rows("city_entries") if r["from_county"] not in ("环都县",) and r["means"] != "plane"
    ]
    travellers = [r["id_number"] for r in entries]
    assert travellers
    assert sum(t in stays for t in travellers) > 0.8 * len(travellers)


def test_arrivals_from_abroad_go_to_isolation_on_that_day():
    begins = {(r["id_number"], r["from"].date()) for r in rows("isolations")}
    assert rows("entries")
    assert all((r["id_number"], r["entered_on"]) in begins for r in rows("entries"))


def test_children_have_guardians():
    people = rows("people")
    child = [r for r in people if r["guardian_id_number"]]
    assert 0.08 < len(child) / len(people) < 0.25
    numbers = {r["id_number"] for r in people}
    assert all(r["guardian_id_number"] in numbers for r in child)


def test_an_onset_after_confirmation_makes_an_asymptomatic_case_a_confirmed_one():
    both = defaultdict(list)
    for row in rows("cases"):
        both[row["document_id"]].append(row)
    revised = [v for v in both.values() if v[0]["kind"] == "asymptomatic" and v[-1]["kind"] == "confirmed"]
    assert revised
    assert all(v[-1]["onset_at"] is not None for v in revised)


def test_a_released_person_walks_again_and_may_be_fetched_again():
    city = make_city(300, 1, 1, infected=0)
    travel = city.travel
    travel.isolate(5, 10 * DAY, 20 * DAY)
    travel.release(5, 12 * DAY)
    travel.isolate(5, 15 * DAY, 25 * DAY)
    gone = [bool(travel.gone(np.array([5]), day * DAY)[0]) for day in (9, 11, 13, 16, 24, 26)]
    assert gone == [False, True, False, True, True, False]
    assert travel.absences[1].since[6] == NEVER
