"""Two planes and several workers: who answers what, who is believed, what is counted together, what is gone for all."""

from __future__ import annotations

import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hamlet import BASE, CITY, NURSE, Hamlet, Letters
from hypothesis import given
from hypothesis import strategies as st
from test_front_sealed import write

from kangma.errors import Unavailable
from kangma.gateway.front.app import Plane, make_app, make_read_plane
from kangma.gateway.front.city import City
from kangma.gateway.front.defence.limits import Limiter, Network, OfTogether, Rate, Together
from kangma.gateway.front.listening import listen, where
from kangma.gateway.front.serving import Doorway
from kangma.gateway.front.watch.inner import make_inner, make_read_inner
from kangma.gateway.front.watch.sensors import Sensors
from kangma.store.front import FrontStore
from kangma.terms import zone

FORK = multiprocessing.get_context("fork")


# planes --------------------------------------------------------------------------------------------------------


def test_each_address_is_answered_by_one_plane_and_by_the_whole(shared: Hamlet) -> None:
    read = TestClient(make_read_plane(shared.path / "public", hosts=["door.example"]), base_url=BASE)
    write = TestClient(make_app(shared.city, hosts=["door.example"], plane=Plane.WRITE), base_url=BASE)
    whole = shared.client()
    for path in ("/", "/scan", "/sw.js", "/public/latest.json", "/public/root"):
        assert [c.get(path).status_code for c in (read, write, whole)] == [200, 404, 200], path
        assert read.get(path).content == whole.get(path).content
    for path in ("/v1/me/code", "/v1/me/tests"):
        assert [c.get(path).status_code for c in (read, write, whole)] == [404, 401, 401], path
    assert read.get("/openapi.json").status_code == 404
    assert (
        write.get("/openapi.json").json() == whole.get("/openapi.json").json()
    )  # one world, one description


def test_the_read_plane_refuses_in_the_same_form(shared: Hamlet) -> None:
    read = TestClient(make_read_plane(shared.path / "public", hosts=["door.example"]), base_url=BASE)
    asked = [("/public/%72oot", {}, 400), ("/public/root?v=1", {}, 400), ("/nothing", {}, 404)]
    asked.append(("/public/root", {"host": "evil.example"}, 421))
    for path, headers, status in asked:
        said = read.get(path, headers=headers)
        assert said.status_code == status
        assert said.headers["content-type"] == "application/problem+json"
    assert read.post("/public/root").status_code == 405


def test_the_read_plane_opens_nothing_but_the_public_folder(shared: Hamlet, tmp_path: Path) -> None:
    """It runs where there is nothing else: no vault, no key, no database."""
    public = tmp_path / "public"
    public.symlink_to(shared.path / "public")
    read = TestClient(make_read_plane(public, hosts=["door.example"]), base_url=BASE)
    assert read.get("/public/latest.json").status_code == 200
    assert sorted(f.name for f in tmp_path.iterdir()) == ["public"]


def test_each_process_says_whether_it_is_ready(shared: Hamlet, tmp_path: Path) -> None:
    read = TestClient(make_read_inner(shared.path / "public", Sensors(), shared.clock))
    said = read.get("/health/ready")
    assert (said.status_code, said.json()["ready"], said.json()["release"]) == (200, True, 1)
    nothing = TestClient(make_read_inner(tmp_path, Sensors(), shared.clock))
    assert nothing.get("/health/ready").status_code == 503
    assert nothing.get("/health/live").status_code == 200
    assert b"kangma_front_answers" in read.get("/metrics").content


