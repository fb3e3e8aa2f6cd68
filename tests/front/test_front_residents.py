"""What residents see of themselves, their devices, those in their care, and leaving."""

from __future__ import annotations

import base64
import io
import re
import threading
import zlib
from typing import Any

import httpx2
import pytest
import zxingcpp
from hamlet import (
    CASE,
    CHILD,
    ELDER,
    NOW,
    NURSE,
    STRANGER,
    TEACHER,
    Hamlet,
    Person,
    people,
    phone_key,
)
from PIL import Image
from printed import said_on, seen_on
from test_front_walk import door_of

from kangma.credential import holder, issue, qr
from kangma.credential.outcome import NotVerified, Reason, Verified
from kangma.gateway.front.people.sheet import picture, sheet


def holders(n: int = 1) -> tuple[list[Any], dict[str, list[str]]]:
    keys = [phone_key() for _ in range(n)]
    return keys, {"holders": [k.public.compressed.hex() for k in keys]}


def credential(client: httpx2.Client, path: str = "/v1/me/credentials", *, now: int = NOW) -> str:
    """Today's, as it is shown at a door."""
    keys, asked = holders()
    made = client.post(path, json=asked)
    assert made.status_code == 201, made.text
    signed = base64.urlsafe_b64decode(made.json()["credentials"][0]["text"] + "==")
    return issue.shown(signed, holder.prove(signed, holder.step_of(now), keys[0]))


def test_a_nurse_reads_her_tests_doses_and_visits(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    (test,) = phone.get("/v1/me/tests").json()["tests"]
    assert (test["result"], test["reported_at"]) == ("negative", "2022-04-25T03:00:00+08:00")
    doses = phone.get("/v1/me/vaccinations").json()["vaccinations"]
    assert [(d["dose"], d["given_on"]) for d in doses] == [(2, "2021-02-10"), (1, "2021-01-10")]
    (visit,) = phone.get("/v1/me/visits").json()["visits"]
    assert (visit["place"], visit["entered_at"]) == ("样本食堂", "2022-04-24T13:00:00+08:00")
    assert phone.get("/v1/me/looks").json() == {"looks": []}


def test_the_export_has_all_of_it_and_nobody_else(door: Hamlet) -> None:
    said = door.resident(TEACHER).get("/v1/me/export")
    assert said.status_code == 200
    whole = said.json()
    assert whole["code"]["notices"][0]["code"] == "3"
    assert [v["place"] for v in whole["visits"]] == ["样本食堂"]
    assert len(whole["devices"]) == 1
    for person in (CASE, NURSE, CHILD):
        for secret in (person.id_number, person.name, person.phone):
            assert secret not in said.text
    assert "C1" not in said.text  # whose case it was is not theirs to read


def test_a_phone_that_is_bound_has_its_first_answer_as_soon_as_there_is_one(door: Hamlet) -> None:
    door.city.fill_seconds, there = 60.0, threading.Event()

    def answers() -> None:
        while not there.wait(0.05):
            door.answers.turn()

    preparing = threading.Thread(target=answers)
    preparing.start()
    try:
        phone = door.client(door.bound_without_answers(NURSE)["token"])
    finally:
        there.set()
        preparing.join()
    assert phone.get("/v1/me/code").status_code == 200


# devices ---------------------------------------------------------------------------------------------------------------


def test_a_lost_phone_is_shut_out_and_its_code_is_refused_at_the_door(door: Hamlet) -> None:
    gone = door.bound(NURSE)
    lost = door.client(gone["token"])
    shown = credential(lost)
    key = phone_key()
    held = door.bound(NURSE, key)
    kept = door.client(held["token"])
    two = kept.get("/v1/me/devices").json()["devices"]
    assert len(two) == 2
    assert kept.delete(f"/v1/me/devices/{'0' * 16}").status_code == 422
    assert {d["device"] for d in two} == {gone["device"], held["device"]}  # each was told which one it is
    assert kept.delete(f"/v1/me/devices/{gone['device']}").status_code == 204
    at = door.clock.now
    signature = key.sign(f"KM1 token {held['resident']} {at}".encode()).hex()
    body = {"resident": held["resident"], "at": at, "signature": signature}
    renewed = door.client().post("/v1/tokens", json=body)
    assert renewed.json()["device"] == held["device"]
    for old in (lost, kept):
        assert old.get("/v1/me/code").status_code == 401
    phone = door.client(renewed.json()["token"])
    assert phone.get("/v1/me/code").status_code == 200

    now = door.clock.now
    assert isinstance(door_of(door.client()).verify(shown, now=now), Verified)  # until the next release
    door.cycle(after=10)
    found = door_of(door.client()).verify(shown, now=door.clock.now)
    assert isinstance(found, NotVerified)
    assert found.reason is Reason.WITHDRAWN
    fresh = credential(phone, now=door.clock.now)
    door.cycle(after=10)
    assert isinstance(door_of(door.client()).verify(fresh, now=door.clock.now), Verified)


def test_a_sixth_device_takes_the_place_of_the_one_not_seen_for_longest(door: Hamlet) -> None:
    tokens = []
    for _ in range(6):
        door.clock.now += 3_600
        tokens.append(door.bound(NURSE)["token"])
    assert [door.client(t).get("/v1/me/code").status_code for t in tokens] == [401] * 5 + [200]
    assert len(door.client(tokens[-1]).get("/v1/me/devices").json()["devices"]) == 5


def test_who_leaves_has_no_token_no_answer_and_no_code_and_may_come_back(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    shown = credential(phone)
    assert phone.delete("/v1/me").status_code == 204
    assert phone.get("/v1/me/code").status_code == 401
    assert phone.get("/v1/me/tests").status_code == 401
    door.cycle(after=10)
    assert door.city.slots.answer(1) is None
    found = door_of(door.client()).verify(shown, now=door.clock.now)
    assert isinstance(found, NotVerified)
    assert found.reason is Reason.WITHDRAWN
    again = door.resident(NURSE)
    assert again.get("/v1/me/code").json()["colour"] == "green"
    assert phone.get("/v1/me/code").status_code == 401  # the old token stays dead


# paper -----------------------------------------------------------------------------------------------------------------


def test_paper_comes_as_text_picture_and_page_and_is_believed_from_the_next_release(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    said = phone.post("/v1/me/paper")
    assert said.status_code == 201, said.text
    paper = said.json()
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(paper["png"]))))
    assert read.text == paper["text"]
    assert paper["valid_until"] == "2022-05-23T00:00:00+08:00"
    picture = phone.post("/v1/me/paper", headers={"accept": "image/png"})
    assert (picture.status_code, picture.headers["content-type"]) == (201, "image/png")
    page = phone.post("/v1/me/paper", headers={"accept": "application/pdf"})
    assert page.content.startswith(b"%PDF-1.4")
    (read,) = zxingcpp.read_barcodes(seen_on(base64.b64decode(paper["pdf"])))
    assert read.text == paper["text"]
    door.cycle(after=10)
    found = door_of(door.client()).verify(paper["text"], now=door.clock.now)
    assert isinstance(found, Verified)
    assert (found.kind.name, found.colour) == ("PAPER", "green")


