"""HL7 v2 laboratory reports: which of them are a result, whose, and when; and the 14 real files, each on purpose."""

from __future__ import annotations

import os
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled import ends, mutated

from kangma.errors import Code, Refused
from kangma.intake.documents import Batch, Refusal
from kangma.intake.hl7v2 import ack, frame, parse_message, read_hl7v2, unframe
from kangma.intake.identity import Keyer, check_character
from kangma.intake.kinds import KINDS
from kangma.intake.limits import DEFAULT, Limits
from kangma.intake.loinc import CODES, LOINC, Assay, fold
from kangma.terms import moment

REAL = Path(os.environ.get("KANGMA_DATA", Path(__file__).parents[3] / "shared" / "data")) / "hl7v2"
FORMAT = Path(__file__).parents[2] / "docs" / "formats" / "hl7v2.md"
KEYER = Keyer(b"a key for tests only, 32 bytes..")
RESIDENT = "11999919900101001" + check_character("11999919900101001")  # an unassigned division
COVID = "94500-6^SARS-CoV-2 RNA Resp Ql NAA+probe^LN"


def obx(
    code: str = COVID,
    value: str = "260415000^Not detected^SCT",
    *,
    number: int = 1,
    kind: str = "CWE",
    status: str = "F",
    observed: str = "20220425080000+0800",
    analysed: str = "20220425120000+0800",
    lab: str = "Test Laboratory",
) -> str:
    return f"OBX|{number}|{kind}|{code}||{value}||||||{status}|||{observed}|||||{analysed}||||{lab}"


def oru(
    *observations: str,
    pid: str = f"{RESIDENT}^^^^NI",
    sent: str = "20220425130000+0800",
    sampled: str = "20220425080000+0800",
    reported: str = "20220425123000+0800",
    order: str = "F-1",
    specimen: str | None = "S-1",
    version: str = "2.5.1",
    processing: str = "P",
    control: str = "MSG-0001",
    event: str = "ORU^R01^ORU_R01",
    role: str = "",
) -> str:
    lines = [
        f"MSH|^~\\&|LIS|Lab One^2.999.1^ISO|KANGMA|CDC|{sent}||{event}|{control}|{processing}|{version}",
        f"PID|1||{pid}||Synthetic^Person||19900101|F",
        f"OBR|1|P-1|{order}|94531-1^panel^LN|||{sampled}|||||||||||||||{reported}|||F",
        *(observations or (obx(),)),
    ]
    if specimen is not None:
        lines.append(f"SPM|1|^{specimen}||258500001^swab^SCT|||||||{role}||||||{sampled}")
    return "\r".join(lines) + "\r"


def batches(source: str | bytes, **how: Any) -> list[Batch]:
    content = source.encode() if isinstance(source, str) else source
    found = list(read_hl7v2(content, keyer=KEYER, limits=how.pop("limits", DEFAULT), **how))
    for batch in found:
        assert batch.kind == "tests"
        assert batch.accepted.schema == KINDS["tests"].schema
        assert batch.received == batch.accepted.num_rows + len(batch.refused) > 0
    return found


def read(source: str | bytes, **how: Any) -> tuple[list[dict[str, Any]], list[Refusal]]:
    found = batches(source, **how)
    return [r for b in found for r in b.accepted.to_pylist()], [r for b in found for r in b.refused]


def row(source: str | bytes, **how: Any) -> dict[str, Any]:
    accepted, refused = read(source, **how)
    assert not refused, refused
    (only,) = accepted
    return only


def refusal(source: str | bytes, **how: Any) -> Refusal:
    accepted, refused = read(source, **how)
    assert not accepted
    (only,) = refused
    return only


# ------------------------------------------------------------------------------------ what a nurse would ask


def test_a_negative_swab_is_one_test_of_the_person_on_the_card() -> None:
    found = row(oru())
    assert found == {
        "document_id": "2.999.1|F-1|94531-1|nat|S-1",
        "document_version": found["document_version"],
        "specimen_id": "S-1",
        "person": KEYER.key("10", RESIDENT),
        "sampled_at": moment("2022-04-25T08:00:00+08:00"),
        "reported_at": moment("2022-04-25T12:30:00+08:00"),
        "method": "nat",
        "pooled": False,
        "pool_id": None,
        "result": "negative",
        "lab": "Test Laboratory",
    }


