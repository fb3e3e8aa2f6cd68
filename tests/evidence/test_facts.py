"""What each fact says, by examples that a nurse, a tracer or a street office would recognise."""

from __future__ import annotations

import pytest
from written import BEIJING, Document, connection, doc, facts, key

from kangma.evidence.facts import FACTS


def columns(rows: list[dict[str, object]], *names: str) -> list[tuple[object, ...]]:
    return [tuple(row[n] for n in names) for row in rows]


def person(who: str, district: str = "朝阳区") -> Document:
    return doc("people", person=who, birth_date="01-02", district=district)


def specimen(
    who: str, sampled: str | None, reported: str, result: str = "negative", **more: object
) -> Document:
    fields = {"specimen_id": f"{who} {reported}", "method": "nat", "pooled": False, "lab": "Huairou", **more}
    return doc("tests", "lab", person=who, sampled_at=sampled, reported_at=reported, result=result, **fields)


def stay(who: str, county: str | None, entered: str, left: str | None = None, **more: object) -> Document:
    fields = {"source": "telecom", **more}
    return doc("area_stays", person=who, county=county, entered_at=entered, left_at=left, **fields)


WUHAN, CHANGCHUN = "湖北省武汉市武昌区", "吉林省长春市朝阳区"


def test_every_fact_has_exactly_the_columns_that_rules_are_checked_against():
    con = connection([person("Li")])
    for name, fact in FACTS.items():
        found = con.sql(f"select * from fact_{name}").to_arrow_table().schema
        assert [(f.name, f.type) for f in found] == [(f.name, f.type) for f in fact.schema], name


# People ---------------------------------------------------------------------------------------------------------------


def away(*documents: Document) -> list[tuple[object, ...]]:
    return columns(facts(documents, "people"), "person", "away", "in_city_since")


def test_who_never_left_is_in_the_city_and_nobody_asks_since_when():
    assert away(person("Li")) == [("Li", False, None)]
    assert away(person("Li"), stay("Li", "朝阳区", "04-20")) == [("Li", False, None)]


def test_who_is_seen_elsewhere_without_an_end_is_away():
    assert away(person("Li"), stay("Li", WUHAN, "04-20")) == [("Li", True, None)]


def test_who_left_wuhan_is_in_the_city_from_then_on():
    assert away(person("Li"), stay("Li", WUHAN, "04-20", "04-22 09:00")) == [("Li", False, "04-22 09:00")]


def test_an_arrival_ends_the_absence_that_the_telephone_network_left_open():
    entry = doc("city_entries", person="Li", at="04-23 15:00", from_county=WUHAN, means="rail")
    assert away(person("Li"), stay("Li", WUHAN, "04-20"), entry) == [("Li", False, "04-23 15:00")]
    assert away(person("Li"), stay("Li", WUHAN, "04-24"), entry) == [("Li", True, None)]


def test_being_seen_in_the_city_ends_an_absence_too():
    documents = [person("Li"), stay("Li", WUHAN, "04-20"), stay("Li", "大兴区", "04-23 15:00")]
    assert away(*documents) == [("Li", False, "04-23 15:00")]


def test_a_visitor_of_whom_only_a_stay_is_known_is_somebody():
    assert away(stay("Li", WUHAN, "04-20")) == [("Li", True, None)]


def test_who_only_scanned_a_shop_is_nobody_yet():
    shop = doc("places", place_id="P", name="shop", kind="venue", lat=39.9, lon=116.4, district="朝阳区")
    visit = doc("visits", person="Li", place_id="P", entered_at="04-20", left_at="04-20 01:00", source="scan")
    assert away(shop, visit) == []


# Tests ----------------------------------------------------------------------------------------------------------------


def test_ten_people_in_a_positive_tube_all_learn_when_it_was_reported():
    tube = [
        specimen("Li", "04-20", "04-20 20:00", "positive", pooled=True, pool_id="T1"),
        specimen("Wang", "04-20", "04-20 22:00", "positive", pooled=True, pool_id="T1"),
        specimen("Sun", "04-20", "04-20 21:00", "negative", pooled=True, pool_id="T1"),
        specimen("Zhao", "04-20", "04-20 21:00", "negative", pooled=True, pool_id="T1", lab="Tongzhou"),
        specimen("Ma", "04-20", "04-20 21:00"),
    ]
    expected = {"Li": "04-20 20:00", "Wang": "04-20 20:00", "Sun": "04-20 20:00", "Zhao": None, "Ma": None}
    assert dict(columns(facts(tube, "tests"), "person", "pool_positive_at")) == expected
    for who, at in expected.items():
        assert columns(facts(tube, "tests", of=[who]), "person", "pool_positive_at") == [(who, at)]


