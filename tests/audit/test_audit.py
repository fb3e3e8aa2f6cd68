"""What an auditor finds: nothing in an honest city, and every way in which somebody could have turned a code by hand."""

from __future__ import annotations

import hashlib
import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from published import CITY, DAYS, HERE, Town, audited, coloured, seen_by_a_stranger

from kangma.audit.public import Seen
from kangma.audit.report import Check, Report
from kangma.audit.whole import audit, find_credential
from kangma.city import make_city
from kangma.codes.turns import OUT, Digest
from kangma.credential import issue
from kangma.credential.claims import Kind
from kangma.errors import Corrupt, Refused, Unavailable
from kangma.publish import commit as commit_module
from kangma.publish.city import the_signer
from kangma.publish.credentials import on_paper
from kangma.publish.cycle import cycle
from kangma.publish.journal import RECORD, WITHDRAWAL, Journal
from kangma.publish.signer import LocalSigner, Order
from kangma.signing.trust import Use
from kangma.status.lists import BITS, compress, inflate, pack, unpack
from kangma.status.token import Claims, open_cwt, to_cwt
from kangma.store.receive import receive_all
from kangma.store.releases import last_release
from kangma.store.signing import open_signing
from kangma.store.state import open_state
from kangma.terms import DAY, HOUR


def checks(report: Report) -> set[Check]:
    return {d.check for d in report.differences}


def test_an_honest_city_has_no_difference_and_everything_was_looked_at(town: Town) -> None:
    report = audited(town.path)
    assert report.differences == []
    assert set(report.checked) == set(Check) - {
        Check.SEALED
    }  # nobody's phone: tests/front/test_front_sealed.py
    assert report.checked[Check.TURNS] == town.turns
    assert report.checked[Check.VERDICTS] == 400


def test_a_stranger_with_the_public_folder_finds_none_either(town: Town) -> None:
    report, seen = seen_by_a_stranger(town.path / "public")
    assert report.differences == []
    assert seen.size > town.turns
    again, _ = seen_by_a_stranger(town.path / "public", seen=seen)
    assert again.clean


def test_the_stranger_needs_nothing_else(town: Town, tmp_path: Path) -> None:
    """The folder alone, somewhere else; no key, no evidence, no registry."""
    shutil.copytree(town.path / "public", tmp_path / "public")
    assert seen_by_a_stranger(tmp_path / "public")[0].clean


# codes turned by hand ------------------------------------------------------------------------------------------------


def test_a_red_written_into_the_database_is_never_signed_and_is_found(town: Town, tmp_path: Path) -> None:
    """The owner of the machine makes somebody red in what is out: the next cycle stops, and the audit names them."""
    path = town.copied(tmp_path)
    with open_state(path) as state:
        last = last_release(state.registry)
        assert last is not None
        victim = next(n for n in range(400) if n not in set(_out(path, last.number)["person"].to_pylist()))
        key = state.person_keys(pa.array([victim], pa.uint32()))[0].hex()
    _make_red(path, last.number, victim)
    report = audited(path)
    assert key in {d.key for d in report.differences}
    assert Check.OUT in checks(report)
    with (
        open_state(path) as state,
        the_signer(path, now=town.now + HOUR) as signer,
        pytest.raises(Corrupt, match="what is out is not what release"),
    ):
        cycle(state, now=town.now + HOUR, signer=signer)
    assert (path / "public" / "checkpoint").read_bytes() == (town.path / "public" / "checkpoint").read_bytes()


def test_a_red_in_the_database_is_found_although_new_evidence_waits_for_a_cycle(
    town: Town, tmp_path: Path
) -> None:
    """The cycle absorbs before it notices and stops: from then on there is evidence of which no release speaks."""
    path = town.copied(tmp_path)
    with open_state(path) as state:
        last = last_release(state.registry)
        assert last is not None
        victim = next(n for n in range(400) if n not in set(_out(path, last.number)["person"].to_pylist()))
        key = state.person_keys(pa.array([victim], pa.uint32()))[0].hex()
        city, tables = make_city(400, DAYS + 1, 3), tmp_path / "next"
        tables.mkdir()
        for kind, rows in city.arrivals(DAYS).items():
            pq.write_table(rows, tables / f"{kind}.parquet")
        receive_all(state, [tables], feed="city", now=town.now)
    _make_red(path, last.number, victim)
    with (
        open_state(path) as state,
        the_signer(path, now=town.now + HOUR) as signer,
        pytest.raises(Corrupt, match="what is out is not what release"),
    ):
        cycle(state, now=town.now + HOUR, signer=signer)
    assert key in {d.key for d in audited(path).differences if d.check is Check.OUT}


