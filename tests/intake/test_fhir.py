"""FHIR R4: which resources become evidence, of whom, and the oracle that reads the same bundles."""

from __future__ import annotations

import copy
import json
import os
import random
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.operationoutcome import OperationOutcome
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled import ends, mutated, reshaped

from kangma.errors import Code, Refused
from kangma.intake.documents import Batch, Refusal
from kangma.intake.fhir import operation_outcome, read_fhir
from kangma.intake.identity import Keyer, check_character
from kangma.intake.kinds import KINDS
from kangma.intake.limits import DEFAULT, Limits
from kangma.intake.loinc import CODES, CVX, LOINC, SNOMED
from kangma.terms import day_number, moment

REAL = Path(os.environ.get("KANGMA_DATA", Path(__file__).parents[3] / "shared" / "data")) / "fhir"
KEYER = Keyer(b"a key for tests only, 32 bytes..")
RESIDENT = "11999919900101001" + check_character("11999919900101001")  # an unassigned division
CARD = {"system": "urn:oid:2.16.156.10011.1.3", "value": RESIDENT}
NAT, ANTIGEN, FLU = "94500-6", "94558-4", "92142-9"
DETECTED, NOT_DETECTED = "260373001", "260415000"

Json = dict[str, Any]


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def patient(**members: Any) -> Json:
    return {
        "resourceType": "Patient",
        "identifier": [CARD],
        "name": [{"text": "康某某"}],
        "birthDate": "1990-01-01",
        **members,
    }


def observation(code: Any = NAT, value: str | None = NOT_DETECTED, **members: Any) -> Json:
    made: Json = {
        "resourceType": "Observation",
        "identifier": [{"system": "urn:lab", "value": "R-1"}],
        "status": "final",
        "code": concept(LOINC, code),
        "subject": {"reference": "urn:uuid:p"},
        "effectiveDateTime": "2022-04-25T08:00:00+08:00",
        "issued": "2022-04-25T12:30:00+08:00",
        "performer": [{"display": "Test Laboratory"}],
    }
    if value is not None:
        made["valueCodeableConcept"] = concept(SNOMED, value)
    return {k: v for k, v in {**made, **members}.items() if v is not None}


def immunization(**members: Any) -> Json:
    made = {
        "resourceType": "Immunization",
        "identifier": [{"system": "urn:clinic", "value": "V-1"}],
        "status": "completed",
        "vaccineCode": concept(CVX, "511"),
        "patient": {"reference": "urn:uuid:p"},
        "occurrenceDateTime": "2021-06-01",
        "lotNumber": "L-1",
        "performer": [{"actor": {"display": "Test Clinic"}}],
        "protocolApplied": [{"doseNumberPositiveInt": 2}],
    }
    return {k: v for k, v in {**made, **members}.items() if v is not None}


def bundle(*resources: Json, person: Json | None = None, **members: Any) -> Json:
    """A collection of these and the patient they refer to."""
    entries = [{"fullUrl": "urn:uuid:p", "resource": person or patient()}]
    entries += [{"fullUrl": f"urn:uuid:r{i}", "resource": r} for i, r in enumerate(resources)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries, **members}


def batches(source: Json | bytes, **how: Any) -> list[Batch]:
    content = source if isinstance(source, bytes) else json.dumps(source).encode()
    found = list(read_fhir(content, keyer=KEYER, limits=how.pop("limits", DEFAULT), **how))
    for batch in found:
        assert batch.accepted.schema == KINDS[batch.kind].schema
        assert batch.received == batch.accepted.num_rows + len(batch.refused) > 0
    return found


def read(source: Json | bytes, **how: Any) -> tuple[dict[str, list[Json]], list[Refusal]]:
    """(accepted rows by kind, refusals)."""
    rows: dict[str, list[Json]] = {}
    refused: list[Refusal] = []
    for batch in batches(source, **how):
        rows.setdefault(batch.kind, []).extend(batch.accepted.to_pylist())
        refused += batch.refused
    return rows, refused


def row(kind: str, resource: Json, **how: Any) -> Json:
    rows, refused = read(bundle(resource), **how)
    assert not refused, refused
    (only,) = rows[kind]
    return only


def refusal(*resources: Json, person: Json | None = None, **how: Any) -> Refusal:
    rows, refused = read(bundle(*resources, person=person), **how)
    assert not any(rows.get(kind) for kind in ("tests", "vaccinations", "retractions"))
    return refused[-1]


# --------------------------------------------------------------------------------------- what a nurse would ask