def test_the_number_goes_to_the_vault_and_nowhere_else() -> None:
    (batch,) = batches(oru())
    assert batch.secrets is not None
    assert batch.secrets.to_pylist() == [
        {
            "person": KEYER.key("10", RESIDENT),
            "id_type": "10",
            "id_number": RESIDENT,
            "name": None,
            "phone": None,
        }
    ]
    assert RESIDENT not in str(batch.accepted.to_pylist())


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("CWE", "260373001^Detected^SCT", "positive"),
        ("CWE", "10828004^Positive^SCT", "positive"),
        ("CE", "260415000^x^SCT", "negative"),
        ("CWE", "LOCAL^x^L^260415000^y^SCT", "negative"),
        ("CWE", "419984006^Inconclusive^SCT", "invalid"),
        ("CWE", "82334004^Indeterminate^SCT", "invalid"),
        ("CWE", "125154007^Specimen unsatisfactory^SCT", "invalid"),
        ("CWE", "LA6576-8^Positive^LN", "positive"),
        ("CWE", "^Not Detected", "negative"),
        ("CWE", "NEG^Negative^L", "negative"),
        ("ST", "Not Detected", "negative"),
        ("ST", "NOT DETECTED.", "negative"),
        ("TX", "Negative", "negative"),
        ("ST", "positive", "positive"),
        ("ST", "阳性", "positive"),
        ("ST", "阴性", "negative"),
        ("ST", "Not performed", "invalid"),
    ],
)
def test_an_answer_is_read_by_its_code_or_its_whole_words(kind: str, value: str, result: str) -> None:
    assert row(oru(obx(value=value, kind=kind)))["result"] == result


@pytest.mark.parametrize(
    "value",
    ["see comment", "not detected for influenza", "negative for cough, positive for fever", "detected?"],
)
def test_words_that_merely_contain_an_answer_are_not_one(value: str) -> None:
    assert refusal(oru(obx(value=value, kind="ST"))).code is Code.NOT_IN_LIST


@pytest.mark.parametrize(
    ("status", "result"),
    [
        *((s, "positive") for s in "FCU"),
        *((s, "pending") for s in "PRSI"),
        *((s, "invalid") for s in "XDW"),
    ],
)
def test_the_status_decides_before_the_answer(status: str, result: str) -> None:
    assert row(oru(obx(value="260373001^Detected^SCT", status=status)))["result"] == result


def test_an_order_detail_or_an_unasked_question_is_no_result() -> None:
    for status in "ON":
        assert refusal(oru(obx(status=status))).code is Code.NOT_A_RESULT
    assert refusal(oru(obx(status=""))).code is Code.MISSING_VALUE
    assert refusal(oru(obx(status="Q"))).code is Code.NOT_IN_LIST


def newest(*messages: str) -> dict[str, Any]:
    found = [row(m) for m in messages]
    assert len({r["document_id"] for r in found}) == 1
    return max(found, key=lambda r: r["document_version"])


def test_a_corrected_result_replaces_the_first_in_whatever_order_they_arrive() -> None:
    detected, sent = "260373001^Detected^SCT", "20220425150000+0800"
    first = oru(obx(value=detected))
    later = oru(obx(status="C"), sent=sent)
    same_second = oru(obx(status="C"))
    for correction in (later, same_second):
        assert newest(first, correction)["result"] == newest(correction, first)["result"] == "negative"


def test_a_preliminary_result_never_undoes_a_final_one() -> None:
    straggler = oru(obx(status="P"), sent="20220426090000+0800")
    assert newest(oru(), straggler)["result"] == "negative"


def test_a_result_posted_for_the_wrong_patient_is_taken_from_them_and_given_to_the_right_one() -> None:
    other = "11999919900101002" + check_character("11999919900101002")
    wrong = oru(obx(value="260373001^Detected^SCT"))
    withdrawn = oru(obx(value="260373001^Detected^SCT", status="W"), sent="20220425140000+0800")
    right = oru(obx(value="260373001^Detected^SCT"), pid=f"{other}^^^^NI", sent="20220425141000+0800")
    assert newest(wrong, withdrawn)["result"] == "invalid"
    last = newest(wrong, withdrawn, right)
    assert (last["result"], last["person"]) == ("positive", KEYER.key("10", other))


def test_a_pooled_specimen_says_so() -> None:
    found = row(oru(role="L"))
    assert (found["pooled"], found["pool_id"]) == (True, "S-1")
    assert row(oru(obx(value="895231008^Not detected in pooled specimen^SCT")))["pooled"] is True