def test_a_cold_chain_worker_is_due_three_times_24_hours_after_the_last_negative_sample():
    duty = doc("occupations", person="Li", occupation="cold chain", every_days=3, from_at="04-01 08:00")
    first = specimen("Li", "04-02 09:30", "04-02 20:00")
    second = specimen("Li", "04-05 10:15", "04-05 20:00")
    positive = specimen("Li", "04-06 10:00", "04-06 20:00", "positive")
    assert columns(facts([duty], "occupations"), "last_sampled_at", "due_at") == [(None, "04-04 08:00")]
    assert columns(facts([duty, first, second, positive], "occupations"), "last_sampled_at", "due_at") == [
        ("04-05 10:15", "04-08 10:15")
    ]


def test_a_test_before_the_duty_began_does_not_bring_the_first_one_forward():
    duty = doc("occupations", person="Li", occupation="courier", every_days=5, from_at="04-10")
    assert columns(facts([duty, specimen("Li", "04-01", "04-02")], "occupations"), "due_at") == [("04-15",)]


@pytest.mark.parametrize("days", [2**63 - 1, -(2**63)])
def test_a_wild_number_of_days_in_one_row_stops_nobody_else(days: int):
    duties = [
        doc("occupations", person="Li", occupation="courier", every_days=days, from_at="04-10"),
        doc("occupations", person="Sun", occupation="courier", every_days=1, from_at="04-10"),
    ]
    assert ("Sun", "04-11") in columns(facts(duties, "occupations"), "person", "due_at")


# Screening ------------------------------------------------------------------------------------------------------------


def screening(number: int, day: str, district: str = "朝阳区", due: str = "everyone") -> Document:
    return doc(
        "screening_rounds",
        round_id=f"{district} {due} {number}",
        district=district,
        opened_at=f"{day} 06:00",
        closed_at=f"{day} 22:00",
        due=due,
    )


THREE = [screening(1, "04-25"), screening(2, "04-27"), screening(3, "04-29")]


def missed(*documents: Document, of: list[str] | None = None) -> list[tuple[object, ...]]:
    return columns(facts(documents, "missed_rounds", of=of), "person", "first_opened_at", "last_closed_at")


def test_who_came_to_none_of_three_rounds_is_told_and_who_came_to_one_is_not():
    people = [person("Li"), person("Sun"), person("Ma", "海淀区"), specimen("Sun", "04-27 08:00", "04-28")]
    assert missed(*THREE, *people) == [("Li", "04-25 06:00", "04-29 22:00")]
    assert missed(*THREE, *people, of=["Li"]) == [("Li", "04-25 06:00", "04-29 22:00")]
    assert missed(*THREE, *people, of=["Sun", "Ma"]) == []


def test_a_test_between_two_rounds_is_no_round():
    assert len(missed(*THREE, person("Li"), specimen("Li", "04-26 08:00", "04-26 20:00"))) == 1


def test_a_sample_whose_time_the_laboratory_left_out_counts_by_its_report():
    assert missed(*THREE, person("Li"), specimen("Li", None, "04-28 03:00")) == []


def test_two_rounds_are_not_three():
    assert missed(*THREE[:2], person("Li")) == []


def test_of_four_rounds_each_three_in_a_row_count():
    four = [*THREE, screening(4, "05-01")]
    assert missed(*four, person("Li")) == [
        ("Li", "04-25 06:00", "04-29 22:00"),
        ("Li", "04-27 06:00", "05-01 22:00"),
    ]
    assert missed(*four, person("Li"), specimen("Li", "05-01 07:00", "05-01 20:00")) == [
        ("Li", "04-25 06:00", "04-29 22:00")
    ]


def test_a_round_reported_by_two_offices_is_one_round():
    again = [("district", kind, table) for _, kind, table in THREE]
    assert missed(*THREE, *again, person("Li")) == [("Li", "04-25 06:00", "04-29 22:00")]