def test_a_negative_swab_is_one_test_of_the_person_on_the_card() -> None:
    found = row("tests", observation())
    assert found == {
        "document_id": "urn:lab|R-1|nat",
        "document_version": found["document_version"],
        "specimen_id": "R-1",
        "person": KEYER.key("10", RESIDENT),
        "sampled_at": moment("2022-04-25T08:00:00+08:00"),
        "reported_at": moment("2022-04-25T12:30:00+08:00"),
        "method": "nat",
        "pooled": False,
        "pool_id": None,
        "result": "negative",
        "lab": "Test Laboratory",
    }


def test_a_vaccination_is_a_dose_of_a_product_on_a_day() -> None:
    found = row("vaccinations", immunization())
    assert found == {
        "document_id": "urn:clinic|V-1",
        "document_version": found["document_version"],
        "person": KEYER.key("10", RESIDENT),
        "product": "Sinovac CoronaVac",
        "dose": 2,
        "given_on": day_number(date(2021, 6, 1)),
        "batch": "L-1",
        "site": "Test Clinic",
    }


def test_a_patient_is_a_person_whose_name_goes_to_the_vault_and_nowhere_else() -> None:
    phone = [{"system": "phone", "value": "13900000000"}]
    (batch,) = batches(patient(telecom=phone, address=[{"district": "朝阳区"}]))
    assert batch.kind == "people"
    (found,) = batch.accepted.to_pylist()
    assert (found["birth_date"], found["district"]) == (day_number(date(1990, 1, 1)), "朝阳区")
    assert batch.secrets is not None
    assert batch.secrets.to_pylist() == [
        {
            "person": KEYER.key("10", RESIDENT),
            "id_type": "10",
            "id_number": RESIDENT,
            "name": "康某某",
            "phone": "13900000000",
        }
    ]
    assert not any(s in str(found) for s in ("康某某", RESIDENT, "13900000000"))


@pytest.mark.parametrize(
    ("status", "result"),
    [
        *((s, "positive") for s in ("final", "amended", "corrected")),
        *((s, "pending") for s in ("registered", "preliminary")),
        ("cancelled", "invalid"),
    ],
)
def test_the_status_decides_before_the_answer(status: str, result: str) -> None:
    assert row("tests", observation(value=DETECTED, status=status))["result"] == result


@pytest.mark.parametrize(
    ("members", "result"),
    [
        ({"valueCodeableConcept": concept(SNOMED, "419984006")}, "invalid"),
        ({"valueCodeableConcept": concept(LOINC, "LA6576-8")}, "positive"),
        ({"valueCodeableConcept": {"text": "Not detected"}}, "negative"),
        ({"valueCodeableConcept": None, "valueString": "阴性"}, "negative"),
        ({"valueCodeableConcept": None, "dataAbsentReason": concept("x", "error")}, "invalid"),
    ],
)
def test_an_answer_is_read_by_its_code_or_its_whole_words(members: Json, result: str) -> None:
    assert row("tests", observation(**members))["result"] == result


def test_what_was_entered_in_error_takes_its_document_back() -> None:
    taken = row("tests", observation())
    back = row("retractions", observation(status="entered-in-error"))
    assert back["retracts"] == taken["document_id"]
    assert back["source"] is None  # of the feed that sent it
    dose = row("vaccinations", immunization())
    assert row("retractions", immunization(status="entered-in-error"))["retracts"] == dose["document_id"]


def test_without_an_identifier_nothing_can_be_taken_back() -> None:
    nameless = observation(status="entered-in-error", identifier=None)
    whole = bundle(nameless)
    whole["entry"][1]["fullUrl"] = "resource:1"
    found = read(whole)[1][0]
    assert (found.code, found.path) == (Code.MISSING_VALUE, "entry[1].resource.identifier")


def test_a_corrected_result_outranks_the_first_in_whatever_order_they_arrive() -> None:
    first, second = observation(value=DETECTED), observation(status="corrected")
    versions = [
        row("tests", r)["document_version"] for r in (observation(status="preliminary"), first, second)
    ]
    assert versions == sorted(set(versions))
    late = observation(status="preliminary", issued="2022-04-27T12:30:00+08:00")
    assert row("tests", late)["document_version"] < versions[1]


# ------------------------------------------------------------------------------------ what is no result of ours