# -------------------------------------------------------------------------------- which codes are SARS-CoV-2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("41458-1^SARS-CoV RNA XXX Ql NAA+probe^LN^3556190^Coronavirus COVID-19 Result^L", "2003"),
        ("94501-4^MERS-CoV RNA Resp Ql NAA+probe^LN", "MERS"),
        ("94563-4^SARS coronavirus 2 IgG Ab^LN", "antibody"),
        ("19145-2^SARS-CoV-2 by NAT^LN", ""),
        ("85658-3^SARS-CoV-2 N gene XXX Ql NAA N2^LN", ""),
        ("92142-9^FLUAV RNA Resp Ql NAA+probe^LN", ""),
        ("COVID^SARS-CoV-2 PCR^L", ""),
        ("94500-6^SARS-CoV-2 RNA^L", ""),  # a local code that happens to look like one
    ],
)
def test_the_code_decides_and_never_the_name_beside_it(code: str, words: str) -> None:
    found = refusal(oru(obx(code, "260373001^Detected^SCT")))
    assert found.code is Code.NOT_A_RESULT
    assert words in found.hint


def test_influenza_beside_a_negative_covid_result_colours_nobody() -> None:
    flu = obx("92142-9^FLUAV RNA^LN", "260373001^Detected^SCT", number=2)
    assert row(oru(obx(), flu))["result"] == "negative"


def test_antigen_is_another_method_and_another_document() -> None:
    rapid = obx("94558-4^Ag^LN", "260373001^Detected^SCT", number=2)
    accepted, refused = read(oru(obx(), rapid))
    assert {r["method"]: r["result"] for r in accepted} == {"nat": "negative", "antigen": "positive"}
    assert len({r["document_id"] for r in accepted}) == 2
    assert not refused


def test_the_genes_of_one_sample_are_one_result() -> None:
    n1 = obx("94756-4^N1^LN", "260373001^Detected^SCT", number=1)
    n2 = obx("94757-2^N2^LN", "260415000^Not detected^SCT", number=2)
    assert row(oru(n1, n2))["result"] == "invalid"
    assert row(oru(n1, n2, obx(value="260373001^Detected^SCT", number=3)))["result"] == "positive"


def test_a_health_department_adds_a_laboratorys_own_code() -> None:
    ours = CODES.extended(assays={("L", "COVID"): Assay("nat")})
    assert row(oru(obx("COVID^SARS-CoV-2 PCR^L")), codes=ours)["result"] == "negative"
    known_wrong = obx("41458-1^SARS-CoV^LN^COVID^COVID-19^L")
    assert row(oru(known_wrong), codes=ours)["result"] == "negative"


def test_every_loinc_code_in_the_tables_carries_its_check_digit() -> None:
    """LOINC numbers end in a Luhn digit: a slip of the hand in the table fails here."""
    codes = [c for s, c in [*CODES.assays, *CODES.not_assays] if s == LOINC]
    assert len(codes) > 70
    for code in codes:
        digits, check = code.split("-")
        total = sum(sum(divmod(int(d) * (2 - i % 2), 10)) for i, d in enumerate(reversed(digits)))
        assert (10 - total % 10) % 10 == int(check), code
    assert not set(CODES.assays) & set(CODES.not_assays)


ANSWERS = st.lists(
    st.tuples(
        st.builds(Assay, st.just("nat"), st.booleans()),
        st.sampled_from(["negative", "positive", "invalid", "pending"]),
    ),
    min_size=1,
    max_size=6,
)


@given(ANSWERS, st.randoms())
def test_a_sample_is_positive_only_if_everything_that_counts_says_so(
    answers: Any, dice: random.Random
) -> None:
    folded = fold(answers)
    shuffled = dice.sample(answers, len(answers))
    assert fold(shuffled) == folded
    if folded in ("positive", "negative"):
        counting = [r for a, r in answers if a.whole] or [r for _, r in answers]
        assert set(counting) == {folded}


# ---------------------------------------------------------------------------------------------- whose result