def test_parts_are_judged_by_what_they_leave(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = TestClient(make_inner(door.city, Sensors()))
    said = inner.get("/health/parts")
    assert said.status_code == 503  # nobody listens at the signer's socket
    assert said.json() == {
        "signer": False, "cycle": True, "answers": True, "slots": False, "release_age_s": 0, "answers_behind": 0,
        "slots_age_s": 65_100,  # since midnight: none was written today
        "elsewhere_age_s": {},  # no other city is recognised
    }  # fmt: skip
    write(door)
    with socket.socket(socket.AF_UNIX) as signer:
        monkeypatch.chdir(door.path)  # a socket's path is short
        signer.bind("signer/socket")
        signer.listen()
        assert inner.get("/health/parts").status_code == 200
        door.cycle_only()
        door.cycle_only()
        assert inner.get("/health/parts").json()["answers"] is False
        door.answers.turn()
        assert inner.get("/health/parts").status_code == 200
        door.clock.now += 3_600
        assert inner.get("/health/parts").json()["cycle"] is False


# whom we believe -------------------------------------------------------------------------------------------------


def _from(client: str, *forwarded: str) -> dict[str, Any]:
    return {"client": (client, 1), "headers": [(b"x-forwarded-for", f.encode("latin-1")) for f in forwarded]}


@pytest.mark.parametrize(
    ("client", "forwarded", "network"),
    [
        ("198.51.100.9", (), "198.51.100.0/24"),
        ("198.51.100.9", ("203.0.113.7",), "198.51.100.0/24"),  # a stranger's word
        ("127.0.0.1", ("203.0.113.7",), "203.0.113.0/24"),
        ("127.0.0.1", ("1.2.3.4, 203.0.113.7",), "203.0.113.0/24"),  # what stands before was the caller's
        ("127.0.0.1", ("1.2.3.4", "203.0.113.7"), "203.0.113.0/24"),  # in a header of its own too
        (
            "127.0.0.1",
            ("203.0.113.7, 10.1.2.3",),
            "203.0.113.0/24",
        ),  # two proxies of ours, one behind the other
        ("127.0.0.1", ("127.0.0.1, 203.0.113.7",), "203.0.113.0/24"),  # a caller who claims to be our proxy
        ("127.0.0.1", ("10.9.9.9",), "10.9.9.0/24"),  # near ours, and none of ours
        ("::ffff:127.0.0.1", ("203.0.113.7",), "203.0.113.0/24"),
        ("127.0.0.1", ("2001:db8:5:6::1",), "2001:db8:5::/48"),
        ("127.0.0.1", ("203.0.113.7, nonsense",), ""),  # never past a word that is no address
        ("127.0.0.1", ("203.0.113.7, ",), ""),
        ("127.0.0.1", (), "127.0.0.0/24"),
        ("2001:db8:1::7", ("203.0.113.7",), "203.0.113.0/24"),
        ("2001:db8:2::7", ("203.0.113.7",), "2001:db8:2::/48"),
    ],
)
def test_only_what_a_proxy_of_ours_wrote_is_believed(
    client: str, forwarded: tuple[str, ...], network: str
) -> None:
    ours = Network(("127.0.0.1", "10.1.0.0/16", "2001:db8:1::/48"))
    assert ours.of(_from(client, *forwarded)) == network
    assert ours.of(_from(client, *forwarded)) == network  # remembered as it was


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.lists(st.ip_addresses(), max_size=3))
def test_whatever_a_caller_writes_the_proxy_has_the_last_word(lie: str, more: list[Any]) -> None:
    ours = Network(("127.0.0.1",))
    lies = ", ".join([lie, *map(str, more), "203.0.113.7"])
    assert ours.of(_from("127.0.0.1", lies)) == "203.0.113.0/24"
    assert ours.of(_from("198.51.100.9", lies)) == "198.51.100.0/24"