@pytest.mark.parametrize(
    ("resource", "code", "path"),
    [
        (observation(FLU, DETECTED), Code.NOT_A_RESULT, "entry[1].resource.code"),
        (observation("94501-4", DETECTED), Code.NOT_A_RESULT, "entry[1].resource.code"),
        (observation("94563-4", DETECTED), Code.NOT_A_RESULT, "entry[1].resource.code"),
        (observation(status="unknown"), Code.NOT_IN_LIST, "entry[1].resource.status"),
        (observation(status=None), Code.NOT_IN_LIST, "entry[1].resource.status"),
        (observation(value="1234"), Code.NOT_IN_LIST, "entry[1].resource.value[x]"),
        (observation(value=None), Code.MISSING_VALUE, "entry[1].resource.value[x]"),
        (
            observation(value=None, valueQuantity={"value": 23.5, "comparator": "<"}),
            Code.BAD_VALUE,
            "entry[1].resource.value[x]",
        ),
        (observation(value=None, valueBoolean=True), Code.BAD_VALUE, "entry[1].resource.value[x]"),
        (observation(valueString="positive"), Code.BAD_VALUE, "entry[1].resource.value[x]"),
        (observation(performer=None), Code.MISSING_VALUE, "entry[1].resource.performer"),
        (observation(effectiveDateTime="2022-13-01"), Code.BAD_TIME, "entry[1].resource.effectiveDateTime"),
        (observation(effectiveDateTime="2022-04"), Code.BAD_TIME, "entry[1].resource.effectiveDateTime"),
        (
            observation(effectiveDateTime="2022-04-26T08:00:00+08:00"),
            Code.ENDS_BEFORE_START,
            "entry[1].resource",
        ),
        (observation(status=7), Code.BAD_VALUE, "entry[1].resource.status"),
        (observation([7]), Code.BAD_VALUE, "entry[1].resource.code.coding[0].code"),
        (immunization(status="not-done"), Code.NOT_A_RESULT, "entry[1].resource.status"),
        (immunization(isSubpotent=True), Code.NOT_A_RESULT, "entry[1].resource.isSubpotent"),
        (immunization(vaccineCode=concept(CVX, "140")), Code.NOT_A_RESULT, "entry[1].resource.vaccineCode"),
        (
            immunization(protocolApplied=None),
            Code.MISSING_VALUE,
            "entry[1].resource.protocolApplied.doseNumber[x]",
        ),
        (
            immunization(protocolApplied=[{"doseNumberString": "second"}]),
            Code.BAD_NUMBER,
            "entry[1].resource.protocolApplied[0].doseNumber[x]",
        ),
        (immunization(occurrenceDateTime="2021-06"), Code.BAD_DATE, "entry[1].resource.occurrenceDateTime"),
        (
            immunization(occurrenceDateTime="2021-06-31"),
            Code.BAD_DATE,
            "entry[1].resource.occurrenceDateTime",
        ),
        ({"resourceType": "Condition"}, Code.NOT_A_RESULT, "entry[1].resource.resourceType"),
        ({"resourceType": "DiagnosticReport"}, Code.NOT_A_RESULT, "entry[1].resource.result"),
        ({}, Code.BAD_MESSAGE, "entry[1].resource.resourceType"),
    ],
)
def test_a_resource_that_cannot_be_taken_says_where_and_its_neighbours_go_on(
    resource: Json, code: Code, path: str
) -> None:
    other = observation(identifier=[{"system": "urn:lab", "value": "R-2"}])
    rows, refused = read(bundle(resource, other))
    assert [(r.code, r.path, r.row) for r in refused] == [(code, path, 2)]
    assert len(rows["tests"]) == len(rows["people"]) == 1
    assert json.loads(refused[0].raw or "") in (resource, {"fullUrl": "urn:uuid:r0", "resource": resource})


@pytest.mark.parametrize(
    ("where", "members"),
    [
        ("modifierExtension", {"modifierExtension": [{"url": "urn:x", "valueBoolean": True}]}),
        ("implicitRules", {"implicitRules": "urn:rules"}),
        (
            "descendants().modifierExtension",
            {"component": [{"code": concept(LOINC, FLU), "modifierExtension": [{"url": "urn:x"}]}]},
        ),
    ],
)
def test_a_modifier_that_is_not_understood_is_never_read_over(where: str, members: Json) -> None:
    found = refusal(observation(**members))
    assert (found.code, found.path) == (Code.UNSUPPORTED_MESSAGE, f"entry[1].resource.{where}")
    assert row("tests", observation(modifierExtension=[]))["result"] == "negative"


def test_a_modified_patient_gives_no_result_either() -> None:
    person = patient(modifierExtension=[{"url": "urn:x", "valueBoolean": True}])
    codes = {r.code for r in read(bundle(observation(), person=person))[1]}
    assert codes == {Code.UNSUPPORTED_MESSAGE}


# ------------------------------------------------------------------------------------------------------ persons