@pytest.mark.parametrize(
    ("pid", "id_type", "number"),
    [
        (f"{RESIDENT}^^^^NI", "10", RESIDENT),
        (f"{RESIDENT}^^^^NNCHN", "10", RESIDENT),
        (f"{RESIDENT}^^^&2.16.156.10011.1.3&ISO", "10", RESIDENT),
        ("E12345678^^^^PPN", "20", "E12345678"),
        ("H1234567800^^^^14", "14", "H1234567800"),
        ("0042^^^Hospital&2.999.7&ISO^MR", "99", "2.999.7|0042"),
        ("0042^^^Hospital^PI", "99", "HOSPITAL|0042"),
        ("0042^^^^PI", "99", "2.999.1|0042"),  # the sending facility's own
        ("0042^^^^PI^Ward&2.999.8&ISO", "99", "2.999.8|0042"),
        (f"0042^^^Hospital^MR~{RESIDENT}^^^^NI", "10", RESIDENT),
        ("REDACTED^^^Hospital^MR~0042^^^Hospital^PI", "99", "HOSPITAL|0042"),
        ("000000000^^^SSN^SS~0042^^^Hospital^PI", "99", "HOSPITAL|0042"),
    ],
)
def test_an_identifier_becomes_one_document_number(pid: str, id_type: str, number: str) -> None:
    assert row(oru(pid=pid))["person"] == KEYER.key(id_type, number)


def test_two_laboratories_local_numbers_never_name_one_person() -> None:
    here, there = (row(oru(pid=f"0042^^^{lab}^MR"))["person"] for lab in ("Lab A", "Lab B"))
    assert here != there
    long = "2.16.840.1.113883.3.1833.2.9.7.17.1236.1604704322"
    assert row(oru(pid=f"{'9' * 29}0^^^&{long}&ISO^MR"))["person"] != here


@pytest.mark.parametrize(
    "pid",
    [
        *(
            "",
            "REDACTED^^^Hospital^MR",
            "999-99-9999^^^Hospital^PI",
            "Unknown",
            '""',
            "S-1^^^Lab^SID",
            "0^^^H^MR",
        ),
        *("a-FILL-1", "SPEC-1", "2022@MSG-0001"),
    ],
)
def test_nobody_is_invented_where_no_identifier_names_a_person(pid: str) -> None:
    """A number of the specimen, the order or the message, without a type, names those and no person."""
    found = refusal(oru(pid=pid, order="FILL-1", specimen="SPEC-1"))
    assert (found.code, found.path) == (Code.NO_PERSON, "message[1].PID-3")


def test_a_message_without_a_patient_names_nobody() -> None:
    assert refusal(re.sub(r"PID[^\r]*\r", "", oru())).code is Code.NO_PERSON


def test_a_wrong_check_digit_is_refused_even_beside_a_local_number() -> None:
    """Falling back would make another person of the same human, and the result would never reach them."""
    wrong = RESIDENT[:-1] + ("0" if RESIDENT[-1] != "0" else "1")
    found = refusal(oru(pid=f"0042^^^Hospital^MR~{wrong}^^^^NI"))
    assert (found.code, found.path) == (Code.BAD_ID_NUMBER, "message[1].PID-3[2]")


def test_two_resident_numbers_in_one_patient_are_refused() -> None:
    other = "11999919900101002" + check_character("11999919900101002")
    assert refusal(oru(pid=f"{RESIDENT}^^^^NI~{other}^^^^NI")).code is Code.BAD_ID_NUMBER
    assert row(oru(pid=f"{RESIDENT}^^^^NI~{RESIDENT}^^^^NI"))["person"] == KEYER.key("10", RESIDENT)


# ----------------------------------------------------------------------------------------------------- times


def test_a_time_without_offset_takes_the_offset_of_the_message() -> None:
    found = row(oru(sent="20220425130000+0900", sampled="20220425080000", reported="20220425123000"))
    assert found["sampled_at"] == moment("2022-04-25T08:00:00+09:00")


def test_a_time_without_any_offset_takes_the_zone_of_the_feed_or_is_refused() -> None:
    bare = oru(
        obx(observed="20220425080000", analysed=""),
        sent="20220425130000",
        sampled="20220425080000",
        reported="20220425123000",
    )
    assert refusal(bare).code is Code.TIME_WITHOUT_OFFSET
    found = row(bare, default_zone="Asia/Shanghai")
    assert found["reported_at"] == moment("2022-04-25T12:30:00+08:00")


