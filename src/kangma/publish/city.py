"""Which city a state directory is, and its signer: keys that wait for their first use, and who answers.

`kangma init` writes down the city. In the development environment, where the root keys lie in the directory itself, the
keys are made by the first cycle, as at its time, and renewed by later ones: a city that is only tried out, perhaps in
April 2022, needs no ceremony. Anywhere else people with root keys do it (`kangma keys`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kangma.errors import Code, Corrupt, Refused, Unavailable
from kangma.publish.signer import LocalSigner, ReleaseSigner
from kangma.publish.wire import SOCKET, RemoteSigner
from kangma.signing.keys import Environment
from kangma.signing.rotation import announce_next
from kangma.signing.trust import Ceilings, Use, sign_trust
from kangma.store.durable import WriterLock, write_file
from kangma.store.keyfiles import read_key_file
from kangma.store.keys import make_key_folder
from kangma.store.signing import Signing, install, make_signing, new_keys, open_signing
from kangma.terms import DAY, Moment, Text

FILE = "city.json"
#: While less than this is left of the newest key of a use, the next one is announced.
AHEAD = 30 * DAY
#: Turns to yellow or red an hour: so many, or 5 % of the residents.
CEILINGS = Ceilings(worse_an_hour=1_000, worse_ppm_an_hour=50_000, credentials_a_minute=3_000_000)


@dataclass(frozen=True, slots=True)
class CityName:
    """What a city calls itself to those who verify its codes; `kangma.signing.trust.Authority` says what each is."""

    id: str
    name: Text
    base: str
    origin: str
    environment: Environment
    zone: str


def name_city(path: Path, city: CityName) -> None:
    """The state directory at `path` is this city from now on; durable on return."""
    said = {
        "id": city.id,
        "name": city.name.as_json(),
        "base": city.base,
        "origin": city.origin,
        "environment": city.environment.value,
        "zone": city.zone,
    }
    write_file(path / FILE, json.dumps(said, ensure_ascii=False, indent=1).encode())


def city_name(path: Path) -> CityName | None:
    """What `name_city` wrote; None for a directory that publishes nothing."""
    try:
        said = json.loads((path / FILE).read_bytes())
        return CityName(
            said["id"],
            Text(said["name"]["zh"], said["name"]["en"]),
            said["base"],
            said["origin"],
            Environment(said["environment"]),
            said["zone"],
        )
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as problem:
        raise Corrupt(f"{FILE} is damaged") from problem


@contextmanager
def the_signer(path: Path, *, now: Moment) -> Iterator[ReleaseSigner | None]:
    """`signer_of` for a while."""
    signer = signer_of(path, now=now)
    try:
        yield signer
    finally:
        if isinstance(signer, LocalSigner):
            signer.close()


def publishes(path: Path) -> bool:
    """Whether a state directory is a city's that makes its codes public: it was named, or has keys."""
    return (path / FILE).exists() or (path / "signer" / "root").exists()


def signer_of(path: Path, *, now: Moment) -> ReleaseSigner | None:
    """The signer of a state directory: the one that listens at its socket, else one in this process, which is to be
    closed. None for a directory that publishes nothing.

    Unavailable when another program has the signer and does not listen, or when keys wait for their ceremony.
    """
    if not publishes(path):
        return None
    has_keys(path, now=now)
    socket = path / "signer" / SOCKET
    if socket.is_socket():
        remote = RemoteSigner(socket)
        try:
            remote.describe()
            return remote
        except Unavailable:
            pass  # left by a signer that was killed
    return LocalSigner(path)


def has_keys(path: Path, *, now: Moment) -> None:
    """Makes the keys that a city in development needs now and within the next weeks. Elsewhere people make them:
    Unavailable when there are none yet, Refused for a directory that is no city."""
    city = city_name(path)
    try:
        signing = open_signing(path)
    except Refused as problem:
        if problem.code is not Code.UNREADABLE:
            raise
        if city is None:
            raise Refused(
                Code.UNREADABLE, hint="this directory names no city: `kangma init` makes one"
            ) from None
        if city.environment is not Environment.DEVELOPMENT:
            raise Unavailable("there are no keys yet: `kangma keys DIR ceremony` makes them") from None
        signing = _first_keys(path, city, now)
    roots = [path / "root" / f"root-{i}.pem" for i in (1, 2)]
    trust = signing.trust
    if trust.environment is not Environment.DEVELOPMENT or not all(f.exists() for f in roots):
        return
    ending = [
        use
        for use in (Use.CREDENTIAL, Use.STATUS, Use.LOG)
        if max(
            (k.not_after for k in trust.publisher.keys if k.use is use and k.revoked_at is None), default=0
        )
        < now + AHEAD
    ]
    if now < trust.issued or not (ending or trust.expires < now + AHEAD):
        return
    fresh = {use: signer.public for use, signer in new_keys(path, ending, trust.environment).items()}
    officers = [read_key_file(f) for f in roots]
    install(path, sign_trust(announce_next(trust, fresh, now), officers), now=now)


def _first_keys(path: Path, city: CityName, now: Moment) -> Signing:
    """The keys of a city in development, made where there are none. Two who want them at once get the same."""
    with contextlib.suppress(FileExistsError):
        make_key_folder(path / "signer")
    with WriterLock(path / "signer" / "lock").hold(wait=10):
        if not (path / "signer" / "root").exists():
            if not (path / "public" / "root").exists():
                # Root keys that signed nothing: whoever was making them was killed before the first list was there.
                for left in (path / "root").glob("root-*.pem"):
                    left.unlink()
            make_signing(
                path,
                authority_id=city.id,
                name=city.name,
                base=city.base,
                origin=city.origin,
                environment=city.environment,
                zone=city.zone,
                now=now,
                ceilings=CEILINGS,
            )
    return open_signing(path)