def test_the_page_for_paper_is_a_pdf_whose_symbol_can_be_read(door: Hamlet) -> None:
    page = sheet("KM1:" + "ABC1" * 80, mask="(A)\\", until="2022-05-22")
    places = page[page.rindex(b"startxref") :].split()[1]
    assert page[int(places) :].startswith(b"xref\n0 10\n")
    for number, line in enumerate(page[int(places) :].split(b"\n")[3:12], 1):
        assert page[int(line[:10]) :].startswith(b"%d 0 obj" % number)
    (read,) = zxingcpp.read_barcodes(seen_on(page))
    assert read.text == "KM1:" + "ABC1" * 80


SAID = (
    "纸质健康码", "Health code on paper", "持有人 Holder: 张*伟", "有效期至 Good until the end of: 2022-05-22",
    "2  请持有人出示身份证或护照，与核验页上显示的姓名比对。",
    "Ask for the holder's ID card or passport. Compare the name on it with the one on the page.",
    "急诊、回家和去采样点，不得拒绝。", "Emergency care, going home and test sites are never refused.",
)  # fmt: skip


def test_the_sheet_says_in_both_languages_what_it_is_and_what_a_guard_compares() -> None:
    page = sheet("KM1:" + "ABC1" * 80, mask="张*伟", until="2022-05-22")
    lines = said_on(page)
    assert [said for said in SAID if said not in lines] == []
    title = re.search(rb"/Title <([0-9a-f]+)>", page)
    assert title is not None
    assert bytes.fromhex(title[1].decode()).decode("utf-16") == "纸质健康码 Health code on paper"
    assert b"/DisplayDocTitle true" in page