def test_a_district_is_the_same_with_and_without_the_city_before_it():
    rounds = [screening(n, day, "北京市朝阳区") for n, day in ((1, "04-25"), (2, "04-27"), (3, "04-29"))]
    assert len(missed(*rounds, person("Li"))) == 1


def test_rounds_for_couriers_concern_who_was_a_courier_all_the_while():
    rounds = [screening(n, day, due="courier") for n, day in ((1, "04-25"), (2, "04-27"), (3, "04-29"))]
    since = {"Li": "04-01", "Sun": "04-26"}
    duties = [
        doc("occupations", person=p, occupation="courier", every_days=2, from_at=f) for p, f in since.items()
    ]
    assert [m[0] for m in missed(*rounds, *duties, person("Li"), person("Sun"), person("Ma"))] == ["Li"]


def test_only_the_newest_hundred_and_twenty_rounds_of_a_district_are_looked_at():
    rounds = [screening(n, f"{1 + n // 28:02}-{1 + n % 28:02}") for n in range(130)]
    assert len(missed(*rounds, person("Li"))) == 118


# Risk areas -----------------------------------------------------------------------------------------------------------


def area(
    area_id: str, level: str, since: str, to: str | None = None, county: str = "朝阳区", **more: object
) -> Document:
    fields = {"name": f"{area_id}社区", "district": county, **more}
    return doc("areas", area_id=area_id, county=county, level=level, from_at=since, to_at=to, **fields)


def official(listed: str, **levels: str) -> list[Document]:
    """One official list: a row for the list and one for each area on it."""
    rows = [doc("area_lists", listed_at=listed)]
    for area_id, level in levels.items():
        named = {"area_id": area_id, "name": f"{area_id}社区", "district": "朝阳区", "county": "潘家园街道"}
        rows.append(doc("area_lists", listed_at=listed, level=level, **named))
    return rows


def risky(*documents: Document, of: list[str] | None = None) -> list[tuple[object, ...]]:
    return columns(facts(documents, "risk_stays", of=of), "person", "level", "overlap_from", "overlap_to")


def inside(who: str, entered: str, left: str | None = None, **more: object) -> Document:
    return stay(who, None, entered, left, area_id="松榆里", **more)


def test_a_stay_while_the_area_was_high_is_a_risk_and_one_before_or_after_is_none():
    high = area("松榆里", "high", "04-24 16:00", "05-08 14:00")
    assert risky(high, inside("Li", "04-25 10:00", "04-25 12:00")) == [
        ("Li", "high", "04-25 10:00", "04-25 12:00")
    ]
    assert risky(high, inside("Li", "04-24 10:00", "04-24 17:00")) == [
        ("Li", "high", "04-24 16:00", "04-24 17:00")
    ]
    assert risky(high, inside("Li", "05-08 10:00", "05-09")) == [("Li", "high", "05-08 10:00", "05-08 14:00")]
    assert risky(high, inside("Li", "04-24 10:00", "04-24 16:00")) == []
    assert risky(high, inside("Li", "05-08 14:00", "05-09")) == []


def test_who_lives_there_has_an_open_stay_until_one_of_both_ends():
    assert risky(area("松榆里", "high", "04-24"), inside("Li", "04-20")) == [("Li", "high", "04-24", None)]
    assert risky(area("松榆里", "high", "04-24", "05-08"), inside("Li", "04-20")) == [
        ("Li", "high", "04-24", "05-08")
    ]


def test_a_glimpse_of_no_length_is_the_moment_itself():
    high = area("松榆里", "high", "04-24", "05-08")
    assert risky(high, inside("Li", "04-24", "04-24")) == [("Li", "high", "04-24", "04-24")]
    assert risky(high, inside("Li", "05-08", "05-08")) == []


def test_an_area_of_low_risk_is_no_risk():
    assert risky(area("松榆里", "low", "04-24"), inside("Li", "04-25")) == []


def test_the_official_lists_make_a_level_from_the_first_that_names_it_to_the_first_that_does_not():
    lists = [
        *official("04-24 16:00", 松榆里="high"),
        *official("04-26", 松榆里="high"),
        *official("05-08 17:00", 松榆里="medium"),
        *official("05-15 20:00"),
    ]
    assert risky(*lists, inside("Li", "04-01")) == [
        ("Li", "high", "04-24 16:00", "05-08 17:00"),
        ("Li", "medium", "05-08 17:00", "05-15 20:00"),
    ]