@pytest.mark.parametrize(
    ("identifier", "id_type", "number"),
    [
        (CARD, "10", RESIDENT),
        ({"system": "urn:x", "value": RESIDENT, "type": concept("v2-0203", "NNCHN")}, "10", RESIDENT),
        ({"system": "urn:x", "value": RESIDENT, "type": concept("v2-0203", "NI")}, "10", RESIDENT),
        ({"system": "http://hl7.org/fhir/sid/passport-NZL", "value": "LA123456"}, "20", "LA123456"),
        ({"value": "E12345678", "type": concept("v2-0203", "PPN")}, "20", "E12345678"),
        (
            {"system": "urn:hospital", "value": "0042", "type": concept("v2-0203", "MR")},
            "99",
            "URN:HOSPITAL|0042",
        ),
        ({"assigner": {"display": "Hospital"}, "value": "0042"}, "99", "HOSPITAL|0042"),
    ],
)
def test_an_identifier_becomes_one_document_number(identifier: Json, id_type: str, number: str) -> None:
    rows, refused = read(bundle(observation(), person=patient(identifier=[identifier])))
    assert not refused
    assert rows["tests"][0]["person"] == rows["people"][0]["person"] == KEYER.key(id_type, number)


@pytest.mark.parametrize(
    "members",
    [
        {"identifier": []},
        {"identifier": [{"value": "0042"}]},  # issued by nobody: two hospitals' 0042 would be one person
        {"identifier": [{"system": "urn:x", "value": "REDACTED"}]},
        {"identifier": [{**CARD, "use": "old"}]},
        {"active": False},
        {"link": [{"type": "replaced-by", "other": {"reference": "Patient/2"}}]},
    ],
)
def test_nobody_is_invented_where_no_identifier_names_a_person(members: Json) -> None:
    rows, refused = read(bundle(observation(), person=patient(**members)))
    assert {r.code for r in refused} == {Code.NO_PERSON}
    assert len(refused) == 2
    assert rows == {"people": [], "tests": []}


def test_a_reference_may_carry_the_identifier_itself() -> None:
    lone = observation(subject={"identifier": CARD})
    rows, refused = read(lone)
    assert not refused
    assert rows["tests"][0]["person"] == KEYER.key("10", RESIDENT)


@pytest.mark.parametrize(
    ("url", "identity", "reference", "found"),
    [
        ("resource:0", None, "resource:0", True),
        ("https://one.example/Patient/7", None, "https://one.example/Patient/7", True),
        ("https://one.example/Patient/7", None, "https://one.example/Patient/7/_history/2", True),
        ("https://one.example/Patient/7", None, "Patient/7", True),
        ("", "7", "Patient/7", True),
        ("https://one.example/Patient/7", "7", "https://two.example/Patient/7", False),
        ("urn:uuid:a", None, "urn:uuid:b", False),
        ("urn:uuid:a", None, "#a", False),
    ],
)
def test_a_reference_finds_its_patient_and_never_a_namesake(
    url: str, identity: str | None, reference: str, found: bool
) -> None:
    whole = bundle(observation(subject={"reference": reference}))
    whole["entry"][0] = {"fullUrl": url, "resource": patient(**({"id": identity} if identity else {}))}
    rows, refused = read(whole)
    assert bool(rows.get("tests")) is found
    assert [r.code for r in refused] == ([] if found else [Code.NO_PERSON])


def test_two_patients_of_one_name_are_nobody() -> None:
    whole = bundle(observation())
    other = patient(identifier=[{"system": "urn:hospital", "value": "0042"}])
    whole["entry"].append({"fullUrl": "urn:uuid:p", "resource": other})
    rows, refused = read(whole)
    assert (len(rows["people"]), [r.code for r in refused]) == (2, [Code.NO_PERSON])


def test_a_contained_patient_is_found_where_it_is_contained() -> None:
    inside = observation(subject={"reference": "#me"}, contained=[patient(id="me")])
    rows, refused = read(inside)
    assert (len(rows["tests"]), refused) == (1, [])


def test_a_practitioner_is_never_taken_for_the_laboratory() -> None:
    """Their name is a person's, and `lab` is not sealed."""
    doctor = {"reference": "Practitioner/1", "display": "Dr Synthetic"}
    assert refusal(observation(performer=[doctor])).code is Code.MISSING_VALUE
    lab = {"fullUrl": "urn:uuid:o", "resource": {"resourceType": "Organization", "name": "Laboratory 7"}}
    whole = bundle(observation(performer=[doctor, {"reference": "urn:uuid:o"}]))
    whole["entry"].append(lab)
    assert read(whole)[0]["tests"][0]["lab"] == "Laboratory 7"


# -------------------------------------------------------------------------------------------------------- times


def test_a_day_without_time_is_its_first_moment_in_the_zone_of_the_feed() -> None:
    dated = observation(effectiveDateTime="2022-04-25")
    assert refusal(dated).code is Code.TIME_WITHOUT_OFFSET
    found = row("tests", dated, default_zone="Asia/Shanghai")
    assert found["sampled_at"] == moment("2022-04-25T00:00:00+08:00")


