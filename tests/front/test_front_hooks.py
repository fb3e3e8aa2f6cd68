"""A code turns while somebody rides: the platform is told, signed, until it has it, at the address that was registered
and nowhere else."""

from __future__ import annotations

import base64
import datetime
import json
import multiprocessing
import os
import random
import signal
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509.oid import NameOID
from hamlet import EVERYBODY, NURSE, Hamlet, hamlet, result, unlimited
from laboratory import Client, registered
from platform_side import Heard, example, listening
from test_front_rides import agree, check, new_ride, room

from kangma.errors import Refused
from kangma.gateway.front.clients import hooks as hooks_module
from kangma.gateway.front.clients.hooks import MOST_SAID, Hooks
from kangma.gateway.front.clients.outward import Why, post, target
from kangma.gateway.front.clients.signatures import base_of, parameters_of, signed
from kangma.store.front_clients import ClientStore
from kangma.store.front_hooks import HookStore, Turn

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Hamlet]:
    with hamlet(tmp_path, defence=unlimited()) as made:
        yield made


@pytest.fixture
def heard() -> Iterator[Heard]:
    with listening() as made:
        yield made


def platform(door: Hamlet, heard: Heard, name: str = "cars") -> Client:
    """A registered platform that is told at its server."""
    made = registered(door, name, "ride:check")
    client = ClientStore(door.city.store).named(name)
    door.city.hooks.set(client, target(heard.url, private=True).url, private=True, now=door.clock.now)
    return made


def teller(door: Hamlet, **more: Any) -> Hooks:
    given = {"spread": 0, "chance": random.Random(1), "ticks": lambda: float(door.clock.now), **more}
    return Hooks(door.city.state, door.city.store, door.city.zone, clock=door.clock, **given)


def done(hooks: Hooks) -> None:
    """Turns until nothing is on its way."""
    hooks.turn()
    while hooks._on_way:
        time.sleep(0.005)


def riding(door: Hamlet, cars: Client, who: Any = NURSE) -> tuple[Any, str]:
    """(phone, ride): this passenger rides, and the platform asked."""
    phone, ride = door.resident(who), new_ride()
    consent = agree(phone, cars.name, ride)["consent"]
    assert check(cars.http(), ride, consent).json()["result"] == "pass"
    return phone, ride


def turns(door: Hamlet, colour: str = "red") -> None:
    """The next release has everybody in this colour. Without a cycle: the read model is what is looked at."""
    slots, writer = door.city.slots, door.answers._writer
    release = (slots.ready() or 0) + 1
    for slot in [x.slot for x in door.city.store.residents() if x.bound]:
        code = json.loads(slots.answer(slot) or b"")
        code = {k: v for k, v in code.items() if k not in ("as_of", "release")} | {"colour": colour}
        writer.put(slot, json.dumps(code).encode()[:-1], release)
    writer.put_tail(f',"as_of":"","release":{release}}}'.encode(), release)
    door.clock.now += 60


def read(door: Hamlet, heard: Heard, since: int = 0) -> list[Any]:
    """What came, as the example's code understands it."""
    keys = door.client().get("/partner/v1/keys").json()["keys"]
    told = example().Told(target(heard.url, private=True).url, keys)
    return [told.read(headers, body, now=door.clock.now) for _, headers, body in heard.came[since:]]


