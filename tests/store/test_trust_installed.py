"""Every step of an installation fails twice, not persisted and persisted but reported failed: what is left verifies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kangma.errors import Corrupt, Refused
from kangma.signing.keys import Environment
from kangma.signing.rotation import announce_next
from kangma.signing.trust import TrustList, decode_root, open_trust, sign_trust
from kangma.store import signing as store
from kangma.store.durable import write_file
from kangma.store.keyfiles import read_key_file
from kangma.terms import DAY, Text

NOW = 1_650_470_400


def made(path: Path) -> store.Signing:
    path.mkdir(mode=0o700)
    return store.make_signing(
        path,
        authority_id="cn-xx",
        name=Text("样本市", "Sample City"),
        base="https://xx.example",
        origin="xx.example/log",
        environment=Environment.TEST,
        zone="Asia/Shanghai",
        now=NOW,
    )


def next_list(path: Path) -> bytes:
    officers = [read_key_file(path / f"root/root-{i}.pem") for i in (1, 2)]
    return sign_trust(announce_next(store.open_signing(path).trust, {}, NOW + DAY), officers)


def public(path: Path) -> TrustList:
    """What a stranger sees, who verifies it."""
    root = decode_root((path / "public/root").read_bytes())
    return open_trust((path / "public/trust").read_bytes()).verify(root)


class Power(Exception):
    """The machine is gone."""


@pytest.mark.parametrize("persisted", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_an_installation_that_fails_anywhere_is_finished_or_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, persisted: bool
) -> None:
    city = tmp_path / "city"
    made(city)
    content = next_list(city)
    calls = 0

    def failing(path: Path, what: bytes, *, mode: int = 0o644) -> None:
        nonlocal calls
        calls += 1
        if calls < step or persisted:
            write_file(path, what, mode=mode)
        if calls == step:
            raise Power

    monkeypatch.setattr(store, "write_file", failing)
    with pytest.raises(Power):
        store.install(city, content, now=NOW + DAY)
    assert calls == step
    monkeypatch.undo()
    assert public(city).version in (1, 2)  # at every moment a stranger has a whole list
    opened = store.open_signing(city)
    assert opened.trust.version == (1 if (step, persisted) == (1, False) else 2)
    assert public(city) == opened.trust
    assert store.history(city)[-1] == opened.trust
    store.install(city, content, now=NOW + DAY)  # whoever was told of a failure does it again
    assert [t.version for t in store.history(city)] == [1, 2]
    assert public(city).version == 2


@pytest.mark.parametrize(
    "spoil",
    [
        lambda city: (city / "public/trust.d/1").unlink(),
        lambda city: (city / "public/trust.d/1").write_bytes(b""),
        lambda city: (city / "public/trust.d/1").write_bytes((city / "public/trust.d/2").read_bytes()),
    ],
)
def test_a_history_with_a_hole_is_damage(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    city = tmp_path / "city"
    made(city)
    store.install(city, next_list(city), now=NOW + DAY)
    spoil(city)
    with pytest.raises(Corrupt):
        store.history(city)


def test_a_directory_whose_making_was_cut_off_has_no_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise Power

    monkeypatch.setattr(store, "write_file", failing)
    with pytest.raises(Power):
        made(tmp_path / "city")
    monkeypatch.undo()
    with pytest.raises(Refused, match="no keys here"):
        store.open_signing(tmp_path / "city")


def test_a_signer_that_has_no_private_key_for_a_use_has_none(tmp_path: Path) -> None:
    signing = made(tmp_path / "city")
    assert {u.value for u in signing.signers(NOW)} == {"credential", "status", "log"}
    assert signing.signers(NOW - 1) == {}
    (key,) = (k for k in signing.trust.publisher.keys if k.use == "status")
    store.remove_key_file(store.key_file(tmp_path / "city", key.id))
    assert {u.value for u in store.open_signing(tmp_path / "city").signers(NOW)} == {"credential", "log"}
