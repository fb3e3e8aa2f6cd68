"""Checkpoints and their witnesses: nobody shows two people two logs without somebody having to sign for it."""

from __future__ import annotations

import plain_tree
import pytest
from made_log import ORIGIN, grown, head, signed, signer, turns

from kangma.errors import Code, Refused
from kangma.translog import note, tiles, witness
from kangma.translog.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from kangma.translog.witness import Cosigned, cosign, open_witnessed

KEY = signer("log").public
NAMES = ("north.example", "south.example/w", "west.example")
WITNESSES = [witness.witness(name, signer(name).public) for name in NAMES]
NOW = 1_650_000_000


def _ask(
    content: bytes, proof: list[bytes], seen: Checkpoint | None, name: str = NAMES[0], now: int = NOW
) -> Cosigned:
    return cosign(content, proof, seen, origin=ORIGIN, keys=[KEY], name=name, signer=signer(name), now=now)


def _with(content: bytes, *answers: Cosigned) -> bytes:
    lines = [line for answer in answers for line in note.parse_lines(answer.line)]
    return note.with_lines(note.opened(content), lines).to_bytes()


def _refusal(*args: object, **more: object) -> Code:
    with pytest.raises(Refused) as refused:
        args[0](*args[1:], **more)  # type: ignore[operator]
    return refused.value.code


def test_the_example_of_the_specification_is_read_and_written() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = Checkpoint.of_text(text)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert found.root.hex().startswith("0ac5186a91863e8e")
    assert found.text == text
    example = (
        f"{text}\n— example.com/behind-the-sofa "
        "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "— witness.example.com/w1 "
        "jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    lines = note.opened(example.encode()).lines
    assert len(lines[1].signature) == 72
    assert int.from_bytes(lines[1].signature[:8], "big") == 1_679_315_147


def test_a_signed_head_comes_back_from_its_log_only() -> None:
    log, _ = grown(turns(300))
    content = signed(log)
    assert open_checkpoint(content, ORIGIN, KEY) == head(log)
    assert open_checkpoint(content, ORIGIN, signer("next").public, KEY) == head(log)
    assert _refusal(open_checkpoint, content, ORIGIN, signer("next").public) is Code.UNKNOWN_KEY
    assert _refusal(open_checkpoint, content, "log.example/other", KEY) is Code.UNKNOWN_KEY
    assert _refusal(open_checkpoint, content, ORIGIN) is Code.UNKNOWN_KEY
    assert open_checkpoint(signed(grown([])[0]), ORIGIN, KEY).size == 0


def test_a_key_of_two_logs_does_not_mix_them_up() -> None:
    mine = head(grown(turns(3))[0])
    other = Checkpoint("log.example/other", mine.size, mine.root)
    content = note.sign(other.text, (ORIGIN, signer("log"))).to_bytes()
    assert _refusal(open_checkpoint, content, ORIGIN, KEY) is Code.UNKNOWN_KEY


def test_every_changed_byte_of_a_checkpoint_is_found() -> None:
    content = signed(grown(turns(300))[0])
    for place in range(len(content)):
        for bit in range(8):
            spoiled = bytearray(content)
            spoiled[place] ^= 1 << bit
            with pytest.raises(Refused):
                open_checkpoint(bytes(spoiled), ORIGIN, KEY)
        with pytest.raises(Refused):
            open_checkpoint(content[:place], ORIGIN, KEY)


@pytest.mark.parametrize(
    "text",
    [
        "a\n1\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "a\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n١\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1_0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n9999999999999999999\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n99999999999999999999\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",  # the empty tree has one root
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",  # loose base64
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",  # 31 bytes
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a b\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n",
        "a\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\nx\n\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_is_refused(text: str) -> None:
    assert _refusal(Checkpoint.of_text, text) is Code.BAD_MESSAGE


def test_further_lines_of_other_logs_are_kept_as_they_were_signed() -> None:
    plain = head(grown(turns(3))[0])
    longer = Checkpoint(plain.origin, plain.size, plain.root, ("since 2022", "未来"))
    content = sign_checkpoint(longer, signer("log"))
    assert open_checkpoint(content, ORIGIN, KEY) == longer
    assert open_witnessed(_with(content, _ask(content, [], None)), ORIGIN, [KEY], WITNESSES, need=1)


def test_a_witness_signs_what_extends_what_it_saw() -> None:
    first, files = grown(turns(300))
    answer = _ask(signed(first), [], None)
    assert answer.seen == head(first)
    later, more = first.append(turns(700)[300:])
    proof = tiles.consistency((files | more).__getitem__, 300, 700)
    again = _ask(signed(later), proof, answer.seen)
    assert again.seen == head(later)
    assert _ask(signed(later), [], again.seen).seen == head(later)  # the same once more
    content = _with(signed(later), again)
    assert open_checkpoint(content, ORIGIN, KEY) == head(later)
    found = open_witnessed(content, ORIGIN, [KEY], WITNESSES, need=1, now=NOW)
    assert (found.checkpoint, dict(found.seen)) == (head(later), {WITNESSES[0]: NOW})


def test_a_witness_does_not_sign_a_fork() -> None:
    entries = turns(700)
    seen = head(grown(entries[:300])[0])
    rewritten = [*entries[:17], b"\x01" + bytes(32), *entries[18:]]
    log, files = grown(rewritten)
    proof = tiles.consistency(files.__getitem__, 300, 700)
    assert _refusal(_ask, signed(log), proof, seen) is Code.BAD_PROOF
    assert _refusal(_ask, signed(log), [], seen) is Code.BAD_PROOF
    assert _refusal(_ask, signed(log), proof * 9, seen) is Code.BAD_PROOF
    same_size, _ = grown(rewritten[:300])
    assert _refusal(_ask, signed(same_size), [], seen) is Code.BAD_PROOF


def test_a_witness_does_not_go_back() -> None:
    seen = head(grown(turns(300))[0])
    assert _refusal(_ask, signed(grown(turns(299))[0]), [], seen) is Code.ROLLED_BACK
    assert _refusal(_ask, signed(grown([])[0]), [], seen) is Code.ROLLED_BACK


def test_a_witness_signs_only_for_the_logs_it_knows() -> None:
    log, _ = grown(turns(3))
    assert _refusal(_ask, signed(log, "thief"), [], None) is Code.UNKNOWN_KEY
    assert _refusal(_ask, signed(log) + b"x", [], None) is Code.BAD_MESSAGE
    with pytest.raises(ValueError, match="another log"):
        _ask(signed(log), [], Checkpoint("log.example/other", 3, log.root))
    with pytest.raises(ValueError, match="not a time"):
        _ask(signed(log), [], None, now=-1)


def test_as_many_witnesses_as_asked_for_must_have_signed() -> None:
    content = signed(grown(turns(300))[0])
    answers = [_ask(content, [], None, name, NOW + number) for number, name in enumerate(NAMES)]
    for count in range(4):
        given = _with(content, *answers[:count])
        for need in range(4):
            if need <= count:
                assert len(open_witnessed(given, ORIGIN, [KEY], WITNESSES, need=need).seen) == count
            else:
                assert (
                    _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES, need=need) is Code.FEW_WITNESSES
                )
    assert _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES[:1], need=2) is Code.FEW_WITNESSES
    assert (
        _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES, need=3, now=NOW + 1) is Code.FEW_WITNESSES
    )