def test_an_area_that_returns_to_the_list_has_two_stretches():
    lists = [*official("04-24", 松榆里="high"), *official("04-26"), *official("04-28", 松榆里="high")]
    assert risky(*lists, inside("Li", "04-01")) == [
        ("Li", "high", "04-24", "04-26"),
        ("Li", "high", "04-28", None),
    ]


def test_a_list_that_comes_late_closes_the_stretch_where_it_belongs():
    lists = [*official("04-24", 松榆里="high"), *official("04-28", 松榆里="high")]
    late = official("04-26")
    assert risky(*lists, *late, inside("Li", "04-01")) == risky(*late, *lists, inside("Li", "04-01"))
    assert len(risky(*lists, *late, inside("Li", "04-01"))) == 2


def test_the_area_of_an_official_list_lies_in_its_district_of_the_city():
    (row,) = facts([*official("04-24", 松榆里="high"), inside("Li", "04-25")], "risk_stays")
    assert (row["district"], row["county"], row["in_city"]) == ("朝阳区", "北京市朝阳区", True)


def test_a_visit_at_a_place_of_the_area_is_a_stay_there_but_a_picture_of_its_code_is_not():
    high = area("松榆里", "high", "04-24")
    shop = doc(
        "places",
        place_id="P",
        name="shop",
        kind="venue",
        lat=39.9,
        lon=116.4,
        district="朝阳区",
        area_id="松榆里",
    )
    home = doc("places", place_id="H", name="home", kind="home", lat=39.9, lon=116.4, district="朝阳区")
    when = {"entered_at": "04-25 10:00", "left_at": "04-25 11:00"}
    scan = doc("visits", person="Li", place_id="P", source="scan", **when)
    assert risky(high, shop, home, scan) == [("Li", "high", "04-25 10:00", "04-25 11:00")]
    assert risky(high, shop, home, scan, of=["Li"]) == risky(high, shop, home, scan)
    assert (
        risky(high, shop, home, doc("visits", person="Li", place_id="P", source="scan_static", **when)) == []
    )
    assert risky(high, shop, home, doc("visits", person="Li", place_id="H", source="scan", **when)) == []
    assert risky(high, inside("Li", "04-25", source="scan_static")) == []


# Counties -------------------------------------------------------------------------------------------------------------


def infected(county: str, since: str, to: str | None = None, border: bool = False) -> Document:
    return doc(
        "counties", county=county, local_infections_from=since, local_infections_to=to, land_border=border
    )


def county_stays(*documents: Document) -> list[tuple[object, ...]]:
    found = facts(documents, "county_stays")
    return columns(found, "county", "infected_from", "infected_to", "risk_from", "risk_to")


def test_a_stay_in_a_quiet_county_says_only_that():
    assert county_stays(stay("Li", WUHAN, "04-10", "04-12")) == [(WUHAN, None, None, None, None)]


def test_a_stay_in_a_county_with_local_infections_names_the_stretch():
    stays = stay("Li", WUHAN, "04-10", "04-12")
    assert county_stays(stays, infected(WUHAN, "04-01", "04-20")) == [(WUHAN, "04-01", "04-20", None, None)]
    assert county_stays(stays, infected(WUHAN, "04-01", "04-10")) == [(WUHAN, None, None, None, None)]


def test_stretches_that_touch_are_one_stretch():
    spans = [
        infected(WUHAN, "04-01", "04-05"),
        infected(WUHAN, "04-05", "04-20"),
        infected(WUHAN, "04-03", "04-04"),
    ]
    assert county_stays(*spans, stay("Li", WUHAN, "04-10")) == [(WUHAN, "04-01", "04-20", None, None)]
    assert county_stays(*spans, infected(WUHAN, "04-20"), stay("Li", WUHAN, "04-10")) == [
        (WUHAN, "04-01", None, None, None)
    ]