def test_a_day_without_time_is_its_first_moment() -> None:
    """The sample never looks fresher than it is, and a look-back window never begins too late."""
    found = row(oru(sampled="20220425", sent="20220425130000+0800"))
    assert found["sampled_at"] == moment("2022-04-25T00:00:00+08:00")
    night = row(oru(sampled="20220425", sent="20220425130000"), default_zone="Asia/Shanghai")
    assert night["sampled_at"] == moment("2022-04-25T00:00:00+08:00")


def test_a_report_that_is_only_dated_gives_way_to_a_time_that_says_more() -> None:
    assert row(oru(reported="20220425"))["reported_at"] == moment("2022-04-25T12:00:00+08:00")
    dated = oru(obx(analysed=""), reported="20220425", sent="")
    assert refusal(dated).code is Code.TIME_WITHOUT_OFFSET
    found = row(dated, default_zone="Asia/Shanghai")
    assert found["reported_at"] == found["sampled_at"] == moment("2022-04-25T08:00:00+08:00")


@pytest.mark.parametrize(
    "reported", ["0000", "2022", "202204", "20220230", "2022042512300", "soon", "20220425+9900"]
)
def test_a_time_that_is_none_is_refused_and_not_replaced(reported: str) -> None:
    found = refusal(oru(reported=reported))
    assert (found.code, found.path) == (Code.BAD_TIME, "message[1].OBR-22")


def test_a_sample_taken_after_its_report_is_refused() -> None:
    assert refusal(oru(sampled="20220426080000+0800")).code is Code.ENDS_BEFORE_START


# ------------------------------------------------------------------------------------------ files and frames


def header(kind: str) -> str:
    return f"{kind}|^~\\&|LIS|Lab One|KANGMA|CDC|20220425\r"


BATCH = header("FHS") + header("BHS") + oru() + oru(order="F-2", control="MSG-0002") + "BTS|2\rFTS|1\r"


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_line_ends_do_not_matter(end: str) -> None:
    assert read(BATCH.replace("\r", end)) == read(BATCH)
    assert len(read(BATCH)[0]) == 2


def test_a_refusal_names_the_line_of_the_file_whatever_its_line_ends() -> None:
    wrong = oru(obx(status="Q"))
    for end in ("\r", "\n", "\r\n"):
        source = (oru() + "\r\r" + wrong).replace("\r", end)
        (found,) = read(source)[1]
        assert (found.line, found.path) == (5 + 2 + 4, "message[2].OBX[1]-11")


def test_frames_and_marks_around_messages_do_not_matter() -> None:
    plain = oru() + oru(order="F-2")
    framed = frame(oru().encode()) + frame(oru(order="F-2").encode())
    assert read(framed)[0] == read(plain)[0]
    assert read(b"\xef\xbb\xbf" + plain.encode())[0] == read(plain)[0]


def test_a_frame_without_its_end_is_cut_off_and_its_neighbour_is_not() -> None:
    accepted, refused = read(frame(oru().encode()) + frame(oru(order="F-2").encode())[:-40])
    assert (len(accepted), [r.code for r in refused]) == (1, [Code.CUT_OFF])


def test_odd_encoding_characters_are_the_messages_own() -> None:
    for mine in ("^~\\&#", "$%*@"):
        text = oru().replace("&", "\0")
        for old, new in zip("^~\\\0", mine, strict=False):
            text = text.replace(old, new)
        assert row(text.replace("\0", "&")) == row(oru())
    assert row(oru().replace("|", "!")) == row(oru())


def test_escapes_are_undone() -> None:
    found = row(oru(obx(lab="A \\T\\ B\\X41\\ \\F\\ \\.br\\C \\")))
    assert found["lab"] == "A & BA | C \\"


def test_chinese_in_its_own_character_set_is_read() -> None:
    text = oru(obx(lab="朝阳区实验室")).replace("|2.5.1", "|2.5.1||||||GB 18030-2000")
    assert row(text.encode("gb18030"))["lab"] == "朝阳区实验室"
    assert refusal(oru(obx(lab="朝阳区实验室")).encode("gb18030")).code is Code.NOT_UTF8
    assert refusal(text.replace("GB 18030-2000", "BIG-5")).code is Code.UNSUPPORTED_MESSAGE