def test_a_nurse_tests_positive_while_she_rides_and_the_platform_is_told(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    _, ride = riding(door, cars)
    with teller(door) as hooks:
        done(hooks)
        assert heard.came == []  # nothing turned
        door.cycle({"tests": [result(NURSE, "S-9", "2022-04-25T12:00:00+08:00", "positive")]})
        done(hooks)
        done(hooks)
    (said,) = read(door, heard)
    assert said.keys() == {"ride", "result", "expires_at"}
    assert (said["ride"], said["result"]) == (ride, "refuse")
    assert said["expires_at"] == "2022-04-25T18:20:00+08:00"  # the clock's, not hers
    (path, headers, body) = heard.came[0]
    assert (path, len(body)) == ("/told", MOST_SAID)
    told = json.dumps([path, headers, body.decode()], ensure_ascii=False)
    assert not [x for p in EVERYBODY for x in (p.id_number, p.name, p.phone) if x in told]


def test_who_did_not_ask_or_has_no_address_is_told_nothing(door: Hamlet, heard: Heard) -> None:
    cars, plain = platform(door, heard), registered(door, "plain", "ride:check")
    phone = door.resident(NURSE)
    agree(phone, "cars", new_ride())  # the platform never asked
    ride = new_ride()
    check(plain.http(), ride, agree(phone, "plain", ride)["consent"])
    check(cars.http(), ride, agree(phone, "cars", ride)["consent"][::-1])  # a made-up consent
    with teller(door) as hooks:
        turns(door)
        done(hooks)
        assert door.city.hooks.open(now=door.clock.now) == []
    assert heard.came == []


# once and for all ----------------------------------------------------------------------------------------------------


def test_a_platform_that_is_down_is_told_later_and_under_the_same_name(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    riding(door, cars)
    heard.answers[:] = [500, 302, 404, 204]
    with teller(door) as hooks:
        turns(door)
        pauses, began = list[int](), door.clock.now
        for _ in range(60):
            before = len(heard.came)
            done(hooks)
            if len(heard.came) > before:
                pauses.append(door.clock.now - began)
                began = door.clock.now
            door.clock.now += 1
        assert len(heard.came) == 4
        assert len(set(heard.names)) == 1
        assert pauses == sorted(pauses)
        assert pauses[-1] >= 2
        assert door.city.hooks.hooks()["cars"].waiting == 0
    assert read(door, heard)[1:] == [None, None, None]  # the example drops what it has


def test_only_the_newest_is_told_of_a_ride(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    riding(door, cars)
    store, now = door.city.hooks, door.clock.now
    ride = store.open(now=now)[0].ride
    for result_ in ("refuse", "unknown", "refuse"):
        store.tell([Turn(ride, result_, now + 600)], at=[now])
    assert [m.result for m in store.due(now=now, most=10)] == ["refuse"]
    with teller(door) as hooks:
        done(hooks)  # the code is green all the while: so says the last message
    assert [x["result"] for x in read(door, heard)] == ["pass"]


def test_an_old_message_is_not_sent_and_another_takes_its_place(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    riding(door, cars)
    heard.answers[:] = [500]
    with teller(door) as hooks:
        turns(door)
        done(hooks)
        door.clock.now += 1_800
        heard.answers[:] = [204]
        done(hooks)
    assert len(set(heard.names)) == 2
    assert read(door, heard, 1)[-1]["expires_at"] == "2022-04-25T18:50:00+08:00"


@pytest.mark.parametrize(
    "how", ["the platform says so", "the passenger takes it back", "two hours", "she leaves"]
)
def test_a_ride_that_is_over_is_nobodys_business(door: Hamlet, heard: Heard, how: str) -> None:
    cars = platform(door, heard)
    phone, ride = riding(door, cars)
    match how:
        case "the platform says so":
            for name in (ride, new_ride()):  # one that never was is answered alike
                assert cars.http().delete(f"/partner/v1/rides/{name}").status_code == 204
            assert phone.get("/v1/me/rides").json() == {"rides": []}
        case "the passenger takes it back":
            phone.delete(f"/v1/me/rides/{phone.get('/v1/me/rides').json()['rides'][0]['ride']}")
        case "two hours":
            door.clock.now += 7_200
        case "she leaves":
            phone.delete("/v1/me")
    with teller(door) as hooks:
        turns(door)
        done(hooks)
    assert heard.came == []
    assert door.city.hooks.open(now=door.clock.now) == []
    with door.city.store.read() as on:
        assert on.exec_driver_sql("SELECT count(*) FROM watches").scalar() == 0


def test_one_platform_ends_no_ride_of_anothers(door: Hamlet, heard: Heard) -> None:
    cars, taxis = platform(door, heard), registered(door, "taxis", "ride:check")
    _, ride = riding(door, cars)
    assert taxis.http().delete(f"/partner/v1/rides/{ride}").status_code == 204
    assert len(door.city.hooks.open(now=door.clock.now)) == 1


def test_a_platform_that_is_dead_holds_up_no_other(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    with listening() as gone:
        pass
    dead = platform(door, gone, "dead")
    phone = door.resident(NURSE)
    for client in [dead] * 10 + [cars]:
        ride = new_ride()
        check(client.http(), ride, agree(phone, client.name, ride)["consent"])
    with teller(door) as hooks:
        turns(door)
        done(hooks)
        assert len(heard.came) == 1
        for _ in range(5):
            done(hooks)
        waiting = door.city.hooks.hooks()["dead"]
    assert (waiting.waiting, waiting.why) == (10, "line")
    assert waiting.tries == 1  # after a failure it is left alone for a while


# killed --------------------------------------------------------------------------------------------------------------


def tells(door: Hamlet, where: str) -> None:
    """In a process of its own, killed at `where`."""
    mark = HookStore.delivered

    def dies(self: HookStore, *a: Any) -> None:
        if where == "after":
            mark(self, *a)
        os.kill(os.getpid(), signal.SIGKILL)

    if where == "before":
        hooks_module.post = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]  # dies
    HookStore.delivered = dies  # type: ignore[method-assign]  # dies
    with teller(door) as hooks:
        done(hooks)
        time.sleep(5)


@pytest.mark.parametrize(("where", "times"), [("before", 1), ("between", 2), ("after", 1)])
def test_a_sender_killed_between_post_and_mark_says_the_same_once_more(
    door: Hamlet, heard: Heard, where: str, times: int
) -> None:
    cars = platform(door, heard)
    riding(door, cars)
    turns(door)
    door.city.store._engine.dispose()
    victim = FORK.Process(target=tells, args=(door, where))
    victim.start()
    victim.join(30)
    assert victim.exitcode == -signal.SIGKILL
    with teller(door) as hooks:
        done(hooks)
    assert len(heard.came) == times
    assert len(set(heard.names)) == 1
    assert [x is None for x in read(door, heard)] == [False, True][:times]


# signed --------------------------------------------------------------------------------------------------------------


def test_the_standards_own_signature_comes_out() -> None:
    """RFC 9421, B.2.6, with the key of B.1.4."""
    key = load_der_private_key(
        base64.b64decode("MC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF"), None
    )
    covered = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"), ("@method", "POST"), ("@path", "/foo"),
        ("@authority", "example.com"), ("content-type", "application/json"), ("content-length", "18"),
    ]  # fmt: skip
    names = [name for name, _ in covered]
    parameters = parameters_of(names, created=1618884473, keyid="test-key-ed25519")
    made = key.sign(base_of(covered, parameters))  # type: ignore[union-attr,call-arg]  # an Ed25519 key
    assert base64.b64encode(made).decode() == (
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_a_message_that_was_touched_is_not_believed(door: Hamlet) -> None:
    store, now, url = door.city.hooks, door.clock.now, "https://cars.example/told"
    keys = door.client().get("/partner/v1/keys").json()["keys"]
    body = b'{"ride":"x","result":"pass","expires_at":""}'
    headers = signed(store.keys.signing, url, body, message="m" * 32, created=now)
    told = example().Told(url, keys)
    assert told.read(headers, body, now=now)["result"] == "pass"
    assert told.read(headers, body, now=now) is None  # once
    other = signed(Ed25519PrivateKey.generate(), url, body, message="m" * 32, created=now)
    params = headers["signature-input"]
    for wrong, content, at, where in (
        (headers, body.replace(b"pass", b"PASS"), now, url),
        (headers, body, now + 301, url),
        (headers, body, now, "https://taxis.example/told"),  # what was for another platform
        (headers | {"webhook-id": "n" * 32}, body, now, url),
        (headers | {"content-type": "text/plain"}, body, now, url),
        (headers | {"signature-input": params.replace(str(now), str(now + 1))}, body, now, url),
        (headers | {"signature-input": params.replace('"content-digest" ', "")}, body, now, url),
        (headers | {"signature": ""}, body, now, url),
        (other, body, now, url),
        (other | {"signature-input": params}, body, now, url),
        ({}, body, now, url),
    ):
        with pytest.raises(ValueError, match=r"."):
            example().Told(where, keys).read(wrong, content, now=at)


# where to ------------------------------------------------------------------------------------------------------------

INWARD = (
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "fec0::1", "ff02::1", "::ffff:10.0.0.1", "::10.0.0.1",
    "64:ff9b::a00:1", "2002:a00:1::", "2001:0:a00:1::", "::ffff:169.254.169.254",
)  # fmt: skip
NEVER = ("169.254.169.254", "0.0.0.0", "224.0.0.1", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe")


@pytest.mark.parametrize(
    "url",
    [
        "http://cars.example/told", "ftp://cars.example/", "//cars.example/", "cars.example", "https://", "https:///told",
        "https://a:b@cars.example/", "https://cars.example/#here", "https://cars.example/a b", "https://cars.example:0/",
        "https://cars.example:70000/", "https://cars.example\\@10.0.0.1/", "https://例.example/", "https://2130706433/",
        "https://0x7f000001/", "https://0177.0.0.1/", "https://127.1/", "https://cars.example./", "https://[fe80::1%25eth0]/",
        "https://cars.example/\n", "https://cars.example/" + "x" * 500, "http://127.0.0.1:8080/", "http://localhost/",
        *(f"https://{f'[{a}]' if ':' in a else a}/told" for a in INWARD),
    ],
)  # fmt: skip
def test_an_address_that_is_not_plainly_theirs_is_not_registered(url: str) -> None:
    with pytest.raises(Refused):
        target(url, private=False)


def test_what_may_be_registered_is_kept_in_one_form() -> None:
    assert target("https://Cars.Example:443/Told?a=1", private=False).url == "https://cars.example/Told?a=1"
    assert target("https://cars.example", private=False).url == "https://cars.example/"
    assert target("https://[2606:4700::1111]:8443/t", private=False).url == "https://[2606:4700::1111]:8443/t"
    for url in (
        "http://127.0.0.1:9/told",
        "http://localhost:9/",
        "https://10.0.0.7/told",
        "https://[fd00::1]/",
    ):
        assert target(url, private=True).url == url
    for url in (
        "http://10.0.0.7/told",
        "http://cars.example/",
        *(f"https://[{a}]/" for a in NEVER if ":" in a),
    ):
        with pytest.raises(Refused):
            target(url, private=True)


@pytest.mark.parametrize("address", INWARD)
def test_a_name_that_leads_inward_is_not_followed(address: str) -> None:
    to = target("https://cars.example/told", private=False)
    for answer in ([address], ["93.184.215.14", address], []):
        assert post(to, b"", {}, private=False, resolve=lambda *_, a=answer: a) is Why.ADDRESS
    if address in NEVER:
        assert post(to, b"", {}, private=True, resolve=lambda *_: [address]) is Why.ADDRESS


def test_a_name_is_looked_up_once_and_that_address_is_called(heard: Heard) -> None:
    """A name that leads inward the second time it is asked for is not asked for a second time."""
    port = int(heard.url.rpartition(":")[2].partition("/")[0])
    asked = list[str]()

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    to = target(f"http://localhost:{port}/told", private=True)
    assert post(to, b"{}", {}, private=True, resolve=resolve) is None
    assert asked == ["localhost"]
    assert heard.came[0][1]["host"] == f"localhost:{port}"
    assert post(to, b"{}", {}, private=False, resolve=resolve) is Why.ADDRESS


def drips(handler: BaseHTTPRequestHandler) -> None:
    """A byte now and then, without an end."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
        for _ in range(200):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.05)
    except OSError:
        pass


def rubbish(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00" * 100_000)


def test_whatever_the_other_side_does_it_ends_soon_and_follows_nothing(heard: Heard) -> None:
    to = target(heard.url, private=True)
    said = list[tuple[Why | None, bool]]()
    heard.answers[:] = [302, 307, 503, drips, rubbish, lambda h: h.connection.close(), 200]
    for _ in range(7):
        began = time.monotonic()
        why = post(to, b"{}", {}, private=True, seconds=0.5)
        said.append((why, time.monotonic() - began < 5))
    assert said == [
        (Why.ANSWER, True), (Why.ANSWER, True), (Why.ANSWER, True), (Why.TIME, True), (Why.LINE, True), (Why.LINE, True),
        (None, True),
    ]  # fmt: skip
    assert {path for path, _, _ in heard.came} == {"/told"}


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """(server's, trusting): of a certificate for this host."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    day = datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(7).not_valid_before(now - day).not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    file = folder / "both.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=file)


def test_only_who_proves_to_be_the_host_is_told(tmp_path: Path) -> None:
    server, trusting = certificate(tmp_path, "cars.example")
    with listening(server) as heard:
        port = heard.url.rpartition(":")[2].partition("/")[0]

        def told(host: str, context: ssl.SSLContext | None) -> Why | None:
            to = target(f"https://{host}:{port}/told", private=True)
            return post(to, b"{}", {}, private=True, resolve=lambda *_: ["127.0.0.1"], context=context)

        assert told("cars.example", trusting) is None
        assert told("taxis.example", trusting) is Why.PROOF
        assert told("cars.example", None) is Why.PROOF
        assert len(heard.came) == 1


def test_the_file_holds_no_name_of_a_ride(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    _, ride = riding(door, cars)
    kept = b"".join(file.read_bytes() for file in (door.path / "front").iterdir() if file.is_file())
    assert ride.encode() not in kept
    with pytest.raises(TypeError):
        __import__("pickle").dumps(door.city.hooks.keys)


def test_hooks_are_set_and_ended_on_the_command_line(
    door: Hamlet, capsys: pytest.CaptureFixture[str]
) -> None:
    from kangma.cli import main  # noqa: PLC0415  loads every verb

    registered(door, "cars", "ride:check")
    registered(door, "lab", "source:tests")

    def kangma(*words: str) -> tuple[int, Any]:
        with pytest.raises(SystemExit) as ended:
            main(["client", str(door.path), *words, "--json"])
        out = capsys.readouterr().out
        return int(ended.value.code or 0), json.loads(out) if out else None

    url = "https://cars.example/told"
    code, said = kangma("hook", "cars", "--url", url)
    assert (code, said["url"]) == (0, url)
    assert [said["key"]] == door.client().get("/partner/v1/keys").json()["keys"]
    hook = next(c["hook"] for c in kangma("list")[1]["clients"] if c["name"] == "cars")
    assert hook == {"url": url, "private": False, "waiting": 0, "tries": 0, "why": None}
    for words in (("lab", "--url", url), ("cars", "--url", "http://cars.example/"), ("nobody", "--url", url)):
        assert kangma("hook", *words)[0] == 2
    assert kangma("hook", "cars")[0] == 0
    assert [c["hook"] for c in kangma("list")[1]["clients"]] == [None, None]


def test_two_who_would_tell_at_once_are_one(door: Hamlet) -> None:
    with teller(door), pytest.raises(Exception, match="another"), closing(teller(door)):
        pass


def test_messages_of_one_release_go_out_in_an_order_of_chance(door: Hamlet, heard: Heard) -> None:
    cars = platform(door, heard)
    phone = door.resident(NURSE)
    room(door, cars, phone, 0)
    for _ in range(12):
        ride = new_ride()
        check(cars.http(), ride, agree(phone, "cars", ride)["consent"])
    with teller(door, spread=20) as hooks:
        turns(door)
        assert hooks.look() == 12
    with door.city.store.read() as on:
        due = {row[0] - door.clock.now for row in on.exec_driver_sql("SELECT next_at FROM messages")}
    assert len(due) > 4
    assert due <= set(range(21))
