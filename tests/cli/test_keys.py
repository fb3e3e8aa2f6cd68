"""Keys by the command line: two officers together, one operator to stop, and nobody alone to go on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer
from town import Said, done, kangma

from kangma.errors import Corrupt, Refused, Unavailable
from kangma.signing.keys import Algorithm, Environment, KeySigner
from kangma.signing.trust import TrustList, Use, decode_root, open_trust
from kangma.store.signing import history, is_stopped, key_file, make_signing, open_signing
from kangma.terms import DAY, HOUR, Text, moment, zone

NOW = moment("2022-04-21T00:00:00+08:00")
ISO = zone("Asia/Shanghai").iso


def at(seconds: int) -> tuple[str, str]:
    return ("--now", ISO(NOW + seconds))


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """A directory after its ceremony."""
    made = tmp_path / "city"
    made.mkdir(mode=0o700)
    make_signing(
        made,
        authority_id="cn-xx",
        name=Text("样本市", "Sample City"),
        base="https://xx.example",
        origin="xx.example/log",
        environment=Environment.TEST,
        zone="Asia/Shanghai",
        now=NOW,
    )
    return made


def root_keys(city: Path, *numbers: int) -> list[str]:
    return [word for n in numbers for word in ("--root-key", str(city / f"root/root-{n}.pem"))]


def keys(city: Path, *words: object) -> Any:
    return done("keys", city, *words)


def refused(said: Said, code: int, reason: str) -> None:
    assert (said.code, said.out, said.err.count("\n")) == (code, "", 1), said
    assert reason in said.err


def stranger(city: Path) -> TrustList:
    """The list in force, as somebody sees it who has the public folder and the fingerprint."""
    root = decode_root((city / "public/root").read_bytes())
    return open_trust((city / "public/trust").read_bytes()).verify(root)


def only(trust: TrustList, use: Use, when: int) -> bytes:
    (found,) = trust.keys(use, NOW + when)
    return found.id


# ------------------------------------------------------------------------------------------------------------ ceremony


CEREMONY = (
    "--authority",
    "cn-xx",
    "--name-zh",
    "样本市",
    "--name-en",
    "Sample City",
    "--base",
    "https://xx.example",
)


def test_a_ceremony_makes_three_root_keys_and_a_first_list_that_strangers_can_verify(tmp_path: Path) -> None:
    shown = keys(tmp_path, "ceremony", *CEREMONY, *at(0))
    trust = stranger(tmp_path)
    root = decode_root((tmp_path / "public/root").read_bytes())
    assert shown["root"] == root.fingerprint.hex()
    assert (trust.version, trust.environment, trust.publisher.id) == (1, "production", "cn-xx")
    assert {k.use for k in trust.publisher.keys} == {Use.CREDENTIAL, Use.STATUS, Use.LOG}
    for file in (*(tmp_path / "root").iterdir(), *(tmp_path / "signer/keys").iterdir()):
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert len(list((tmp_path / "root").iterdir())) == 3
    again = keys(tmp_path, "show", *at(0))
    assert again == shown
    assert {k["state"] for k in shown["authorities"][0]["keys"]} == {"signing"}
    assert all(k["private_key_here"] for k in shown["authorities"][0]["keys"])
    refused(kangma("keys", tmp_path, "ceremony", *CEREMONY), 2, "has keys already")


def test_who_keeps_all_root_keys_together_is_told_not_to(tmp_path: Path) -> None:
    assert "whoever reads this folder" in " ".join(
        kangma("keys", tmp_path, "ceremony", *CEREMONY).out.split()
    )


def test_root_keys_go_to_three_media_sealed_with_three_passphrases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: dict[str, str] = {f"Passphrase of officer {i}": f"secret {i}" for i in (1, 2, 3)}
    said |= {f"Passphrase of root-{i}.pem": f"secret {i}" for i in (1, 2, 3)}
    monkeypatch.setattr(typer, "prompt", lambda text, **_: said[text])
    media = [tmp_path / name for name in "abc"]
    words = [w for m in media for w in ("--root-dir", str(m))]
    city = tmp_path / "city"
    city.mkdir()
    keys(city, "ceremony", *CEREMONY, *words, "--passphrase", *at(0))
    assert not (city / "root").exists()
    assert [[f.name for f in m.iterdir()] for m in media] == [["root-1.pem"], ["root-2.pem"], ["root-3.pem"]]
    assert b"ENCRYPTED" in (media[0] / "root-1.pem").read_bytes()
    with_two = ("--root-key", media[0] / "root-1.pem", "--root-key", media[2] / "root-3.pem")
    assert keys(city, "announce", *with_two, *at(DAY))["installed"]
    said["Passphrase of root-3.pem"] = "wrong"
    before = sorted((city / "signer/keys").iterdir())
    refused(kangma("keys", city, "announce", *with_two, *at(2 * DAY)), 1, "passphrase")
    assert sorted((city / "signer/keys").iterdir()) == before
    refused(kangma("keys", city, "ceremony", *CEREMONY, *words[:4]), 2, "three times")
    refused(kangma("keys", city, "ceremony", *CEREMONY, *words[:4], *words[:2]), 2, "three different folders")


def test_what_cannot_be_in_a_list_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    bad = (*CEREMONY[:-1], "https://xx.example/")
    refused(kangma("keys", tmp_path, "ceremony", *bad), 2, "base")
    refused(kangma("keys", tmp_path, "ceremony", *CEREMONY, "--zone", "Mars/One"), 2, "time zone")
    assert list(tmp_path.iterdir()) == []
    refused(kangma("keys", tmp_path, "show"), 2, "ceremony")
    refused(kangma("keys", tmp_path / "none", "show"), 2, "no directory")


# ------------------------------------------------------------------------------------------------------------ rotation


def test_officers_sign_a_draft_one_after_the_other_and_then_it_is_installed(
    city: Path, tmp_path: Path
) -> None:
    drafted = keys(city, "announce", *at(20 * DAY))
    assert (drafted["installed"], drafted["signed_by"], drafted["needed"]) == (False, [], 2)
    assert [(c["change"], c["use"]) for c in drafted["changes"]] == [
        ("added", "credential"),
        ("added", "status"),
    ]
    assert stranger(city).version == 1
    # an officer's own machine has the draft, a key, and neither the state directory nor the issuing keys
    draft = tmp_path / "draft"
    shutil.copy(drafted["draft"], draft)
    refused(kangma("keys", city, "install", draft, *at(20 * DAY)), 2, "bad_message")
    offline = tmp_path / "officer"
    offline.mkdir()
    assert len(keys(offline, "sign", draft, *root_keys(city, 2))["signed_by"]) == 1
    refused(kangma("keys", city, "install", draft, *at(20 * DAY)), 2, "untrusted")
    assert len(keys(offline, "sign", draft, *root_keys(city, 2))["signed_by"]) == 1  # again, and still one
    assert len(keys(offline, "sign", draft, *root_keys(city, 3))["signed_by"]) == 2
    shown = keys(city, "show", "--draft", draft)
    assert (shown["changes"], len(shown["signed_by"])) == (drafted["changes"], 2)
    assert keys(city, "install", draft, *at(20 * DAY + HOUR))["installed"]
    assert stranger(city).version == 2
    assert [t.version for t in history(city)] == [1, 2]
    # installing it again changes nothing, and the first list does not come back
    keys(city, "install", draft, *at(21 * DAY))
    refused(kangma("keys", city, "install", city / "public/trust.d/1", *at(21 * DAY)), 2, "rolled_back")
    # both keys sign in their turn
    opened = open_signing(city)
    first_key, second_key = (k for k in stranger(city).publisher.keys if k.use is Use.CREDENTIAL)
    assert opened.signer(Use.CREDENTIAL, NOW + 21 * DAY).key_id == first_key.id
    assert opened.signer(Use.CREDENTIAL, second_key.not_before).key_id == second_key.id


def test_a_list_that_took_too_long_to_sign_is_drafted_anew(city: Path) -> None:
    draft = keys(city, "announce", *at(29 * DAY))["draft"]
    keys(city, "sign", draft, *root_keys(city, 1, 2))
    refused(kangma("keys", city, "install", draft, *at(30 * DAY + HOUR)), 2, "24 hours")
    # all keys are over by now: with two officers at the machine there is one in 24 hours
    told = keys(city, "announce", *root_keys(city, 1, 2), *at(30 * DAY + HOUR))
    assert told["installed"]
    assert {c["not_before"] for c in told["changes"]} == {ISO(NOW + 31 * DAY + HOUR)}


def test_one_root_key_only_leaves_a_draft(city: Path) -> None:
    told = keys(city, "announce", *root_keys(city, 1), *at(DAY))
    assert (told["installed"], len(told["signed_by"])) == (False, 1)
    refused(kangma("keys", city, "install", told["draft"], *at(DAY)), 2, "untrusted")
    assert stranger(city).version == 1
    told = keys(city, "announce", *root_keys(city, 1, 1), *at(DAY))  # twice the same officer
    assert not told["installed"]


def test_another_citys_officers_are_nobody_here(city: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    keys(other, "ceremony", *CEREMONY, "--environment", "test", *at(0))
    told = keys(city, "announce", *root_keys(other, 1, 2), *at(DAY))
    assert (told["installed"], told["signed_by"]) == (False, [])
    production = tmp_path / "production"
    production.mkdir()
    keys(production, "ceremony", *CEREMONY, *at(0))
    refused(kangma("keys", city, "announce", *root_keys(production, 1, 2), *at(DAY)), 2, "untrusted")


def test_a_draft_that_may_not_follow_is_not_signed(city: Path) -> None:
    first_draft = keys(city, "announce", *at(DAY), "--out", city / "a")["draft"]
    keys(city, "announce", *root_keys(city, 1, 2), *at(2 * DAY))
    refused(kangma("keys", city, "sign", first_draft, *root_keys(city, 1)), 2, "rolled_back")
    refused(kangma("keys", city, "sign", city / "public/root", *root_keys(city, 1)), 2, "bad_message")


def test_a_renewed_list_has_the_same_keys_for_another_90_days(city: Path) -> None:
    told = keys(city, "announce", "--renew-only", *root_keys(city, 2, 3), *at(10 * DAY))
    assert (told["installed"], told["changes"]) == (True, [])
    assert stranger(city).expires == NOW + 100 * DAY


# ----------------------------------------------------------------------------------------------------------- emergency


def test_an_emergency_rotation_is_one_command(city: Path) -> None:
    stolen = only(stranger(city), Use.CREDENTIAL, DAY)
    told = keys(city, "emergency", stolen.hex(), *root_keys(city, 1, 3), *at(DAY))
    assert told["installed"]
    assert sorted(c["change"] for c in told["changes"]) == ["added", "revoked"]
    trust = stranger(city)
    revoked = trust.key(stolen)
    assert revoked is not None
    assert revoked.revoked_at == NOW + DAY
    new = open_signing(city).signer(Use.CREDENTIAL, NOW + DAY)  # at once
    assert new.key_id == only(trust, Use.CREDENTIAL, DAY) != stolen
    refused(kangma("keys", city, "emergency", stolen.hex(), *root_keys(city, 1, 3)), 2, "revoked already")
    for wrong in ("00" * 8, "zz", "00"):
        assert kangma("keys", city, "emergency", wrong, *root_keys(city, 1, 3)).code == 2
    # and it stays revoked in every list that follows
    keys(city, "announce", *root_keys(city, 1, 2), *at(20 * DAY))
    assert stranger(city).key(stolen) == revoked


# -------------------------------------------------------------------------------------------------------- another city


def test_a_city_recognises_another_whose_root_it_was_told(city: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    told = keys(other, "ceremony", "--authority", "cn-yy", *CEREMONY[2:], "--environment", "test", *at(0))
    words = ("recognise", other / "public/trust", "--root", other / "public/root", "--fingerprint")
    refused(kangma("keys", city, *words, "00" * 32, *at(DAY)), 2, "another fingerprint")
    assert keys(city, *words, told["root"], *root_keys(city, 1, 2), *at(DAY))["installed"]
    assert stranger(city).authority("cn-yy") == stranger(other).publisher
    # its next keys come with its next list
    keys(other, "announce", *root_keys(other, 1, 2), *at(20 * DAY))
    assert keys(city, *words, told["root"], *root_keys(city, 1, 2), *at(21 * DAY))["installed"]
    assert stranger(city).authority("cn-yy") == stranger(other).publisher
    # and its lists are not this city's
    refused(kangma("keys", city, "install", other / "public/trust", *at(21 * DAY)), 2, "untrusted")


# --------------------------------------------------------------------------------------------------------- kill switch


def test_one_operator_stops_the_signer_and_two_root_officers_let_it_go_on(city: Path) -> None:
    opened = open_signing(city)
    assert opened.signer(Use.STATUS, NOW).environment is Environment.TEST
    assert keys(city, "stop", "--reason", "钥匙不见了", *at(HOUR)) == {"stopped": True, "was_stopped": False}
    mark = (city / "signer/stopped").read_bytes()
    with pytest.raises(Unavailable):
        opened.signers(NOW + HOUR)  # whoever had it open already
    assert keys(city, "stop", *at(2 * HOUR))["was_stopped"]
    assert (city / "signer/stopped").read_bytes() == mark  # the first reason stays
    assert keys(city, "show")["stopped"]
    assert "stopped" in kangma("keys", city, "show").out
    assert stranger(city).version == 1  # verifying goes on

    told = keys(city, "resume", *root_keys(city, 1), *at(3 * HOUR))
    assert told["stopped"]
    assert is_stopped(city)
    refused(kangma("keys", city, "resume", "--order", told["draft"], *at(3 * HOUR)), 2, "untrusted")
    keys(city, "sign", told["draft"], *root_keys(city, 2))
    assert keys(city, "resume", "--order", told["draft"], *at(4 * HOUR)) == {"stopped": False, "draft": None}
    assert opened.signer(Use.STATUS, NOW + 4 * HOUR)
    refused(kangma("keys", city, "resume", *root_keys(city, 1, 2)), 2, "not stopped")

    keys(city, "stop", *at(5 * HOUR))
    refused(kangma("keys", city, "resume", "--order", told["draft"], *at(5 * HOUR)), 2, "another stop")
    assert keys(city, "resume", *root_keys(city, 2, 3), *at(5 * HOUR))["stopped"] is False
    assert len(list((city / "signer/orders").iterdir())) == 2


def test_an_order_to_resume_is_of_one_day(city: Path) -> None:
    keys(city, "stop", *at(0))
    draft = keys(city, "resume", *at(0))["draft"]
    keys(city, "sign", draft, *root_keys(city, 1, 2))
    refused(kangma("keys", city, "resume", "--order", draft, *at(DAY)), 2, "another day")
    keys(city, "resume", "--order", draft, *at(DAY - 1))


def test_the_kill_switch_works_when_nothing_else_does(city: Path, tmp_path: Path) -> None:
    for file in (city / "signer").rglob("*"):
        if file.is_file():
            file.write_bytes(b"rubbish")
    keys(city, "stop")
    assert is_stopped(city)
    bare = tmp_path / "bare"
    bare.mkdir()
    keys(bare, "stop")
    assert is_stopped(bare)
    (bare / "signer/stopped").unlink()
    (bare / "signer/stopped").symlink_to("nowhere")  # a mark of any kind stops
    assert is_stopped(bare)


# -------------------------------------------------------------------------------------------------------------- sunset


def test_a_private_key_is_published_28_days_after_its_end_and_not_a_day_before(city: Path) -> None:
    old = only(stranger(city), Use.CREDENTIAL, 0)
    status, log = only(stranger(city), Use.STATUS, 0), only(stranger(city), Use.LOG, 0)
    secret = open_signing(city).signer(Use.CREDENTIAL, NOW).secret
    for day in (20, 45, 57):
        keys(city, "announce", *root_keys(city, 1, 2), *at(day * DAY))
    early = kangma("keys", city, "sunset", "--key", old.hex(), *at(57 * DAY))
    refused(early, 3, "may still be needed")
    assert keys(city, "sunset", *at(57 * DAY)) == {"published": [], "destroyed": []}
    assert key_file(city, old).exists()
    told = keys(city, "sunset", *at(58 * DAY))
    assert told == {"published": [old.hex()], "destroyed": [status.hex()]}
    assert not key_file(city, old).exists()
    assert not key_file(city, status).exists()
    assert key_file(city, log).exists()
    (published,) = (city / "public/sunset").iterdir()
    jwk = json.loads(published.read_text())
    assert (published.name, jwk["kid"], jwk["kty"], jwk["crv"]) == (
        f"{old.hex()}.json",
        old.hex(),
        "EC",
        "P-256",
    )
    # anybody can sign as that key now
    import base64  # noqa: PLC0415

    again = KeySigner(Algorithm.ES256, base64.urlsafe_b64decode(jwk["d"] + "="), Environment.TEST)
    assert (again.secret, again.key_id) == (secret, old)
    # the key has left the list by now, and its sunset can still be told apart from one that is needed
    assert keys(city, "sunset", *at(59 * DAY)) == {"published": [], "destroyed": []}
    refused(kangma("keys", city, "sunset", "--key", "00" * 8, *at(0)), 2, "no list")


def test_a_production_key_is_not_published_by_a_clock_that_is_ahead(tmp_path: Path) -> None:
    keys(tmp_path, "ceremony", *CEREMONY, *at(0))
    refused(kangma("keys", tmp_path, "sunset", "--now", "2190-01-01T00:00:00Z"), 2, "ahead")


# ---------------------------------------------------------------------------------------------- crashes and other harm


def test_what_a_crash_left_half_installed_is_finished_by_the_next_opening(city: Path) -> None:
    old = (city / "public/trust").read_bytes()
    keys(city, "announce", *root_keys(city, 1, 2), *at(DAY))
    (city / "public/trust").write_bytes(old)  # the crash came before the copies
    (city / "public/trust.d/2").unlink()
    open_signing(city)
    assert stranger(city).version == 2
    assert [t.version for t in history(city)] == [1, 2]


def test_a_restored_backup_does_not_roll_the_public_back(city: Path) -> None:
    backup = (city / "signer/trust").read_bytes()
    keys(city, "announce", *root_keys(city, 1, 2), *at(DAY))
    (city / "signer/trust").write_bytes(backup)
    with pytest.raises(Corrupt, match="newer"):
        open_signing(city)
    refused(kangma("keys", city, "show"), 1, "newer")
    assert stranger(city).version == 2
    keys(city, "install", city / "public/trust.d/2", *at(DAY))
    assert open_signing(city).trust.version == 2


def test_two_lists_of_one_version_are_a_fork_and_not_published(city: Path) -> None:
    backup = (city / "signer/trust").read_bytes()
    for hour in (1, 2):
        told = keys(city, "announce", "--out", city / f"draft{hour}", *at(hour * HOUR))
        keys(city, "sign", told["draft"], *root_keys(city, 1, 2))
    keys(city, "install", city / "draft1", *at(3 * HOUR))
    (city / "signer/trust").write_bytes(backup)
    said = kangma("keys", city, "install", city / "draft2", *at(3 * HOUR))
    assert (said.code, "two lists" in said.err) == (1, True)
    assert stranger(city).issued == NOW + HOUR


def test_a_list_of_the_state_that_its_root_did_not_sign_is_damage(city: Path) -> None:
    file = city / "signer/trust"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(content)
    with pytest.raises(Corrupt):
        open_signing(city)
    with pytest.raises(Refused):
        open_signing(city / "public")
    keys(city, "stop")


def test_a_public_root_that_was_swapped_is_put_right_and_changes_nothing(city: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    keys(other, "ceremony", *CEREMONY, "--environment", "test", *at(0))
    shutil.copy(other / "public/root", city / "public/root")
    shutil.copy(other / "public/trust", city / "public/trust")
    opened = open_signing(city)
    assert stranger(city) == opened.trust
    assert opened.root.fingerprint == decode_root((city / "public/root").read_bytes()).fingerprint