@pytest.mark.parametrize("trailer", ["BTS|3\rFTS|1\r", "BTS|1\rFTS|1\r", "BTS|2\rFTS|2\r"])
def test_a_batch_that_counts_otherwise_than_its_trailer_is_refused_whole(trailer: str) -> None:
    with pytest.raises(Refused) as caught:
        next(read_hl7v2(BATCH.replace("BTS|2\rFTS|1\r", trailer).encode(), keyer=KEYER, limits=DEFAULT))
    assert caught.value.code is Code.MANIFEST_MISMATCH


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (b"", Code.UNREADABLE),
        (b"\r\n\r\n", Code.UNREADABLE),
        (b"name,result\n", Code.UNREADABLE),
        (b"PID|1\r" + oru().encode(), Code.UNREADABLE),
        (BATCH[: BATCH.index("BTS")].encode(), Code.CUT_OFF),
        (b"\x00" * 1_000, Code.UNREADABLE),
    ],
)
def test_a_file_that_is_none_is_refused_whole(source: bytes, code: Code) -> None:
    with pytest.raises(Refused) as caught:
        read(source)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (oru(event="ADT^A01"), Code.UNSUPPORTED_MESSAGE),
        (oru(version="2.8"), Code.UNSUPPORTED_MESSAGE),
        (oru(processing="T"), Code.UNSUPPORTED_MESSAGE),
        (oru(processing="D"), Code.UNSUPPORTED_MESSAGE),
        (oru().replace("OBR|", "PID|2||x\rOBR|"), Code.UNSUPPORTED_MESSAGE),
        (oru().replace("^~\\&", "^^\\&", 1), Code.BAD_MESSAGE),
        (oru().replace("^~\\&", "abcd", 1), Code.BAD_MESSAGE),
        ("MSH\r", Code.BAD_MESSAGE),
        (oru().replace("SPM|", "a line of text\rSPM|"), Code.BAD_MESSAGE),
        (re.sub(r"OBR[^\r]*\r", "", oru()), Code.BAD_MESSAGE),
        (re.sub(r"OB[RX][^\r]*\r", "", oru()), Code.NOT_A_RESULT),
        (oru(obx(value="")), Code.MISSING_VALUE),
        (oru(obx(value="23.5", kind="NM")), Code.BAD_VALUE),
        (oru(obx(value="260415000^^SCT~260373001^^SCT")), Code.BAD_VALUE),
        (oru(order="", specimen=None).replace("|P-1|", "||"), Code.MISSING_VALUE),
    ],
)
def test_a_message_that_cannot_be_taken_says_why_and_its_neighbours_go_on(source: str, code: Code) -> None:
    accepted, refused = read(oru(order="F-0") + source + oru(order="F-9"))
    assert [r.code for r in refused] == [code]
    assert [r["document_id"].split("|")[1] for r in accepted] == ["F-0", "F-9"]
    assert refused[0].row == 2
    assert refused[0].line is not None
    assert (refused[0].raw or "").replace("\n", "\r").strip() == source.strip()


def test_training_messages_are_taken_where_the_caller_means_them() -> None:
    assert row(oru(processing="T"), processing=frozenset({"P", "T"}))["result"] == "negative"


@settings(max_examples=25, deadline=None)
@given(st.randoms(), st.integers(1, 5))
def test_how_messages_are_cut_into_files_does_not_matter(dice: random.Random, files: int) -> None:
    messages = [
        oru(order=f"F-{i % 7}", processing="T" if i % 5 == 0 else "P", sent=f"202204251300{i:02}+0800")
        for i in range(20)
    ]
    whole = Counter(map(repr, read("".join(messages))[0]))
    dice.shuffle(messages)
    cut = Counter[str]()
    for i in range(files):
        cut.update(map(repr, read("".join(messages[i::files]))[0]))
    assert cut == whole


def test_one_order_that_stands_twice_is_one_result() -> None:
    """Two answers under one number must not hide each other: together they are inconclusive."""
    segments = oru(obx(value="260373001^Detected^SCT")).strip().split("\r")
    twice = [*segments, segments[2], obx(), segments[4]]
    assert row("\r".join(twice) + "\r")["result"] == "invalid"


def test_limits_hold_for_one_message_and_for_the_file() -> None:
    assert refusal(oru(), limits=Limits(message_bytes=300)).code is Code.TOO_MANY_BYTES
    assert refusal(oru(), limits=Limits(line_bytes=100)).code is Code.LINE_TOO_LONG
    assert refusal(oru(obx(lab="x" * 5_000))).code is Code.VALUE_TOO_LONG
    assert refusal(oru(pid="~" * 900_000)).code is Code.VALUE_TOO_LONG
    assert refusal(oru() + "NTE|1\r" * 20_000).code is Code.TOO_MANY_ROWS
    for limits, code in ((Limits(rows=1), Code.TOO_MANY_ROWS), (Limits(file_bytes=99), Code.TOO_MANY_BYTES)):
        with pytest.raises(Refused) as caught:
            read(BATCH, limits=limits)
        assert caught.value.code is code


