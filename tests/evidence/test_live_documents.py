"""What counts of everything that came in: versions, retractions, two papers of one person."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st
from written import connection, doc, facts, key

from kangma.evidence.row_text import derived_id
from kangma.intake.kinds import KINDS

PLAIN = duckdb.connect()


def result(who: str, reported: str, result: str = "negative", feed: str = "lab", **more: object):
    return doc(
        "tests",
        feed,
        person=who,
        specimen_id=str(more.pop("specimen", f"{who} {reported}")),
        sampled_at=more.pop("sampled_at", reported),
        reported_at=reported,
        method=more.pop("method", "nat"),
        pooled=more.pop("pooled", False),
        result=result,
        lab=more.pop("lab", "Huairou laboratory"),
        **more,
    )


def results(documents: list, **more: object) -> list[str]:
    return [f"{t['person']} {t['result']}" for t in facts(documents, "tests", **more)]


def test_a_newer_version_replaces_the_older_whichever_came_first():
    first = result("Li", "04-20 20:00", "pending", id="R1")
    second = result("Li", "04-20 20:00", "negative", id="R1", version=1)
    assert results([first, second]) == results([second, first]) == ["Li negative"]


def test_without_a_version_number_the_later_report_stands():
    early = result("Li", "04-20 20:00", "pending", id="R1")
    late = result("Li", "04-21 03:00", "negative", id="R1")
    assert results([early, late]) == results([late, early]) == ["Li negative"]


def test_without_anything_to_tell_versions_apart_the_choice_is_still_the_same_everywhere():
    one, other = result("Li", "04-20", "positive", id="R1"), result("Li", "04-20", "negative", id="R1")
    assert results([one, other]) == results([other, one])
    assert len(results([one, other])) == 1


def test_the_same_id_of_another_sender_is_another_document():
    documents = [
        result("Li", "04-20", id="R1", feed="lab"),
        result("Wang", "04-20", id="R1", feed="other lab"),
    ]
    assert results(documents) == ["Li negative", "Wang negative"]


def test_a_correction_may_give_a_result_to_somebody_else():
    documents = [
        result("Li", "04-20", "positive", id="R1"),
        result("Wang", "04-20", "positive", id="R1", version=2),
    ]
    assert results(documents) == ["Wang positive"]
    assert results(documents, of=["Li"]) == []
    assert results(documents, of=["Wang"]) == ["Wang positive"]


def test_a_retraction_takes_all_versions_of_a_document_and_may_come_first():
    taken = doc("retractions", "lab", retracts="R1", reason="mixed up", by="head of laboratory")
    documents = [result("Li", "04-20", id="R1"), result("Li", "04-21", "positive", id="R1", version=1)]
    assert results([*documents, taken]) == results([taken, *documents]) == []


def test_a_sender_takes_back_its_own_documents_only_unless_it_names_the_source():
    documents = [
        result("Li", "04-20", id="R1", feed="lab"),
        result("Wang", "04-20", id="R1", feed="other lab"),
    ]
    own = doc("retractions", "lab", retracts="R1", reason="", by="")
    assert results([*documents, own]) == ["Wang negative"]
    named = doc("retractions", "city", retracts="R1", source="other lab", reason="", by="")
    assert results([*documents, named]) == ["Li negative"]


def test_what_the_operator_takes_back_by_id_is_taken_back_from_every_sender():
    documents = [
        result("Li", "04-20", id="R1", feed="lab"),
        result("Wang", "04-20", id="R1", feed="other lab"),
    ]
    assert results([*documents, doc("retractions", "local", retracts="R1", reason="", by="")]) == []


def test_a_night_of_a_laboratory_is_taken_back_from_its_first_second_to_before_its_last():
    documents = [result("Li", f"04-20 {hour}") for hour in ("19:59", "20:00", "23:59")]
    documents += [result("Li", "04-21 00:00"), result("Wang", "04-20 21:00", feed="other lab")]
    night = {"source": "lab", "from_at": "04-20 20:00", "to_at": "04-21", "reason": "", "by": ""}
    left = facts([*documents, doc("retractions", **night)], "tests")
    assert [(t["person"], t["reported_at"]) for t in left] == [
        ("Li", "04-20 19:59"),
        ("Li", "04-21"),
        ("Wang", "04-20 21:00"),
    ]


def test_a_span_without_bounds_takes_all_of_a_source_registrations_too():
    documents = [
        doc("people", "village", person="Li", birth_date="01-02"),
        result("Li", "04-20", feed="village"),
    ]
    assert facts([*documents, doc("retractions", source="village", reason="", by="")], "people") == []
    bounded = doc("retractions", source="village", from_at="04-01", reason="", by="")
    assert [p["person"] for p in facts([*documents, bounded], "people")] == ["Li"]
    assert facts([*documents, bounded], "tests") == []


def test_doses_are_taken_back_by_the_day_they_were_given():
    dose = {"person": "Li", "product": "inactivated"}
    documents = [doc("vaccinations", "clinic", dose=n, given_on=f"04-0{n}", **dose) for n in (1, 2, 3)]
    taken = doc(
        "retractions", source="clinic", from_at=1648857600, to_at=1648944000, reason="", by=""
    )  # 2 April, UTC
    assert [v["dose"] for v in facts([*documents, taken], "vaccinations")] == [1, 3]


def test_a_document_without_an_id_is_taken_back_by_the_hash_of_its_text():
    wrong, right = result("Li", "04-20", "positive"), result("Li", "04-21")
    feed, kind, table = wrong
    name = derived_id(KINDS[kind], feed, table.to_pylist()[0])
    assert name.startswith("row-")
    assert results([wrong, right, doc("retractions", "lab", retracts=name, reason="", by="")]) == [
        "Li negative"
    ]
    assert len(results([wrong, right, doc("retractions", "other", retracts=name, reason="", by="")])) == 2


def test_the_text_of_every_kind_of_document_is_the_same_in_sql_as_in_python():
    documents = [
        doc("people", person="Li", birth_date="01-02", district="朝阳区", guardian="Wang"),
        doc(
            "places",
            place_id="café, 1",
            name="x",
            kind="venue",
            lat=39.9042,
            lon=-0.00000005,
            district="朝阳区",
        ),
        doc(
            "visits",
            person="Li",
            place_id="café, 1",
            entered_at="04-20 10:00",
            left_at="04-20 11:00",
            source="scan",
        ),
        doc("vaccinations", person="Li", product="x", dose=3, given_on="04-20"),
        doc("identities", person="Li", same_as="Sun", decided_by="Ma"),
        result("Li", "04-20", "positive"),
    ]
    taken = []
    for feed, kind, table in documents:
        name = derived_id(KINDS[kind], feed, table.to_pylist()[0])
        taken.append(doc("retractions", feed, retracts=name, reason="", by=""))
    before, after = connection(documents), connection([*documents, *taken])
    for _, kind, _ in documents:
        count = f"select count(*) from live_{kind}"
        assert (before.execute(count).fetchone(), after.execute(count).fetchone()) == ((1,), (0,)), kind


def test_two_papers_of_one_person_are_one_person_until_somebody_splits_them():
    documents = [result("Li", "04-20"), result("Wang", "04-21")]
    joined = doc("identities", person="Li", same_as="Wang", decided_by="registry")
    smaller = min(("Li", "Wang"), key=key)
    assert results([*documents, joined]) == [f"{smaller} negative"] * 2
    split = doc("identities", person="Wang", same_as="Li", decided_by="registry", undo=True)
    assert results([*documents, joined, split]) == results([split, joined, *documents]) == results(documents)


def test_papers_joined_in_a_chain_are_one_person():
    chain = [
        doc("identities", person=a, same_as=b, decided_by="")
        for a, b in (("Li", "Wang"), ("Sun", "Wang"), ("Ma", "Sun"))
    ]
    documents = [result(who, "04-20") for who in ("Li", "Wang", "Sun", "Ma", "Zhao")]
    assert len(set(results([*chain, *documents]))) == 2
    for who in ("Li", "Wang", "Sun", "Ma"):
        assert len(results([*chain, *documents], of=[who])) == 4


def test_a_withdrawn_join_leaves_two_persons():
    documents = [result("Li", "04-20"), result("Wang", "04-21")]
    joined = doc("identities", person="Li", same_as="Wang", decided_by="registry", id="J")
    taken = doc("retractions", retracts="J", reason="", by="")
    assert results([*documents, joined, taken]) == results(documents)


def test_one_person_has_one_row_however_often_registered():
    papers = [
        doc("people", "police", person="Li", birth_date="01-02", nationality="CHN"),
        doc("people", "village", person="Li", birth_date="01-02", district="朝阳区"),
    ]
    (row,) = facts(papers, "people")
    assert (row["nationality"], row["district"]) == ("CHN", "朝阳区")


def test_a_case_reported_twice_is_one_case_with_all_that_is_known():
    reports = [
        doc("cases", "hospital", case_id="C1", person="Li", kind="asymptomatic", confirmed_at="04-20"),
        doc(
            "cases", case_id="C1", person="Li", kind="confirmed", confirmed_at="04-21", discharged_at="05-02"
        ),
    ]
    (case,) = facts(reports, "cases")
    assert (case["kind"], case["confirmed_at"], case["discharged_at"]) == ("confirmed", "04-20", "05-02")


@given(st.floats(allow_nan=False))
@settings(max_examples=200, deadline=None)
def test_a_real_number_has_one_text_in_sql_and_in_python(number: float):
    (found,) = PLAIN.execute("select printf('%.17g', ?::double)", [number]).fetchone()
    assert found == f"{number:.17g}"