def test_without_issued_the_report_is_no_earlier_than_the_sample() -> None:
    found = row("tests", observation(issued=None))
    assert found["reported_at"] == found["sampled_at"] == moment("2022-04-25T08:00:00+08:00")
    assert refusal(observation(issued=None, effectiveDateTime=None)).code is Code.MISSING_VALUE


def test_the_specimen_knows_when_it_was_taken_and_its_number() -> None:
    sample = {
        "resourceType": "Specimen",
        "accessionIdentifier": {"value": "S-7"},
        "collection": {"collectedDateTime": "2022-04-25T07:00:00+08:00"},
    }
    whole = bundle(observation(specimen={"reference": "urn:uuid:s"}))
    whole["entry"].append({"fullUrl": "urn:uuid:s", "resource": sample})
    found = read(whole)[0]["tests"][0]
    assert (found["specimen_id"], found["sampled_at"]) == ("S-7", moment("2022-04-25T07:00:00+08:00"))


def test_a_sample_that_nothing_names_is_the_same_sample_when_it_is_sent_again() -> None:
    nameless = observation(identifier=None)
    whole = bundle(nameless)
    whole["entry"][1].pop("fullUrl")
    again = copy.deepcopy(whole)
    again["entry"].reverse()
    (one,), (other,) = read(whole)[0]["tests"], read(again)[0]["tests"]
    assert one == other
    assert one["document_id"] is None
    assert one["specimen_id"].startswith("fhir-")


def test_a_time_in_the_posting_of_a_new_resource_makes_no_new_document() -> None:
    """A POST's fullUrl is made up for the one bundle: two sendings are one document."""
    whole = bundle(observation(identifier=None), type="transaction")
    for entry in whole["entry"]:
        entry["request"] = {"method": "POST", "url": entry["resource"]["resourceType"]}
    assert read(whole)[0]["tests"][0]["document_id"] is None


# ------------------------------------------------------------------------------------------- reports and panels


def report(*results: str, **members: Any) -> Json:
    return {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:lab", "value": "D-1"}],
        "status": "final",
        "code": concept(LOINC, "94531-1"),
        "subject": {"reference": "urn:uuid:p"},
        "issued": "2022-04-25T13:00:00+08:00",
        "performer": [{"display": "Report Laboratory"}],
        "result": [{"reference": r} for r in results],
        **members,
    }


def test_the_genes_of_one_report_are_one_result() -> None:
    genes = [observation("94756-4", DETECTED), observation("94757-2", NOT_DETECTED)]
    for i, gene in enumerate(genes):
        gene["identifier"][0]["value"] = f"G-{i}"
    rows, refused = read(bundle(*genes, report("urn:uuid:r0", "urn:uuid:r1")))
    assert not refused
    (only,) = rows["tests"]
    assert (only["result"], only["document_id"]) == ("invalid", "urn:lab|D-1|nat")
    whole = bundle(*genes, observation(), report("urn:uuid:r0", "urn:uuid:r1", "urn:uuid:r2"))
    (only,) = read(whole)[0]["tests"]
    assert (only["result"], only["document_id"]) == ("negative", "urn:lab|R-1|nat")


def test_a_report_lends_its_results_what_they_leave_out() -> None:
    bare = observation(subject=None, performer=None, issued=None)
    (found,) = read(bundle(bare, report("urn:uuid:r0")))[0]["tests"]
    assert (found["lab"], found["reported_at"]) == ("Report Laboratory", moment("2022-04-25T13:00:00+08:00"))


def test_contained_results_are_results() -> None:
    inside = report("#a", "#b", contained=[observation(id="a"), observation(FLU, DETECTED, id="b")])
    rows, refused = read(bundle(inside))
    assert len(rows["tests"]) == 1
    assert [(r.code, r.path) for r in refused] == [(Code.NOT_A_RESULT, "entry[1].resource.contained[1].code")]


def test_a_report_that_names_a_result_which_is_not_there_is_refused() -> None:
    found = refusal(report("urn:uuid:elsewhere"))
    assert (found.code, found.path) == (Code.BAD_MESSAGE, "entry[1].resource.result[0].reference")


def test_a_report_in_error_takes_its_results_back() -> None:
    rows, refused = read(bundle(observation(), report("urn:uuid:r0", status="entered-in-error")))
    assert [r["retracts"] for r in rows["retractions"]] == ["urn:lab|R-1|nat"]
    assert "tests" not in rows
    assert not refused


def test_results_of_two_people_under_one_report_are_refused() -> None:
    other = observation(subject={"identifier": {"system": "urn:hospital", "value": "0042"}})
    assert refusal(observation(), other, report("urn:uuid:r0", "urn:uuid:r1")).code is Code.BAD_MESSAGE