def test_a_long_message_is_written_back_once_however_often_it_is_refused() -> None:
    refused = read(oru(*(obx(status="Q") + f"\rOBR|2||G-{i}" for i in range(50))))[1]
    assert sum(r.raw is not None for r in refused) == 1


def test_thousands_of_messages_come_in_bounded_batches() -> None:
    found = batches(oru() * 8_200)
    assert sum(b.received for b in found) == 8_200
    assert max(b.received for b in found) <= 8_192


# --------------------------------------------------------------------------------------------------- answers


def test_the_answer_names_the_message_and_turns_round_sender_and_receiver() -> None:
    answer = hl7.parse(ack(oru().encode(), "AA", now=moment("2022-04-25T13:00:00+08:00")).decode())
    msh, msa = answer.segment("MSH"), answer.segment("MSA")
    assert [str(msh[i]) for i in (3, 4, 5, 6)] == ["KANGMA", "CDC", "LIS", "Lab One^2.999.1^ISO"]
    assert str(msh[7]) == "20220425050000+0000"
    assert str(msh[9]) == "ACK^R01^ACK"
    assert (str(msh[11]), str(msh[12])) == ("P", "2.5.1")
    assert (str(msa[1]), str(msa[2])) == ("AA", "MSG-0001")


def test_an_older_sender_gets_an_answer_of_its_version_with_the_reason_escaped() -> None:
    answer = ack(frame(oru(version="2.3").encode()), "AE", "no_person: PID-3 | ^ \\", now=0).decode()
    assert "|ACK^R01|" in answer
    assert answer.endswith("MSA|AE|MSG-0001|no_person: PID-3 \\F\\ \\S\\ \\E\\\r")


def test_answering_twice_is_answering_the_same() -> None:
    assert ack(oru().encode(), "AR", "x", now=5) == ack(oru().encode(), "AR", "x", now=5)
    with pytest.raises(Refused):
        ack(b"not a message", "AA", now=0)


@given(
    st.lists(st.binary(max_size=30).filter(lambda b: b"\x0b" not in b and b"\x1c" not in b)),
    st.binary(max_size=5),
)
def test_frames_come_apart_as_they_were_put_together(messages: list[bytes], noise: bytes) -> None:
    noise = noise.replace(b"\x0b", b"")
    stream = noise.join(frame(m) for m in messages)
    assert unframe(stream) == (messages, b"")
    assert unframe(stream + b"\x0bhalf") == (messages, b"\x0bhalf")


# ------------------------------------------------------------------------------------------ hostile and real


def test_no_refusal_carries_anything_of_a_person() -> None:
    secret = ["康某某", RESIDENT, "13900000000", "Synthetic"]
    dice = random.Random(7)
    for _ in range(500):
        text = mutated(
            oru(obx(value="康某某 13900000000", kind="ST"), pid=f"{RESIDENT}^^^康某某^NI").encode(),
            dice,
            PIECES,
        )
        told: list[Any] = []
        try:
            told += [(r, r.hint, r.path, r.column) for r in read(text)[1]]
        except Refused as problem:
            told.append(str(problem))
        assert not any(s in str(told) for s in secret)


PIECES = [
    b"|",
    b"^",
    b"~",
    b"&",
    b"\\",
    b"\r",
    b"\n",
    b"MSH|",
    b"OBX|",
    b"\x0b",
    b"\x1c\r",
    b"\xff",
    b'""',
    b"\\X4",
    b"\0",
]


SEEDS = [
    oru().encode(),
    BATCH.encode(),
    oru(
        obx(value="阳性", kind="ST"), obx("94558-4^Ag^LN", number=2), pid="0042^^^H&1.2&ISO^MR~x^^^^PPN"
    ).encode(),
    frame(oru(obx(lab="A \\T\\ B")).encode()),
]