def test_infections_and_risk_areas_of_one_time_stand_in_one_row_and_every_other_stretch_in_its_own():
    documents = [
        stay("Li", WUHAN, "04-01", "05-01"),
        infected(WUHAN, "04-02", "04-10"),
        infected(WUHAN, "04-20", "04-22"),
        area("A", "medium", "04-03", "04-05", WUHAN),
        area("B", "high", "04-07", "04-12", WUHAN),
        area("C", "medium", "04-11", "04-14", WUHAN),
        area("D", "locked", "04-15", "04-18", WUHAN),
    ]
    assert county_stays(*documents) == [
        (WUHAN, "04-02", "04-10", "04-07", "04-14"),
        (WUHAN, "04-20", "04-22", None, None),
        (WUHAN, None, None, "04-03", "04-05"),
    ]


def test_a_stay_at_an_area_is_a_stay_in_its_county():
    documents = [
        area("A", "low", "04-01", county=WUHAN),
        stay("Li", None, "04-10", area_id="A"),
        infected(WUHAN, "04-01"),
    ]
    assert county_stays(*documents) == [(WUHAN, "04-01", None, None, None)]
    assert columns(facts(documents, "people"), "away") == [(True,)]


def test_a_stay_at_an_area_that_nobody_knows_is_a_stay_nowhere():
    assert county_stays(stay("Li", None, "04-10", area_id="?")) == []
    assert columns(facts([stay("Li", None, "04-10", area_id="?")], "people"), "away") == [(False,)]


def test_chaoyang_of_changchun_is_not_chaoyang_of_beijing():
    documents = [
        infected(CHANGCHUN, "04-01"),
        stay("Li", "朝阳区", "04-10"),
        stay("Li", "北京市 朝阳区", "04-11"),
    ]
    found = facts(documents, "county_stays")
    assert columns(found, "county", "in_city", "infected_from") == [("北京市朝阳区", True, None)] * 2
    (row,) = facts(
        [infected(CHANGCHUN, "04-01"), stay("Li", "吉林省 长春市 朝阳区", "04-10")], "county_stays"
    )
    assert (row["county"], row["in_city"], row["infected_from"]) == (CHANGCHUN, False, "04-01")


def test_a_land_border_county_is_one_with_and_without_infections():
    border = infected("云南省德宏州瑞丽市", "04-01", "04-01", border=True)
    (row,) = facts([border, stay("Li", "云南省德宏州瑞丽市", "04-10")], "county_stays")
    assert (row["land_border"], row["infected_from"]) == (True, None)


# Arrivals in the city ---------------------------------------------------------------------------------------------------


def arrival(*documents: Document, of: list[str] | None = None) -> tuple[object, ...]:
    entry = doc("city_entries", person="Li", at="04-20 10:00", from_county=WUHAN, means="rail")
    (row,) = facts([entry, *documents], "city_entries", of=of)
    return row["itinerary"], row["leaves_at"]


def declared(county: str, entered: str, left: str | None = None) -> Document:
    return stay("Li", county, entered, left, source="declared")


def test_who_declared_nothing_is_undeclared():
    assert arrival() == ("undeclared", None)
    assert arrival(stay("Li", WUHAN, "04-10", "04-20 08:00")) == ("undeclared", None)


def test_a_declaration_that_names_all_that_the_network_saw_agrees():
    seen = [stay("Li", WUHAN, "04-10", "04-18"), stay("Li", CHANGCHUN, "04-18", "04-20 08:00")]
    told = [declared(WUHAN, "04-09", "04-18"), declared(CHANGCHUN, "04-18", "04-20")]
    assert arrival(*seen, *told) == ("agrees", None)
    assert arrival(*seen, *told, of=["Li"]) == ("agrees", None)
    assert arrival(*seen, told[0]) == ("contradicted", None)


def test_a_train_that_passed_through_contradicts_nobody():
    passing = stay("Li", CHANGCHUN, "04-15 10:00", "04-15 13:59")
    assert arrival(declared(WUHAN, "04-09", "04-20"), passing) == ("agrees", None)
    assert arrival(
        declared(WUHAN, "04-09", "04-20"), stay("Li", CHANGCHUN, "04-15 10:00", "04-15 14:00")
    ) == (
        "contradicted",
        None,
    )


def test_what_was_more_than_fourteen_days_before_needs_no_declaration():
    old = stay("Li", CHANGCHUN, "03-01", "04-06 10:00")
    assert arrival(declared(WUHAN, "04-07"), old) == ("agrees", None)