def test_a_witness_named_twice_is_one_witness() -> None:
    twice = [WITNESSES[0], witness.witness("alias.example", signer(NAMES[0]).public)]
    content = signed(grown(turns(3))[0])
    with pytest.raises(ValueError, match="twice"):
        open_witnessed(content, ORIGIN, [KEY], twice, need=2)


def test_the_log_is_not_its_own_witness() -> None:
    content = signed(grown(turns(3))[0])
    plain = [note.Key(ORIGIN, KEY)]
    assert _refusal(open_witnessed, content, ORIGIN, [KEY], plain, need=1) is Code.FEW_WITNESSES
    assert note.Key(ORIGIN, KEY).id != witness.witness(ORIGIN, KEY).id
    cosigned = _with(content, _ask(content, [], None))
    assert _refusal(note.opened(cosigned).verified, WITNESSES) is Code.UNKNOWN_KEY
    assert _refusal(open_checkpoint, cosigned, NAMES[0], signer(NAMES[0]).public) is Code.UNKNOWN_KEY


def test_a_changed_cosignature_spoils_the_note() -> None:
    content = signed(grown(turns(300))[0])
    cosigned = _with(content, _ask(content, [], None))
    line = note.opened(cosigned).lines[1]
    for place in range(len(line.signature)):
        spoiled = bytearray(line.signature)
        spoiled[place] ^= 1 << place % 8
        wrong = note.Line(line.name, line.id, bytes(spoiled))
        given = note.with_lines(note.opened(content), [wrong]).to_bytes()
        assert _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES, need=0) is Code.BAD_SIGNATURE
    wrong = note.Line(line.name, line.id, b"\xff" + line.signature[1:])  # a time beyond 2^63
    given = note.with_lines(note.opened(content), [wrong]).to_bytes()
    assert _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES, need=0) is Code.BAD_SIGNATURE
    for length in (1, 64, 71, 73):
        wrong = note.Line(line.name, line.id, line.signature.ljust(73, b"x")[:length])
        given = note.with_lines(note.opened(content), [wrong]).to_bytes()
        assert _refusal(open_witnessed, given, ORIGIN, [KEY], WITNESSES, need=1) is Code.BAD_SIGNATURE


def test_the_statement_of_a_witness_is_that_of_the_specification() -> None:
    log, _ = grown(turns(3))
    (line,) = note.parse_lines(_ask(signed(log), [], None).line)
    text = f"cosignature/v1\ntime {NOW}\n{head(log).text}"
    assert line.signature == NOW.to_bytes(8, "big") + signer(NAMES[0]).sign(text.encode())
    name, raw = NAMES[0].encode(), signer(NAMES[0]).public.raw
    assert line.id == plain_tree.sha256(name + b"\n\x04" + raw)[:4]


def test_what_cannot_be_a_checkpoint_is_not_made() -> None:
    root = bytes(range(32))
    for wrong in (
        ("", 1, root),
        ("a b", 1, root),
        ("a" * 256, 1, root),
        ("a", -1, root),
        ("a", 1 << 62, root),
        ("a", 1, root[1:]),
        ("a", 0, root),
    ):
        assert _refusal(Checkpoint, *wrong) is Code.BAD_VALUE
    for lines in (("",), ("a\nb",)):
        assert _refusal(Checkpoint, "a", 1, root, lines) is Code.BAD_VALUE