def test_components_are_results_under_a_heading() -> None:
    parts = [
        {"code": concept(LOINC, NAT), "valueCodeableConcept": concept(SNOMED, DETECTED)},
        {"code": concept(LOINC, FLU), "valueCodeableConcept": concept(SNOMED, NOT_DETECTED)},
    ]
    assert row("tests", observation("95422-2", None, component=parts))["result"] == "positive"


def test_two_answers_under_one_identifier_are_refused_in_either_order() -> None:
    both = [observation(value=DETECTED), observation(value=NOT_DETECTED)]
    for pair in (both, both[::-1]):
        rows, refused = read(bundle(*pair))
        assert [(r.code, r.row) for r in refused] == [(Code.BAD_MESSAGE, 2), (Code.BAD_MESSAGE, 3)]
        assert not rows["tests"]
    rows, refused = read(bundle(both[0], both[0], observation(status="corrected")))
    assert not refused
    assert [r["result"] for r in rows["tests"]] == ["positive", "positive", "negative"]


def test_a_list_that_many_results_look_through_is_short() -> None:
    assert refusal(observation(performer=[{}] * 1_000)).code is Code.VALUE_TOO_LONG


def test_a_chain_of_panels_that_bites_its_tail_ends() -> None:
    ring = [observation(hasMember=[{"reference": f"urn:uuid:r{(i + 1) % 50}"}]) for i in range(50)]
    assert batches(bundle(*ring))


# ----------------------------------------------------------------------------------------- whole files, hostile


@pytest.mark.parametrize("kind", ["collection", "batch", "transaction", "message", "document"])
def test_every_kind_of_message_bundle_is_read(kind: str) -> None:
    along = {"resource": {"resourceType": "Composition" if kind == "document" else "MessageHeader"}}
    whole = bundle(observation(), type=kind)
    whole["entry"].insert(0, along)
    assert len(read(whole)[0]["tests"]) == 1


def test_a_deletion_inside_a_transaction_is_refused_and_its_neighbours_go_on() -> None:
    whole = bundle(observation(), type="transaction")
    whole["entry"].append({"request": {"method": "DELETE", "url": "Observation/1"}})
    rows, refused = read(whole)
    assert len(rows["tests"]) == 1
    assert [(r.code, r.path) for r in refused] == [(Code.UNSUPPORTED_MESSAGE, "entry[2].request.method")]