def test_a_red_with_all_digests_rewritten_to_fit_is_still_not_signed(town: Town, tmp_path: Path) -> None:
    """With full rights in every database: what the log says cannot be rewritten, and without a turn in the log the
    signer's list stays green."""
    path = town.copied(tmp_path)
    with open_state(path) as state:
        last = last_release(state.registry)
        assert last is not None
        victim = next(n for n in range(400) if n not in set(_out(path, last.number)["person"].to_pylist()))
        _make_red(path, last.number, victim)
        out = _out(path, last.number)
        keys = b"".join(state.person_keys(pa.array(np.arange(state.person_count(), dtype=np.uint32))))
        forged = Digest.of(out, np.frombuffer(keys, np.uint8).reshape(-1, 16)).hex()
        key = state.person_keys(pa.array([victim], pa.uint32()))[0].hex()
    with sqlite3.connect(path / "registry.sqlite") as on:
        on.execute("UPDATE releases SET verdict_digest = ? WHERE number = ?", (forged, last.number))
    report = audited(path)
    assert {Check.RELEASES, Check.OUT} <= checks(report)
    assert key in {d.key for d in report.differences if d.check is Check.OUT}
    with open_state(path) as state, the_signer(path, now=town.now + HOUR) as signer:
        cycle(
            state, now=town.now + HOUR, signer=signer
        )  # nobody judges the victim again, nothing tells the cycle
    before, after = _nibbles(town.path), _nibbles(path)
    assert np.array_equal(before, after), "a colour without a turn in the log was signed"
    assert key in {d.key for d in audited(path).differences}


def test_a_red_turn_proposed_without_evidence_is_logged_for_good_and_found(
    town: Town, tmp_path: Path
) -> None:
    """Whoever controls the cycle itself can have a turn signed, but only by logging it: the audit says whom it hit,
    and since which release."""
    path = town.copied(tmp_path)
    with open_state(path) as state, the_signer(path, now=town.now + HOUR) as signer:
        last = last_release(state.registry)
        assert last is not None
        victim = next(n for n in range(400) if n not in set(_out(path, last.number)["person"].to_pylist()))
        key = state.person_keys(pa.array([victim], pa.uint32()))[0].hex()
        import kangma.publish.cycle as wheel  # noqa: PLC0415

        honest = wheel.turn

        def bent(*what: object) -> object:
            turned = honest(*what)  # type: ignore[arg-type]
            red = {"person": victim, "state": 4, "popups": 0, "reminds": 0, "next_change_at": None}
            out = pa.concat_tables([turned.out, pa.Table.from_pylist([red], OUT)]).sort_by("person")
            return type(turned)(out, honest(what[0], out, None).turns)  # type: ignore[arg-type]

        wheel.turn = bent  # type: ignore[assignment]
        try:
            done = cycle(state, now=town.now + HOUR, signer=signer)
        finally:
            wheel.turn = honest
    report = audited(path)
    found = [d for d in report.differences if d.key == key and d.check is Check.VERDICTS]
    assert found
    assert found[0].since == (done.release.number, town.now + HOUR)
    assert any(d.key == key and d.check is Check.STATUS for d in report.differences)


