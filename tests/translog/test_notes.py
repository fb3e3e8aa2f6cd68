"""Signed notes: the published examples byte for byte, and nothing else that looks like one."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_log import signer

from kangma.errors import Code, Refused
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.translog import note

# Published with golang.org/x/mod/sumdb/note: a text, two keys and their signatures.
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER = note.Key.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
ENOCH = note.Key.parse("EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
BY_PETER = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
BY_ENOCH = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"


def _note(*lines: str) -> bytes:
    return f"{TEXT}\n{''.join(lines)}".encode()


def test_the_published_note_is_signed_byte_for_byte() -> None:
    peter = KeySigner(Algorithm.EDDSA, b64decode(SECRET)[1:], Environment.TEST)
    assert peter.public == PETER.public
    assert note.sign(TEXT, ("PeterNeumann", peter)).to_bytes() == _note(BY_PETER)


def test_the_published_note_is_believed_from_those_who_signed_it() -> None:
    both = note.opened(_note(BY_PETER, BY_ENOCH))
    assert both.text == TEXT
    assert both.verified([PETER]) == (PETER,)
    assert both.verified([ENOCH, PETER]) == (PETER, ENOCH)
    assert both.to_bytes() == _note(BY_PETER, BY_ENOCH)


def test_the_example_of_the_specification_is_read() -> None:
    content = (
        "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
        "— quasimodo.example/salvatore "
        "NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
    ).encode()
    found = note.opened(content)
    assert found.text.endswith("\n\ned è subito sera.\n")
    assert [line.name for line in found.lines] == ["quasimodo.example/salvatore"]
    assert found.to_bytes() == content


def test_nobody_is_believed_without_a_known_signature() -> None:
    for keys in ([], [ENOCH]):
        with pytest.raises(Refused) as refused:
            note.opened(_note(BY_PETER)).verified(keys)
        assert refused.value.code is Code.UNKNOWN_KEY


def test_a_changed_text_is_found_even_beside_a_good_signature() -> None:
    other = note.opened(_note(BY_PETER).replace(b"cryptography", b"cryptographY"))
    with pytest.raises(Refused) as refused:
        other.verified([PETER])
    assert refused.value.code is Code.BAD_SIGNATURE
    wrong = note.Line("EnochRoot", ENOCH.id, bytes(64))
    with pytest.raises(Refused) as refused:
        note.opened(_note(BY_PETER, str(wrong))).verified([PETER, ENOCH])
    assert refused.value.code is Code.BAD_SIGNATURE
    assert note.opened(_note(BY_PETER, str(wrong))).verified([PETER]) == (PETER,)


def test_a_name_or_an_id_alone_is_not_a_known_key() -> None:
    for line in (note.Line("PeterNeumann", ENOCH.id, bytes(64)), note.Line("Petra", PETER.id, bytes(64))):
        with pytest.raises(Refused) as refused:
            note.opened(_note(str(line))).verified([PETER, ENOCH])
        assert refused.value.code is Code.UNKNOWN_KEY


def test_equal_lines_count_once_and_a_hundred_are_enough() -> None:
    assert len(note.opened(_note(BY_PETER, BY_PETER)).lines) == 1
    note.opened(_note(*[BY_PETER] * 100))
    with pytest.raises(Refused):
        note.opened(_note(*[BY_PETER] * 101))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        TEXT.encode(),
        f"{TEXT}\n".encode(),
        _note(BY_PETER)[:-1],
        _note(BY_PETER) + b"\n",
        b"\x01" + _note(BY_PETER),
        b"\r" + _note(BY_PETER),
        _note("— Bad Name " + BY_PETER.split(" ")[2]),
        _note("— Bad+Name " + BY_PETER.split(" ")[2]),
        _note("—  " + BY_PETER.split(" ")[2]),
        _note("— Bad\u3000Name " + BY_PETER.split(" ")[2]),
        _note(BY_PETER, "Unexpected line.\n"),
        _note(BY_PETER.replace("—", "-")),
        _note(BY_PETER.replace("— ", "—")),
        _note(BY_PETER.replace("=\n", "\n")),
        _note(BY_PETER.replace("nAM=", "nAN=")),  # the same bytes in loose base64
        _note(BY_PETER.replace("x08", "x 08")),
        _note("— PeterNeumann x08goQ==\n"[:-6] + "\n"),
        _note("— PeterNeumann x08gow==\n"),  # an id without a signature
        _note(BY_PETER[:-1] + " \n"),
    ],
)
def test_what_is_not_quite_a_note_is_refused(content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        note.opened(content)
    assert refused.value.code is Code.BAD_MESSAGE


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        note.opened(b"\xff" + _note(BY_PETER))
    assert refused.value.code is Code.NOT_UTF8
    with pytest.raises(Refused) as refused:
        note.opened(b"x" * note.MAX_NOTE + _note(BY_PETER))
    assert refused.value.code is Code.TOO_MANY_BYTES


def test_a_verifier_key_is_written_one_way() -> None:
    assert str(PETER) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    text = str(PETER)
    for begin in range(len(text) + 1):
        for end in range(begin, len(text) + 1):
            if text[begin:end] != text:
                with pytest.raises(Refused):
                    note.Key.parse(text[begin:end])
    for place in range(len(text)):
        with pytest.raises(Refused):
            note.Key.parse(text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :])
    for other in (
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ):
        with pytest.raises(Refused):
            note.Key.parse(other)


def test_a_key_for_notes_has_a_name_and_is_ed25519() -> None:
    public = signer("log").public
    for name in ("", "a b", "a+b", "a\nb", "a\u2003b", "\ud800"):
        with pytest.raises(Refused):
            note.Key(name, public)
    with pytest.raises(Refused):
        note.Key("a", signer("log", Algorithm.ES256).public)
    with pytest.raises(Refused):
        note.sign("text\n", ("a", signer("log", Algorithm.ES256)))


def test_only_a_text_is_signed() -> None:
    for text in ("", "no end", "tab\t\n", "nul\0\n", "\ud800\n"):
        with pytest.raises(ValueError, match="text of a note"):
            note.sign(text, ("a", signer("log")))


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc",)), max_size=60)


@settings(deadline=None, max_examples=100)
@given(st.lists(TEXTS, max_size=5))
def test_whatever_text_is_signed_comes_back(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines) + "\n"
    names = ("a.example", "康码.example/记录")
    found = note.opened(note.sign(text, *((name, signer(name)) for name in names)).to_bytes())
    assert found.text == text
    keys = [note.Key(name, signer(name).public) for name in names]
    assert found.verified(keys) == tuple(keys)


def test_a_later_line_takes_the_place_of_an_earlier_one() -> None:
    first = note.opened(_note(BY_ENOCH, BY_PETER))
    newer = note.Line("EnochRoot", ENOCH.id, b"newer")
    found = note.with_lines(first, [newer])
    assert found.lines == (newer, first.lines[1])
    assert note.parse_lines(BY_PETER.encode()) == first.lines[1:]
    assert b64encode(newer.id + newer.signature).decode() in str(newer)