HOSTILE = {
    "nothing": (b"", Code.UNREADABLE),
    "no resource": (b'{"data": {}}', Code.UNREADABLE),
    "a list": (b"[]", Code.UNREADABLE),
    "another resource": (b'{"resourceType": "Claim"}', Code.UNSUPPORTED_MESSAGE),
    "a history": (b'{"resourceType": "Bundle", "type": "history"}', Code.UNSUPPORTED_MESSAGE),
    "rules of its own": (
        b'{"resourceType": "Bundle", "type": "batch", "implicitRules": "urn:x"}',
        Code.UNSUPPORTED_MESSAGE,
    ),
    "entries that are none": (b'{"resourceType": "Bundle", "type": "batch", "entry": {}}', Code.BAD_VALUE),
    "nested 100,000 deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, Code.TOO_DEEP),
    "lists 100,000 deep": (b"[" * 100_000, Code.TOO_DEEP),
    "two million empty entries": (
        b'{"resourceType": "Bundle", "type": "batch", "entry": [' + b"{}," * 2_000_000 + b"{}]}",
        Code.TOO_MANY_ROWS,
    ),
    "many digits": (b'{"resourceType": ' + b"9" * 100_000 + b"}", Code.TOO_MANY_DIGITS),
    "a name twice": (b'{"resourceType": "Patient", "resourceType": "Observation"}', Code.UNREADABLE),
    "not UTF-8": ('{"resourceType": "病人"}'.encode("gb18030"), Code.NOT_UTF8),
    "XML": (b"<Bundle/>", Code.UNREADABLE),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_get_their_code(name: str) -> None:
    source, code = HOSTILE[name]
    with pytest.raises(Refused) as caught:
        read(source)
    assert caught.value.code is code


def test_limits_hold() -> None:
    for limits, code in (
        (Limits(message_bytes=99), Code.TOO_MANY_BYTES),
        (Limits(rows=1), Code.TOO_MANY_ROWS),
    ):
        with pytest.raises(Refused) as caught:
            read(bundle(observation()), limits=limits)
        assert caught.value.code is code
    assert refusal(observation(performer=[{"display": "x" * 10_000_000}])).code is Code.VALUE_TOO_LONG


def test_half_a_character_is_neither_stored_nor_fatal() -> None:
    source = json.dumps(bundle(observation(performer=[{"display": "Lab \ud800 7"}], note="\udfff"))).encode()
    rows, refused = read(source)
    assert rows["tests"][0]["lab"] == "Lab  7"
    refused = read(json.dumps(bundle(observation(status="\ud800"))).encode())[1]
    assert (refused[0].raw or "").encode()


def test_thousands_of_results_of_one_patient_come_in_bounded_batches() -> None:
    heavy = patient(extension=[{"url": f"urn:{i}"} for i in range(2_000)])
    results = [observation(identifier=[{"system": "urn:lab", "value": f"R-{i}"}]) for i in range(8_200)]
    found = batches(bundle(*results, person=heavy))
    assert sum(b.received for b in found) == 8_201
    assert max(b.received for b in found) <= 8_192


def test_the_answer_is_an_operation_outcome_that_names_the_path() -> None:
    _, refused = read(bundle(observation(status="unknown"), {"resourceType": "Condition"}))
    outcome = operation_outcome([*refused, Refused(Code.TOO_DEEP, hint="nested deeper than 64 levels")])
    OperationOutcome.model_validate(outcome)
    assert outcome["issue"][1] == {
        "severity": "error",
        "code": "code-invalid",
        "details": {"coding": [{"system": "urn:kangma:refusal", "code": "not_in_list"}]},
        "diagnostics": "one of final, amended, corrected, registered, preliminary, cancelled or entered-in-error",
        "expression": ["entry[1].resource.status"],
    }
    assert outcome["issue"][-1]["severity"] == "fatal"
    assert OperationOutcome.model_validate(operation_outcome([])).issue[0].severity == "information"


@pytest.mark.parametrize("code", list(Code))
def test_every_code_makes_a_valid_outcome(code: Code) -> None:
    OperationOutcome.model_validate(operation_outcome([Refused(code)]))


def test_no_refusal_carries_anything_of_a_person() -> None:
    secret = ["康某某", RESIDENT, "13900000000"]
    dice = random.Random(7)
    person = patient(telecom=[{"system": "phone", "value": "13900000000"}])
    seed = json.dumps(bundle(observation(), immunization(), person=person), ensure_ascii=False).encode()
    for _ in range(500):
        told: list[Any] = []
        try:
            told += [(r, r.hint, r.path) for r in read(mutated(seed, dice, PIECES))[1]]
        except Refused as problem:
            told.append(str(problem))
        assert not any(s in str(told) for s in secret)


PIECES = [
    b"[",
    b"{",
    b'"',
    b"\\",
    b"null",
    b"1e9",
    b'\\ud83d"',
    b",,",
    b"-",
    b'"status":7,',
    b'"reference":"#"',
    b"#",
]


def survives(rounds: int, seed: int, slowest: float | None = None) -> Counter[str]:
    dice = random.Random(seed)
    held = observation(ANTIGEN, id="a", subject={"reference": "#me"}, identifier=None)
    inside = report("#a", contained=[held, patient(id="me")])
    part = {"code": concept(LOINC, NAT), "valueString": "positive"}
    heading = observation("95422-2", None, component=[part], identifier=[{"value": "R-2"}])
    whole = bundle(observation(), immunization(), inside, heading)
    text = json.dumps(whole, ensure_ascii=False).encode()
    sources = (
        mutated(text, dice, PIECES) if i % 2 else json.dumps(reshaped(whole, dice)).encode()
        for i in range(rounds)
    )

    def outcome(source: bytes) -> list[str]:
        rows, refused = read(source, default_zone=dice.choice([None, "Asia/Shanghai"]))
        return ["accepted"] * sum(map(len, rows.values())) + [str(r.code) for r in refused]

    return ends(sources, outcome, slowest)


def test_two_thousand_spoiled_bundles_end_in_rows_or_refusals() -> None:
    found = survives(2_000, seed=20220425)
    assert found["accepted"] > 2_000
    assert len(found) >= 12, found


@pytest.mark.prove
def test_two_hundred_thousand_spoiled_bundles_end_within_a_tenth_of_a_second_each() -> None:
    survives(200_000, seed=3, slowest=0.1)


# ----------------------------------------------------------------------------------------- oracle, real bundles


def oracle(source: Json) -> Counter[tuple[Any, ...]]:
    """What fhir.resources reads in the same bundle, in the words of our columns."""
    found = Counter[tuple[Any, ...]]()
    for entry in Bundle.model_validate(source).entry or []:
        each = entry.resource
        kind = each.get_resource_type()
        if kind == "Immunization" and each.status == "completed":
            codes = [(c.system, c.code) for c in each.vaccineCode.coding]
            dose = each.protocolApplied[0].doseNumberPositiveInt if each.protocolApplied else None
            given = each.occurrenceDateTime
            day = day_number(given if type(given) is date else given.date())
            found["vaccination", CODES.product(codes), dose, day, each.lotNumber] += 1
        elif kind == "Observation":
            codes = [(c.system, c.code) for c in each.code.coding or []]
            assay = CODES.assay(codes)
            if assay is not None and each.status == "final":
                answer = CODES.result([(c.system, c.code) for c in each.valueCodeableConcept.coding], "")[0]
                found["test", assay.method, answer] += 1
        elif kind == "Patient":
            found["person", day_number(each.birthDate)] += 1
    return found


def ours(source: Json) -> Counter[tuple[Any, ...]]:
    rows, _ = read(source, default_zone="UTC")
    found = Counter[tuple[Any, ...]]()
    found.update(
        ("vaccination", r["product"], r["dose"], r["given_on"], r["batch"])
        for r in rows.get("vaccinations", [])
    )
    found.update(("test", r["method"], r["result"]) for r in rows.get("tests", []))
    found.update(("person", r["birth_date"]) for r in rows.get("people", []))
    return found


DAYS = st.dates(date(1950, 1, 1), date(2030, 12, 31)).map(date.isoformat)
RESOURCES = st.one_of(
    st.builds(
        lambda day, code, dose, status: immunization(
            occurrenceDateTime=day,
            vaccineCode=concept(CVX, code),
            protocolApplied=[{"doseNumberPositiveInt": dose}],
            status=status,
        ),
        DAYS,
        st.sampled_from(["207", "208", "210", "510", "511"]),
        st.integers(1, 9),
        st.sampled_from(["completed", "not-done", "entered-in-error"]),
    ),
    st.builds(
        lambda code, value, status: observation(code, value, status=status, identifier=None),
        st.sampled_from([NAT, ANTIGEN, FLU, "94563-4", "94533-7"]),
        st.sampled_from([DETECTED, NOT_DETECTED, "419984006"]),
        st.sampled_from(["final", "entered-in-error"]),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(RESOURCES, max_size=6), DAYS)
def test_we_take_what_the_library_reads(resources: list[Json], born: str) -> None:
    named = [{**r, "identifier": [{"system": "urn:lab", "value": f"R-{i}"}]} for i, r in enumerate(resources)]
    whole = bundle(*named, person=patient(birthDate=born))
    assert ours(whole) == oracle(whole)


real = pytest.mark.skipif(not REAL.exists(), reason="the example bundles are not here (KANGMA_DATA)")

REAL_BUNDLES = {
    "shc_example-00-a-fhirBundle.json": {"people": 1, "vaccinations": 3},
    "shc_example-01-a-fhirBundle.json": {"people": 1, "vaccinations": 3},
    "shc_example-02-a-fhirBundle.json": {"tests": 51},
    "shc_example-03-a-fhirBundle.json": {"people": 1, "vaccinations": 2},
    "shc_fixture_covid-vaccines-bundle.json": {"people": 1, "vaccinations": 3},
    "shc_fixture_revoked-bundle.json": {"people": 1, "vaccinations": 2},
    "shc_ig_Scenario3Bundle_covid_lab.json": {"people": 1, "tests": 1},
}


@real
@pytest.mark.real_data
def test_the_seven_example_bundles_name_nobody_and_every_resource_is_told_so() -> None:
    """Their patients have a name and a birthday and no identifier; the large report has no SARS-CoV-2 test."""
    assert {f.name for f in REAL.glob("*.json")} == set(REAL_BUNDLES)
    for name, counts in REAL_BUNDLES.items():
        found = batches((REAL / name).read_bytes())
        assert {b.kind: len(b.refused) for b in found} == counts
        assert not any(b.accepted.num_rows for b in found)
        expected = Code.NOT_A_RESULT if "02" in name else Code.NO_PERSON
        assert {r.code for b in found for r in b.refused} == {expected}


@real
@pytest.mark.real_data
@pytest.mark.parametrize("name", [n for n in REAL_BUNDLES if "02" not in n])
def test_with_an_identifier_and_doses_the_example_bundles_are_taken_as_the_library_reads_them(
    name: str,
) -> None:
    whole = json.loads((REAL / name).read_bytes())
    dose = 0
    for entry in whole["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            resource["identifier"] = [CARD]
            resource.pop("id", None)  # "resource:0" is no FHIR id
        elif resource["resourceType"] == "Immunization":
            dose += 1
            resource["protocolApplied"] = [{"doseNumberPositiveInt": dose}]
    assert ours(whole) == oracle(whole)
    assert ours(whole).total() == sum(REAL_BUNDLES[name].values())