def test_the_sheet_brings_no_letters_of_anybodys_font() -> None:
    page = sheet("KM1:ABC", mask="张*", until="2022-05-22")
    assert b"/FontFile" not in page
    assert page.count(b"stream\n") == 2  # begin and end of the content, and of nothing else
    names = set(re.findall(rb"/BaseFont /([^ ]+) ", page))
    assert names == {b"Helvetica", b"STSong-Light", b"STSong-Light-UniGB-UCS2-H"}
    assert b"/Encoding /UniGB-UCS2-H" in page
    assert b"/Registry (Adobe) /Ordering (GB1) /Supplement 4" in page


def test_who_has_no_chinese_font_still_reads_all_of_the_english() -> None:
    (content,) = re.findall(rb"stream\n(.*)\nendstream", sheet("KM1:A", mask="张*", until="2022-05-22"), re.S)
    without = [
        "".join(
            bytes.fromhex(code).decode("ascii") for code in re.findall(r"/F [0-9]+ Tf <([0-9a-f]+)>", line)
        )
        for line in zlib.decompress(content).decode().split("\n")
    ]
    assert [said for said in SAID if said.isascii() and said not in without] == []
    assert " Holder: *" in without
    assert " Good until the end of: 2022-05-22" in without


def test_the_picture_says_it_in_english_and_its_symbol_is_drawn_pixel_by_pixel() -> None:
    text = "KM1:" + "ABC1" * 80
    made = Image.open(io.BytesIO(picture(text, mask="M.L.", until="2022-05-22"))).convert("L")
    (read,) = zxingcpp.read_barcodes(made)
    assert read.text == text
    plain = Image.open(io.BytesIO(qr.png(text))).convert("L")
    corner, edge = read.position.top_left, qr.QUIET * 8
    near = [(corner.x - edge + x, corner.y - edge + y) for x in range(-8, 9) for y in range(-8, 9)]
    cuts = (made.crop((x, y, x + plain.width, y + plain.height)) for x, y in near)
    assert any(cut.tobytes() == plain.tobytes() for cut in cuts), "the symbol is not drawn pixel by pixel"
    for words in ((0, 0, made.width, corner.y - edge), (0, corner.y + plain.height, made.width, made.height)):
        assert made.crop(words).histogram()[0] > 2_000, "nothing is written there"
    *_, right, _ = Image.eval(made, lambda grey: 255 - grey).getbbox() or (0, 0, made.width, 0)
    assert right < made.width - 20, "a line runs off the picture"


@pytest.mark.parametrize(
    ("mask", "drawn", "in_latin"),
    [
        ("张*伟", "张*伟", "*"),
        ("阿*·买*", "阿*·买*", "*"),
        ("M.L.", "M.L.", "M.L."),
        ("Ø.", "Ø.", "*"),
        ("*", "*", "*"),
        ("龘*", "龘*", "*"),
        ("𠀀*", "*", "*"),
        ("欧阳*𠀀", "*", "*"),
        ("한*", "*", "*"),
        ("张\n*", "*", "*"),
    ],
)
def test_a_letter_that_cannot_be_drawn_is_hidden_and_nothing_false_is_said(
    mask: str, drawn: str, in_latin: str
) -> None:
    page = sheet("KM1:ABC", mask=mask, until="2022-05-22")
    assert [line for line in said_on(page) if "Holder" in line] == [f"持有人 Holder: {drawn}"]
    made, other = (picture("KM1:ABC", mask=one, until="2022-05-22") for one in (mask, in_latin))
    assert made == other


# others ----------------------------------------------------------------------------------------------------------------


def test_a_mother_shows_her_childs_code_and_the_look_is_seen(door: Hamlet) -> None:
    phone = door.resident(TEACHER)
    assert phone.post("/v1/me/children", json=CHILD.asked).status_code == 201
    (child,) = phone.get("/v1/me/others").json()["others"]
    assert (child["other"], child["how"]) == (1, "guardian")
    code = phone.get("/v1/me/others/1/code").json()
    assert code["colour"] == "green"
    assert code["name_mask"] == child["name_mask"]
    shown = credential(phone, "/v1/me/others/1/credentials")
    door.cycle(after=10)
    found = door_of(door.client()).verify(shown, now=door.clock.now)
    assert isinstance(found, Verified)
    assert found.kind.name == "PROXY"
    looks = door.resident(CHILD).get("/v1/me/looks").json()["looks"]
    assert [(x["who"], x["purpose"]) for x in looks] == [("guardian", "show")] * 2