def test_an_arrival_leaves_with_the_first_later_stay_elsewhere():
    assert (
        arrival(stay("Li", "朝阳区", "04-20 11:00"), stay("Li", WUHAN, "04-22"), stay("Li", WUHAN, "04-25"))[
            1
        ]
        == "04-22"
    )


# Contacts -------------------------------------------------------------------------------------------------------------


def case(who: str = "Zhao", confirmed: str = "04-20 08:00", **more: object) -> Document:
    fields = {"case_id": "C1", "kind": "confirmed", **more}
    return doc("cases", person=who, confirmed_at=confirmed, **fields)


def contact(who: str, exposed: str = "04-18", degree: int = 1, **more: object) -> Document:
    fields = {"index_case_id": "C1"} if degree == 1 and not more else more
    return doc(
        "contacts", "cdc", person=who, degree=degree, last_exposure_at=exposed, found_by="tracer", **fields
    )


def traced(*documents: Document, who: str = "Sun", of: list[str] | None = None) -> list[tuple[object, ...]]:
    found = [c for c in facts(documents, "contacts", of=of) if c["person"] == who]
    return columns(found, "degree", "index_positive_at", "index_second_negative_at", "index_excluded_at")


BETWEEN = contact("Wang", "04-18")  # Wang met the case Zhao
SECOND = contact("Sun", "04-19", 2, index_person="Wang")  # Sun met Wang


def test_a_contact_of_a_case_is_of_degree_one():
    assert traced(case(), BETWEEN, who="Wang") == [(1, None, None, None)]


def test_a_contact_stands_even_before_the_case_is_known_here():
    assert traced(BETWEEN, who="Wang") == [(1, None, None, None)]


def test_a_contact_of_a_case_that_was_ruled_out_says_when():
    assert traced(case(excluded_at="04-21"), BETWEEN, who="Wang") == [(1, None, None, "04-21")]
    by_person = contact("Wang", index_person="Zhao")
    assert traced(case(excluded_at="04-21"), by_person, who="Wang") == [(1, None, None, "04-21")]


def test_a_contact_of_a_contact_is_of_degree_two():
    assert traced(case(), BETWEEN, SECOND) == [(2, None, None, None)]
    assert traced(case(), BETWEEN, SECOND, of=["Sun"]) == [(2, None, None, None)]


def test_when_the_contact_between_tests_positive_the_second_becomes_a_first():
    positive = specimen("Wang", "04-21 08:00", "04-21 20:00", "positive")
    assert traced(case(), BETWEEN, SECOND, positive) == [(1, "04-21 20:00", None, None)]
    assert traced(case(), BETWEEN, SECOND, positive, of=["Sun"]) == [(1, "04-21 20:00", None, None)]
    (row,) = [c for c in facts([case(), BETWEEN, SECOND, positive], "contacts") if c["person"] == "Sun"]
    assert row["declared_degree"] == 2


def test_when_that_positive_is_withdrawn_the_second_is_a_second_again():
    positive = specimen("Wang", "04-21 08:00", "04-21 20:00", "positive", id="R")
    taken = doc("retractions", "lab", retracts="R", reason="contaminated", by="")
    assert traced(case(), BETWEEN, SECOND, positive, taken) == [(2, None, None, None)]


def test_when_the_contact_between_becomes_a_case_without_a_result_here_the_second_becomes_a_first():
    own = case("Wang", "04-21 12:00", case_id="C2")
    assert traced(case(), BETWEEN, SECOND, own) == [(1, "04-21 12:00", None, None)]
    ruled_out = case("Wang", "04-21 12:00", case_id="C2", excluded_at="04-22")
    assert traced(case(), BETWEEN, SECOND, ruled_out) == [(2, None, None, None)]


def test_a_positive_before_the_exclusion_of_that_case_is_no_proof_any_more():
    ruled_out = case("Wang", "04-21 12:00", case_id="C2", excluded_at="04-22")
    before = specimen("Wang", "04-21 08:00", "04-21 10:00", "positive")
    after = specimen("Wang", "04-23 08:00", "04-23 10:00", "positive")
    assert traced(case(), BETWEEN, SECOND, ruled_out, before) == [(2, None, None, None)]
    assert traced(case(), BETWEEN, SECOND, ruled_out, before, after) == [(1, "04-23 10:00", None, None)]