def survives(rounds: int, seed: int, slowest: float | None = None) -> Counter[str]:
    dice = random.Random(seed)

    def outcome(source: bytes) -> list[str]:
        accepted, refused = read(source, default_zone=dice.choice([None, "Asia/Shanghai"]))
        return ["accepted"] * len(accepted) + [str(r.code) for r in refused]

    return ends((mutated(SEEDS[i % len(SEEDS)], dice, PIECES) for i in range(rounds)), outcome, slowest)


def test_two_thousand_spoiled_messages_end_in_rows_or_refusals() -> None:
    found = survives(2_000, seed=20220425)
    assert found["accepted"] > 500
    assert len(found) >= 12, found


@pytest.mark.prove
def test_two_hundred_thousand_spoiled_messages_end_within_a_tenth_of_a_second_each() -> None:
    survives(200_000, seed=2, slowest=0.1)


@pytest.mark.parametrize("mark", "|^~&\\")
def test_a_segment_of_separators_costs_no_more_than_its_bytes(mark: str) -> None:
    bomb = oru(obx(value=mark * 900_000))
    assert len(read(bomb)[1]) + len(read(bomb)[0]) == 1


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40).filter(lambda t: "\\" not in t))
def test_our_splitting_is_that_of_the_hl7_library(value: str) -> None:
    same_as_library(oru(obx(value=value)))


def same_as_library(text: str) -> None:
    """Every segment, field, repetition, component and subcomponent, against the library as oracle."""
    ours, theirs = parse_message(text.replace("\r", "\n")), hl7.parse(text)
    assert len(ours.segments) == len(theirs)
    for mine, other in zip(ours.segments, theirs, strict=True):
        assert len(mine.fields) == len(other)
        for number in range(len(other)):
            assert mine.raw(number) == str(other[number])
            if mine.name == "MSH" and number < 3:
                continue
            for field, repetition in zip(ours.repetitions(mine, number), other[number], strict=True):
                assert field == str(repetition)
                parts = repetition if isinstance(repetition, list) else [repetition]
                for i, part in enumerate(parts, 1):
                    subs = part if isinstance(part, list) else [part]
                    for j, sub in enumerate(subs, 1):
                        expected = "" if sub.strip() == '""' else ours.unescape(sub).strip()
                        assert ours.piece(field, i, j) == expected


real = pytest.mark.skipif(not REAL.exists(), reason="the official messages are not here (KANGMA_DATA)")


def documented() -> dict[str, list[str]]:
    """The table of docs/formats/hl7v2.md: file → its outcomes in order, production only and zone-less."""
    table: dict[str, list[str]] = {}
    for line in FORMAT.read_text(encoding="utf-8").splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if len(cells) == 4 and re.fullmatch(r"`[^`]+\.(txt|hl7)`", cells[0]):
            table[cells[0].strip("`")] = re.findall(r"`([^`]+)`", cells[1])
    return table


def outcomes(source: bytes, **how: Any) -> list[str]:
    accepted, refused = read(source, **how)
    return [f"{r['method']} {r['result']}" for r in accepted] + [str(r.code) for r in refused]


@real
@pytest.mark.real_data
def test_each_of_the_14_real_files_ends_as_the_table_says() -> None:
    files = sorted(f for f in REAL.iterdir() if f.suffix in (".txt", ".hl7"))
    assert len(files) == 14
    assert {f.name: outcomes(f.read_bytes()) for f in files} == documented()


@real
@pytest.mark.real_data
def test_training_messages_among_the_real_files_are_read_when_they_are_meant() -> None:
    everything = {"default_zone": "America/New_York", "processing": frozenset("PTD")}

    def found(name: str) -> list[str]:
        return outcomes((REAL / name).read_bytes(), **everything)

    assert found("WI_v231.txt") == ["nat negative"]
    assert found("RawHL7DataCELR.txt") == ["nat invalid"]
    assert found("COVID19_ELR_01.hl7") == ["no_person"]
    assert found("covid25.txt") == ["not_a_result"]
    batch = ["nat negative", "nat negative", "nat invalid", "no_person", "not_a_result"]
    assert found("phlip-flu-batch.txt") == batch


@real
@pytest.mark.real_data
def test_the_library_splits_the_real_messages_as_we_do() -> None:
    for file in REAL.iterdir():
        if file.suffix in (".txt", ".hl7"):
            text = re.sub(r"\r\n|\n", "\r", file.read_text(encoding="utf-8"))
            for message in re.split(r"\r(?=MSH\|)", text.strip("\r")):
                same_as_library(re.sub(r"\r+", "\r", message))
