"""Keys that change while the city goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from kangma.audit.public import Folder, Seen, audit_public
from kangma.audit.report import Report
from kangma.errors import Unavailable
from kangma.policy.published import read
from kangma.publish.city import CityName, has_keys, name_city
from kangma.publish.cycle import cycle
from kangma.publish.signer import LocalSigner
from kangma.signing.keys import Environment
from kangma.signing.rotation import emergency
from kangma.signing.trust import Use, sign_trust
from kangma.status.token import open_cwt
from kangma.store.keyfiles import read_key_file
from kangma.store.signing import install, new_keys, open_signing, stop_signing
from kangma.store.state import State, create
from kangma.terms import DAY, Text, moment

NOW = moment("2022-04-20T08:00:00+08:00")


@pytest.fixture
def state(tmp_path: Path):  # type: ignore[no-untyped-def]
    path = tmp_path / "state"
    with create(path, policy=[t.encode() for t in read("beijing-2022-04-22")]) as made:
        name_city(
            path,
            CityName(
                "cn-demo",
                Text("示例市", "Demo City"),
                "https://kangma.example",
                "kangma.example/demo",
                Environment.DEVELOPMENT,
                "Asia/Shanghai",
            ),
        )
        has_keys(path, now=NOW)
        yield made


def signers_of_lists(path: Path) -> set[bytes]:
    files = [f for f in (path / "public" / "status").rglob("*") if f.is_file() and f.suffix != ".delta"]
    return {open_cwt(f.read_bytes()).key_id for f in files}


def test_after_an_emergency_every_list_is_signed_by_the_new_key_with_the_next_release(state: State) -> None:
    """Doors refuse whatever the revoked key signed: a list that did not change must not wait for its turn."""
    path = state.path
    with LocalSigner(path) as signer:
        cycle(state, now=NOW, signer=signer)
        signing = open_signing(path)
        old = signing.signer(Use.STATUS, NOW)
        assert signers_of_lists(path) == {old.key_id}
        (fresh,) = new_keys(path, [Use.STATUS], Environment.DEVELOPMENT).values()
        officers = [read_key_file(path / "root" / f"root-{i}.pem") for i in (1, 3)]
        trust = emergency(signing.trust, old.key_id, fresh.public, NOW + 1)
        install(path, sign_trust(trust, officers), now=NOW + 1)
        cycle(state, now=NOW + 2, signer=signer)
    assert signers_of_lists(path) == {fresh.key_id}
    audit_public(Folder.at(str(path / "public")), report := Report(), seen=Seen())
    assert report.differences == []


def test_nothing_is_published_while_the_signer_is_stopped(state: State) -> None:
    path = state.path
    with LocalSigner(path) as signer:
        cycle(state, now=NOW, signer=signer)
        before = (path / "public" / "checkpoint").read_bytes()
        stop_signing(path, "a drill", now=NOW + 1)
        with pytest.raises(Unavailable, match="stopped"):
            cycle(state, now=NOW + 2, signer=signer)
    assert (path / "public" / "checkpoint").read_bytes() == before


def test_keys_of_a_tried_out_city_renew_themselves_for_months(state: State) -> None:
    path = state.path
    with LocalSigner(path) as signer:
        for day in range(0, 120, 6):
            now = NOW + day * DAY
            has_keys(path, now=now)
            cycle(state, now=now, signer=signer)
    audit_public(Folder.at(str(path / "public")), report := Report(), seen=Seen())
    assert report.differences == []
    assert open_signing(path).trust.version > 3