def test_an_infection_that_was_over_before_they_met_makes_nobody_a_contact():
    past = case("Wang", "01-10", case_id="C0", discharged_at="01-30")
    old = specimen("Wang", "01-09", "01-10", "positive")
    assert traced(case(), BETWEEN, SECOND, past, old) == [(2, None, None, None)]


def test_a_positive_tube_does_not_make_its_members_infected():
    tube = specimen("Wang", "04-21 08:00", "04-21 20:00", "positive", pooled=True, pool_id="T")
    assert traced(case(), BETWEEN, SECOND, tube) == [(2, None, None, None)]


def test_two_negatives_of_the_contact_between_are_known_when_the_later_is_reported():
    first = specimen("Wang", "04-19 08:00", "04-20 20:00")
    second = specimen("Wang", "04-20 08:00", "04-20 14:00")
    third = specimen("Wang", "04-22 08:00", "04-22 14:00")
    assert traced(case(), BETWEEN, SECOND, first) == [(2, None, None, None)]
    assert traced(case(), BETWEEN, SECOND, first, second, third) == [(2, None, "04-20 20:00", None)]


def test_a_negative_from_before_the_exposure_is_none_of_the_two():
    early = specimen("Wang", "04-17 08:00", "04-17 20:00")
    first = specimen("Wang", "04-19 08:00", "04-19 20:00")
    assert traced(case(), BETWEEN, SECOND, early, first) == [(2, None, None, None)]


def test_one_specimen_reported_by_two_senders_is_one_of_the_two():
    first = specimen("Wang", "04-19 08:00", "04-19 20:00")
    assert traced(case(), BETWEEN, SECOND, first, ("platform", "tests", first[2])) == [(2, None, None, None)]


def test_a_positive_among_the_first_two_is_no_release():
    first = specimen("Wang", "04-19 08:00", "04-19 20:00")
    second = specimen("Wang", "04-20 08:00", "04-20 20:00", "positive")
    assert traced(case(), BETWEEN, SECOND, first, second) == [(1, "04-20 20:00", None, None)]


def test_a_pending_test_is_not_counted_before_its_result():
    pending = specimen("Wang", "04-19 08:00", "04-19 09:00", "pending")
    first = specimen("Wang", "04-19 18:00", "04-19 20:00")
    second = specimen("Wang", "04-20 08:00", "04-20 20:00")
    assert traced(case(), BETWEEN, SECOND, pending, first, second) == [(2, None, "04-20 20:00", None)]


def test_when_the_contact_between_is_no_contact_any_more_the_second_disappears():
    wang = contact("Wang", "04-18", id="K", index_case_id="C1")
    taken = doc("retractions", "cdc", retracts="K", reason="another Wang", by="")
    assert traced(case(), wang, SECOND) == [(2, None, None, None)]
    assert traced(case(), wang, taken, SECOND) == []
    assert traced(case(), SECOND) == []
    assert traced(case("Wang"), SECOND) == [(1, "04-20 08:00", None, None)]


def test_two_who_name_only_each_other_are_contacts_of_nobody():
    circle = [
        contact("Sun", "04-19", 2, index_person="Wang"),
        contact("Wang", "04-19", 2, index_person="Sun"),
    ]
    assert traced(*circle) == []


def test_when_the_head_case_is_ruled_out_the_second_learns_it_too():
    assert traced(case(excluded_at="04-21"), BETWEEN, SECOND) == [(2, None, None, "04-21")]
    other = contact("Wang", "04-18", index_case_id="C9")
    assert traced(case(excluded_at="04-21"), BETWEEN, other, SECOND) == [(2, None, None, None)]
    positive = specimen("Wang", "04-21 08:00", "04-21 20:00", "positive")
    assert traced(case(excluded_at="04-21"), BETWEEN, SECOND, positive) == [(1, "04-21 20:00", None, None)]


def test_nobody_is_a_contact_of_their_own_case():
    assert traced(case(), contact("Zhao"), who="Zhao") == []
    joined = doc("identities", person="Wang", same_as="Zhao", decided_by="registry")
    assert [c["person"] for c in facts([case(), BETWEEN, SECOND, joined], "contacts")] == ["Sun"]


# What tracing found ---------------------------------------------------------------------------------------------------