def test_a_proxy_is_an_address_or_a_network(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listening:
        for wrong in ("nonsense", "10.0.0.0/33", ""):
            with pytest.raises(Unavailable, match="--proxy"):
                Doorway(listening, (), proxies=(wrong,)).defence()


# counted together ------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 3)), max_size=60))
def test_the_shared_count_is_the_count_of_one(asked: list[tuple[int, float]]) -> None:
    fd = Together.make(64)
    rate, now = Rate(2.0, 3), 100.0
    alone, together = Limiter(rate), OfTogether(rate, "resident show", Together(fd))
    os.close(fd)
    for key, pause in asked:
        now += pause
        assert together.after(key, now) == pytest.approx(alone.after(key, now))


def _ask(fd: int, times: int, admitted: Any) -> None:
    limiter = OfTogether(Rate(0.001, 5_000), "x", Together(fd))
    done = sum(not limiter.after("one", 5.0) for _ in range(times))
    with admitted:
        admitted.value += done


def test_two_workers_admit_hardly_more_than_one_would() -> None:
    """Both ask for one caller as fast as they can, at the same moment: the worst there is for counts without a lock."""
    fd, admitted = Together.make(64), FORK.Value("i", 0)
    workers = [FORK.Process(target=_ask, args=(fd, 6_000, admitted)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    os.close(fd)
    assert 5_000 <= admitted.value < 9_000  # each by itself would have admitted 5,000, and both 10,000


def test_a_full_table_forgives_who_used_least_and_charges_nobody() -> None:
    fd = Together.make(8)  # one bucket
    limiter = OfTogether(Rate(1.0, 10), "x", Together(fd))
    os.close(fd)
    for used in range(8):
        for _ in range(used + 2):
            limiter.after(f"caller {used}", 100.0)
    assert limiter.after("a ninth", 100.0) == 0.0
    assert [limiter.after(f"caller {used}", 100.0) > 0 for used in range(8)] == [False] * 8
    for _ in range(10):
        limiter.after("caller 7", 100.0)
    assert limiter.after("caller 7", 100.0) > 0


def test_workers_divide_what_each_holds() -> None:
    with listen("127.0.0.1", 0) as listening:
        one, three = (Doorway(listening, (), workers=n).defence() for n in (1, 3))
    assert (one.most_held, three.most_held, three.most_held_of_a_network) == (8_000, 2_666, 1_333)


# gone for all ------------------------------------------------------------------------------------------------------


class Slow(FrontStore):
    """Between reading the turns and handing them on, somebody else changes one."""

    read, go_on = threading.Event(), threading.Event()

    def turns(self) -> list[tuple[int, int]]:
        found = super().turns()
        self.read.set()
        assert self.go_on.wait(10)
        return found


@pytest.fixture
def starting(door: Hamlet, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Thread]:
    """Another worker of the same city, in the middle of its start."""
    monkeypatch.setattr("kangma.gateway.front.city.FrontStore", Slow)
    Slow.read.clear()
    Slow.go_on.clear()

    def start() -> None:
        City(door.state, door.signer, Letters(), zone=zone(CITY.zone), clock=door.clock).close()

    worker = threading.Thread(target=start)
    yield worker
    Slow.go_on.set()
    if worker.is_alive():
        worker.join(10)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("locked", [True, False])
def test_a_worker_that_starts_brings_no_dead_token_back(
    door: Hamlet, starting: threading.Thread, monkeypatch: pytest.MonkeyPatch, locked: bool, leaves: bool
) -> None:
    """Without the lock, the control, it does."""
    phone = door.resident(NURSE)
    device = phone.get("/v1/me/devices").json()["devices"][0]["device"]
    if not locked:
        monkeypatch.setattr("kangma.store.durable.WriterLock._take", lambda *_: os.open("/", os.O_RDONLY))
    starting.start()
    assert Slow.read.wait(10)
    if locked:  # whoever ends the device waits for the worker
        threading.Timer(0.5, Slow.go_on.set).start()
    ended = phone.delete("/v1/me") if leaves else phone.delete(f"/v1/me/devices/{device}")
    assert ended.status_code == 204
    Slow.go_on.set()
    starting.join(10)
    assert phone.get("/v1/me/code").status_code == (401 if locked else 200)


# sockets ---------------------------------------------------------------------------------------------------------


def test_a_port_is_one_programs(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        assert where(first) == f"http://127.0.0.1:{port}"
        with pytest.raises(Unavailable, match=str(port)):
            listen("127.0.0.1", port)


def test_who_comes_while_nobody_answers_waits(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as caller:
        caller.sendall(b"hello")
        time.sleep(0.05)
        listening.setblocking(True)
        on, _ = listening.accept()
        with on:
            assert on.recv(9) == b"hello"