@pytest.mark.parametrize("other", [NURSE, STRANGER, CASE], ids=["of nobody", "not known", "a case"])
def test_who_is_nobodys_guardian_learns_nothing(door: Hamlet, other: Person) -> None:
    phone = door.resident(TEACHER)
    said = phone.post("/v1/me/children", json=other.asked)
    assert said.status_code == 422
    assert said.json()["code"] == "no_person"
    nurse = door.resident(NURSE).post("/v1/me/children", json=CHILD.asked)
    assert nurse.content == said.content  # a child of others is answered as nobody


@pytest.mark.parametrize("midnight", [False, True])
def test_a_guardian_who_is_one_no_more_shows_the_child_no_more(door: Hamlet, midnight: bool) -> None:
    """The register names another guardian, and then none."""

    def registered(version: int, guardian: str) -> Any:
        row = next(x for x in people()["people"] if x["id_number"] == CHILD.id_number)
        guarded = {"guardian_id_type": guardian and "20", "guardian_id_number": guardian}
        return {"people": [row | guarded | {"document_version": version}]}

    mother, father = door.resident(TEACHER), door.resident(NURSE)
    mother.post("/v1/me/children", json=CHILD.asked)
    door.cycle(registered(1, TEACHER.id_number))  # as it was
    assert mother.get("/v1/me/others/1/code").status_code == 200

    door.cycle(registered(2, NURSE.id_number), after=86_400 if midnight else 60)
    assert mother.get("/v1/me/others").json() == {"others": []}
    assert mother.get("/v1/me/others/1/code").status_code == 404
    assert mother.post("/v1/me/children", json=CHILD.asked).status_code == 422
    assert father.post("/v1/me/children", json=CHILD.asked).status_code == 201
    assert father.get("/v1/me/others/1/code").status_code == 200

    door.cycle(registered(3, ""))
    assert father.get("/v1/me/others").json() == {"others": []}


def test_an_elder_agrees_by_a_code_and_can_end_it(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    said = phone.post("/v1/me/others", json=ELDER.asked)
    assert said.status_code == 202
    door.city.outbox.empty()
    letter = door.letters.sent[-1]
    assert (letter.to, letter.why) == (ELDER.phone, "consent")
    binding = said.json()["binding"]
    path = f"/v1/me/others/{binding}/confirm"
    # What was asked for one resident serves no other, and binds no device.
    assert door.resident(TEACHER).post(path, json={"code": letter.code}).status_code == 422
    key = phone_key().public.compressed.hex()
    bind = door.client().post(
        f"/v1/bindings/{binding}/confirm", json={"code": letter.code, "device_key": key}
    )
    assert bind.status_code == 422
    assert phone.post(path, json={"code": letter.code}).status_code == 201
    assert phone.get("/v1/me/others/1/code").status_code == 200
    elder = door.resident(ELDER)
    (carer,) = elder.get("/v1/me/carers").json()["carers"]
    assert carer["how"] == "consent"
    assert elder.delete(f"/v1/me/carers/{carer['carer']}").status_code == 204
    assert phone.get("/v1/me/others/1/code").status_code == 404
    assert phone.get("/v1/me/others").json() == {"others": []}


def test_a_stranger_is_asked_as_politely_as_anybody(door: Hamlet) -> None:
    phone = door.resident(NURSE)
    known = phone.post("/v1/me/others", json=ELDER.asked)
    other = phone.post("/v1/me/others", json=STRANGER.asked)
    assert (known.status_code, len(known.content)) == (other.status_code, len(other.content))


def test_who_was_dropped_is_shown_no_more(door: Hamlet) -> None:
    phone = door.resident(TEACHER)
    phone.post("/v1/me/children", json=CHILD.asked)
    assert phone.delete("/v1/me/others/1").status_code == 204
    assert phone.delete("/v1/me/others/1").status_code == 422
    assert phone.post("/v1/me/others/1/credentials", json=holders()[1]).status_code == 404
    assert phone.get("/v1/me/others/5/code").status_code == 422