MET = """
    create table exposures as
    select
        'C1' as case_id, person, 25.0::double as minutes, 2::bigint as meetings, 0::bigint as first_at,
        9::bigint as last_at
    from person_keys
"""


def test_an_exposure_stands_as_long_as_its_case_does():
    zhao = case(id="K")
    (row,) = facts([zhao, person("Sun")], "exposures", traced=MET)
    assert (row["person"], row["minutes"], row["confirmed_at"], row["excluded_at"]) == (
        "Sun",
        25.0,
        "04-20 08:00",
        None,
    )
    assert facts([zhao, person("Sun")], "exposures", traced=MET, of=["Zhao"]) == []


def test_a_withdrawn_case_exposes_nobody():
    taken = doc("retractions", retracts="K", reason="false positive", by="")
    assert facts([case(id="K"), taken, person("Sun")], "exposures", traced=MET) == []


def test_an_exposure_to_a_case_that_was_ruled_out_says_when():
    (row,) = facts([case(excluded_at="04-22"), person("Sun")], "exposures", traced=MET)
    assert row["excluded_at"] == "04-22"


def test_a_case_never_meets_itself_under_another_paper():
    joined = doc("identities", person="Sun", same_as="Zhao", decided_by="registry")
    assert facts([case(), person("Sun"), joined], "exposures", traced=MET) == []


def test_what_tracing_finds_after_the_facts_were_laid_out_is_seen():
    con = connection([case(), person("Sun")])
    con.execute(MET.replace("create table", "create or replace table"))
    assert con.execute("select count(*) from fact_exposures").fetchone() == (1,)


# The others -----------------------------------------------------------------------------------------------------------


def test_the_plain_kinds_are_facts_as_they_came():
    documents = [
        doc("vaccinations", person="Li", product="inactivated", dose=2, given_on="03-01"),
        doc("entries", person="Li", country="FRA", port="首都机场", port_city="北京市", entered_on="04-01"),
        doc("purchases", person="Li", at="04-20 10:00", medicine_class="fever", pharmacy="P"),
        doc("clinic_visits", person="Li", at="04-20 11:00", symptom_class="fever", clinic="C"),
        doc("isolations", person="Li", kind="home", from_at="04-20", to_at=None, site="S"),
        doc(
            "clearances",
            person="Li",
            rule="A-P3",
            finding="no_link",
            officer="a",
            second_officer="b",
            at="04-21",
            reason="r",
        ),
    ]
    expected = {
        "vaccinations": {"product": "inactivated", "dose": 2, "given_on": "03-01"},
        "entries": {"country": "FRA", "port": "首都机场", "port_city": "北京市", "entered_on": "04-01"},
        "purchases": {"at": "04-20 10:00", "medicine_class": "fever", "pharmacy": "P"},
        "clinic_visits": {"at": "04-20 11:00", "symptom_class": "fever", "clinic": "C"},
        "isolations": {"kind": "home", "from_at": "04-20", "to_at": None, "site": "S"},
        "clearances": {"rule": "A-P3", "finding": "no_link", "at": "04-21", "reason": "r"},
    }
    con = connection(documents, of=["Li"])
    for name, row in expected.items():
        assert facts(documents, name) == [{"person": "Li", **row}]
        assert con.execute(f"select count(*) from fact_{name}").fetchone() == (1,)
    assert facts(documents, "people", of=["Li"])[0]["away"] is False


def test_the_person_asked_for_may_have_more_than_one_paper():
    joined = doc("identities", person="Li", same_as="Wang", decided_by="registry")
    documents = [joined, specimen("Li", "04-20", "04-20 20:00"), specimen("Wang", "04-21", "04-21 20:00")]
    smaller = min(("Li", "Wang"), key=key)
    for who in ("Li", "Wang"):
        assert columns(facts(documents, "tests", of=[who]), "person") == [(smaller,), (smaller,)]


def test_the_city_of_the_facts_is_the_city_of_the_policy():
    assert BEIJING.in_city("朝阳区")
    documents = [stay("Li", "江岸区", "04-10")]
    wuhan = type(BEIJING)("武汉市", ("江岸区",))
    assert columns(facts(documents, "county_stays", city=wuhan), "county", "in_city") == [
        ("武汉市江岸区", True)
    ]