def test_a_release_judged_by_rules_that_are_not_public_is_found_by_everybody(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner puts a stricter policy into the registry and keeps it out of the log. Anybody who can read the log sees
    that it was judged by something else than what stands there."""
    path, now = town.copied(tmp_path), town.now + HOUR
    with open_state(path) as state, the_signer(path, now=now) as signer:
        honest = commit_module._policies(state)
        begins = HERE.iso(now - 60)
        secret = honest[0][3].replace('version = "2022-04-22"', 'version = "secret"')
        secret = re.sub(r"effective_from = .*", f"effective_from = {begins}", secret, count=1)
        state.publish_policy(secret.encode())
        monkeypatch.setattr(commit_module, "_policies", lambda _: honest)
        done = cycle(state, now=now, signer=signer)
    stranger, _ = seen_by_a_stranger(path / "public")
    assert [(d.check, d.what, d.where) for d in stranger.differences] == [
        (
            Check.POLICIES,
            "it was judged by a policy that is not in the log",
            f"release {done.release.number}",
        )
    ]


def test_evidence_that_was_changed_is_found(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    file = sorted((path / "segments" / "tests").rglob("*.parquet"))[0]
    table = pq.read_table(file)
    changed = table.set_column(
        table.schema.get_field_index("result"), "result", pa.array(["positive"] * table.num_rows)
    )
    pq.write_table(changed, file)
    assert Check.EVIDENCE in checks(audited(path))
    with sqlite3.connect(path / "registry.sqlite") as on:  # and the digest made to fit
        said = hashlib.sha256(file.read_bytes()).hexdigest()
        on.execute("UPDATE segments SET digest = ? WHERE file LIKE ?", (said, f"%{file.name}"))
    report = audited(path)
    assert {Check.RELEASES, Check.VERDICTS} <= checks(report)
    assert any("evidence" in d.what for d in report.differences if d.check is Check.RELEASES)


def test_evidence_that_was_deleted_is_found(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    with sqlite3.connect(path / "registry.sqlite") as on:
        on.execute("DELETE FROM segments WHERE kind = 'cases'")
    assert {Check.RELEASES, Check.VERDICTS} <= checks(audited(path))


# rolled back ---------------------------------------------------------------------------------------------------------


def test_a_registry_rolled_back_to_yesterday_is_found_and_nothing_is_built_on_it(
    town: Town, tmp_path: Path
) -> None:
    path = town.copied(tmp_path)
    for name in ("registry.sqlite", "registry.sqlite-wal", "registry.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
        if (town.before / name).exists():
            shutil.copy(town.before / name, path / name)
    assert any("rolled back" in d.what for d in audited(path).differences)
    with (
        open_state(path) as state,
        the_signer(path, now=town.now + HOUR) as signer,
        pytest.raises(Corrupt, match="rolled back"),
    ):
        cycle(state, now=town.now + HOUR, signer=signer)


def test_a_city_rolled_back_whole_is_found_by_whoever_saw_it_before(town: Town, tmp_path: Path) -> None:
    """Signer, registry, public folder: all as yesterday, and consistent. Only a memory outside can tell."""
    _, seen = seen_by_a_stranger(town.path / "public")
    path = town.copied(tmp_path, of=town.before)
    assert audited(path).clean  # the control: without a memory it is a city of yesterday
    assert {Check.LOG, Check.LISTS} <= checks(audited(path, seen=seen))
    stranger, _ = seen_by_a_stranger(path / "public", seen=seen)
    assert any("shorter than" in d.what for d in stranger.differences)


def test_a_city_that_tells_two_stories_is_found_by_whoever_saw_the_other(town: Town, tmp_path: Path) -> None:
    """From yesterday's copy the city goes on another way: same size of log or larger, other entries."""
    _, seen = seen_by_a_stranger(town.path / "public")
    path = town.copied(tmp_path, of=town.before)
    for n in (2, 3):
        with open_state(path) as state, the_signer(path, now=town.now) as signer:
            cycle(state, now=town.now + n * HOUR, signer=signer, everybody=True)
    assert audited(path).clean  # consistent in itself
    stranger, _ = seen_by_a_stranger(path / "public", seen=seen)
    assert any("not those seen before" in d.what for d in stranger.differences)


# keys used outside the log -------------------------------------------------------------------------------------------


def test_a_list_signed_with_the_real_key_and_no_log_entry_is_found(town: Town, tmp_path: Path) -> None:
    """The thief has the status key and puts a list of their own in the folder, properly signed."""
    path = town.copied(tmp_path)
    signing = open_signing(path)
    file = next(f for f in sorted((path / "public" / "status").rglob("*")) if f.is_file())
    honest = open_cwt(file.read_bytes()).claims
    values = unpack(inflate(honest.lst), BITS).copy()
    values[:] = 0
    forged = Claims(
        honest.sub,
        honest.iat,
        honest.exp,
        honest.ttl,
        BITS,
        compress(pack(values, BITS)),
        honest.release,
        honest.tree_size,
    )
    file.write_bytes(to_cwt(forged, signing.signer(Use.STATUS, town.now)))
    stranger, _ = seen_by_a_stranger(path / "public")
    assert [d.what for d in stranger.differences] == ["another list than the log says"]
    assert Check.STATUS in checks(audited(path))


def test_a_credential_signed_with_the_real_key_and_not_by_the_signer_is_found(
    town: Town, tmp_path: Path
) -> None:
    path = town.copied(tmp_path)
    signing = open_signing(path)
    honest = _claims(town.paper)
    ghost = issue.sign(
        type(honest)(
            honest.issuer, honest.issued, honest.expires, honest.uri, honest.index + 1, Kind.PAPER, "鬼*"
        ),
        signing.signer(Use.CREDENTIAL, town.now),
    )
    with open_state(path) as state:
        report = Report()
        public = audit(state, report, seen=Seen())
        assert find_credential(state, public, ghost) is None
        assert find_credential(state, public, town.paper) == last_release(state.registry).number  # type: ignore[union-attr]


def test_a_credential_waits_for_the_next_release_to_be_in_the_log(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    with open_state(path) as state:
        with LocalSigner(path) as signer:
            order = Order(town.whose, Kind.PAPER, "*", _today(town))
            (made,) = signer.credentials([order], now=town.now)
        public = audit(state, report := Report(), seen=Seen())
        assert report.clean
        with pytest.raises(Unavailable, match="since the last release"):
            find_credential(state, public, made)


def test_what_leaves_by_age_leaves_before_the_release_and_not_behind_its_back(
    town: Town, tmp_path: Path
) -> None:
    """Somebody was near a case for thirty hours of a fortnight; when the first of them leave, the code is judged by what
    is left, in the same cycle: an auditor who comes between two cycles finds nothing."""
    path, left = town.copied(tmp_path), 0
    for day in (10, 11, 12):
        now = town.now + day * DAY
        with open_state(path) as state, the_signer(path, now=now) as signer:
            done = cycle(state, now=now, signer=signer)
            left += sum(done.forgotten.shredded.values())
            assert state.generation() == done.release.generation
    assert audited(path).differences == []
    assert left > 1_000, left


def test_a_journal_that_lost_a_credential_is_found(town: Town, tmp_path: Path) -> None:
    path = town.copied(tmp_path)
    (path / "signer" / "journal").write_bytes(b"")
    assert Check.CREDENTIALS in checks(audited(path))


# the signer ----------------------------------------------------------------------------------------------------------


def test_the_signer_refuses_more_reds_an_hour_than_its_key_may_sign(town: Town, tmp_path: Path) -> None:
    """Zhengzhou, June 2022: 1,317 depositors at once. Relief is not counted and never held up."""
    from dataclasses import replace  # noqa: PLC0415

    from kangma.publish.issue import prepare  # noqa: PLC0415
    from kangma.signing.trust import Ceilings  # noqa: PLC0415

    path = town.copied(tmp_path)
    with open_state(path) as state, LocalSigner(path) as signer:
        green = np.flatnonzero(signer.book.shown == 0).astype(np.uint32)[:40]
        red = np.flatnonzero(signer.book.shown == 4).astype(np.uint32)

        def told(persons: np.ndarray, was: int, will: int) -> object:
            n = len(persons)
            table = pa.table(
                {"person": persons}
                | {
                    f"{side}_state": pa.array([value] * n, pa.uint8())
                    for side, value in (("from", was), ("to", will))
                }
                | {
                    f"{side}_{name}": pa.array([0] * n, pa.uint32())
                    for name in ("popups", "reminds")
                    for side in ("from", "to")
                }
            )
            keys = np.frombuffer(b"".join(state.person_keys(pa.array(persons))), np.uint8).reshape(-1, 16)
            return _proposal(signer, state, table, keys, town.now + HOUR)

        def tried(proposal: object, ceilings: Ceilings) -> object:
            return prepare(
                signer.book,
                proposal,  # type: ignore[arg-type]
                raws=signer._raws_of(signer.book),
                openings=np.zeros((proposal.turns.num_rows, 32), np.uint8),  # type: ignore[attr-defined]
                issued=signer._issued(signer.book, proposal),  # type: ignore[arg-type]
                index_key=signer._index,
                ceilings=ceilings,
            )

        few = Ceilings(worse_an_hour=39, worse_ppm_an_hour=0, credentials_a_minute=1)
        with pytest.raises(Unavailable, match="40 codes would turn yellow or red"):
            tried(told(green, 0, 4), few)
        tried(told(green, 0, 4), replace(few, worse_an_hour=40))
        tried(told(red, 4, 0), replace(few, worse_an_hour=0))
        with pytest.raises(Corrupt, match="begins where the last one did not end"):
            tried(told(green, 4, 0), few)


def test_credentials_above_the_ceiling_of_a_minute_are_counted_however_many_there_were(
    tmp_path: Path,
) -> None:
    """The default lets 3,000,000 be signed in a minute; after a million the count must not stand still."""
    now, many = 1_650_000_000, 1_200_000
    rows = np.zeros(many + 7, RECORD)
    rows["kind"], rows["at"] = 1, now
    rows["at"][:7] = now - 61  # of the minute before
    rows["kind"][100:110] = WITHDRAWAL
    rows.tofile(tmp_path / "journal")
    assert Journal(tmp_path / "journal").issued_since(now - 60) == many - 10


def test_releases_that_come_faster_than_seconds_do_not_run_ahead_of_the_clock(
    town: Town, tmp_path: Path
) -> None:
    """A door takes the newest moment that was signed for the time. A busy city whose lists ran a minute ahead would have
    every phone refused, as showing an old picture."""
    path, now = town.copied(tmp_path), town.now + HOUR
    with open_state(path) as state, LocalSigner(path) as signer:
        for _ in range(6):  # each changes the list of papers
            on_paper(state, signer, town.whose, today=_today(town), now=now)
            cycle(state, now=now, signer=signer)
        on_paper(state, signer, town.whose, today=_today(town), now=now)
        with pytest.raises(Unavailable, match="faster than seconds"):
            cycle(state, now=now, signer=signer)
        on_paper(state, signer, town.whose, today=_today(town), now=now + 3)
        cycle(state, now=now + 3, signer=signer)
    files = [f for f in (path / "public" / "status").rglob("*") if f.is_file() and f.suffix != ".delta"]
    assert now + 3 < max(open_cwt(f.read_bytes()).claims.iat for f in files) <= now + 3 + 5
    assert audited(path).clean


def test_no_credential_is_signed_for_a_person_or_a_day_that_no_release_speaks_of(
    town: Town, tmp_path: Path
) -> None:
    path = town.copied(tmp_path)
    with LocalSigner(path) as signer:
        for order in (
            Order(400, Kind.PAPER, "*", _today(town)),
            Order(0, Kind.PAPER, "*", _today(town) - 1),
            Order(0, Kind.PAPER, "*", _today(town) + 3),
        ):
            with pytest.raises(Refused):
                signer.credentials([order], now=town.now)
        assert signer.journal.count == 1


# -----------------------------------------------------------------------------------------------------------------------


def _today(town: Town) -> int:
    return HERE.day(town.now)


def _claims(signed: bytes):  # type: ignore[no-untyped-def]
    from kangma.credential.claims import decode  # noqa: PLC0415
    from kangma.signing.cose import open1  # noqa: PLC0415

    return decode(open1(signed, most=2048).payload)


def _out(path: Path, number: int) -> pa.Table:
    return pq.read_table(path / "releases" / f"{number:08d}" / "out.parquet")


def _make_red(path: Path, number: int, victim: int) -> None:
    red = {"person": victim, "state": 4, "popups": 0, "reminds": 0, "next_change_at": None}
    table = pa.concat_tables([_out(path, number), pa.Table.from_pylist([red], OUT)]).sort_by("person")
    pq.write_table(table, path / "releases" / f"{number:08d}" / "out.parquet")


def _nibbles(path: Path) -> np.ndarray:
    """All values of the daily lists, of all days that the town's first state has."""
    files = sorted(
        f for f in (path / "public" / "status").rglob("0") if f.is_file() and f.parent.name[0] != "x"
    )
    return np.concatenate([unpack(inflate(open_cwt(f.read_bytes()).claims.lst), BITS) for f in files])


def _proposal(signer: LocalSigner, state: object, table: pa.Table, keys: np.ndarray, now: int) -> object:
    from kangma.publish.issue import Proposal  # noqa: PLC0415

    return Proposal(
        signer.book.number + 1,
        now,
        CITY.zone,
        len(signer.book.shown),
        table,
        keys,
        {},
        journal=signer.journal.count,
    )


def test_the_town_has_what_these_tests_need(town: Town) -> None:
    with open_state(town.path) as state:
        assert coloured(state, 4) == town.whose
    assert town.turns > 40
