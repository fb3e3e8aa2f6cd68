"""The keys of a state directory and the trust list in force: made, opened, replaced, stopped, and let go of.

`signer/` (0700) is what the city believes: `root`, `trust`, and its private keys in `keys/<key id>.pem`. `public/` holds
copies for everybody: `root`, `trust`, every earlier list in `trust.d/<version>`, and expired private keys in `sunset/`.
A list is in force once `signer/trust` holds it; the copies follow, and the next opening finishes what a crash left.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from kangma.errors import Code, Conflict, Corrupt, Refused, Unavailable, Where
from kangma.signing import stop
from kangma.signing.keys import Algorithm, Environment, KeySigner, new_secret
from kangma.signing.rotation import first_list, over, sunset_ready
from kangma.signing.trust import (
    MAX_BYTES,
    Ceilings,
    Root,
    TrustedKey,
    TrustList,
    Use,
    decode_root,
    encode_root,
    open_trust,
    sign_trust,
    successor,
)
from kangma.store.durable import WriterLock, fsync_folder, unavailable_when_the_disk_is, write_file
from kangma.store.keyfiles import make_key_file, read_key_file, remove_key_file, write_key_file
from kangma.store.keys import make_key_folder, require_owner_only
from kangma.terms import Moment, Text

#: For a city that does not say otherwise. 3,000,000 credentials a minute let 22 million be signed anew in ten minutes.
CEILINGS = Ceilings(worse_an_hour=50_000, worse_ppm_an_hour=5_000, credentials_a_minute=3_000_000)
OFFICERS = 3
FIRST_USES = (Use.CREDENTIAL, Use.STATUS, Use.LOG)


@dataclass(frozen=True)
class Signing:
    """The root and the list in force when it was opened, and the private keys that lie here."""

    path: Path
    root: Root
    trust: TrustList
    _loaded: dict[bytes, KeySigner] = field(default_factory=dict, repr=False)

    @property
    def stopped(self) -> bool:
        """Whether the kill switch is on, by the disk and at this moment."""
        return is_stopped(self.path)

    def signers(self, at: Moment) -> dict[Use, KeySigner]:
        """By use, the key that signs at this moment: of those that may, the one that began last whose private half
        lies here. A use without one is absent. Raises Unavailable while the kill switch is on, Corrupt for a key file
        that is open to others or holds another key."""
        if self.stopped:
            raise Unavailable("the signer was stopped: `kangma keys DIR resume` lets it go on")
        found = {use: self._newest(use, at) for use in Use}
        return {use: signer for use, signer in found.items() if signer is not None}

    def signer(self, use: Use, at: Moment) -> KeySigner:
        """The key that signs for this use at this moment. Raises as `signers`, and Unavailable when there is none."""
        signer = self.signers(at).get(use)
        if signer is None:
            raise Unavailable(f"no {use} key may sign now: `kangma keys DIR announce` makes the next one")
        return signer

    def signer_since(self, use: Use, at: Moment) -> tuple[KeySigner, Moment]:
        """The key that signs what was recorded at this moment, and the first moment at which it may say that it signed.

        That moment, as a rule. When the key of that moment was revoked since, in an emergency, it is the key that took
        its place, and when it began. Raises as `signer`.
        """
        later = (k.not_before for k in self.trust.publisher.keys if k.use is use and k.not_before > at)
        for moment in (at, *sorted(later)):
            signer = self.signers(moment).get(use)
            if signer is not None:
                return signer, moment
        return self.signer(use, at), at

    def _newest(self, use: Use, at: Moment) -> KeySigner | None:
        for key in self.trust.keys(use, at):
            if key.id not in self._loaded and key_file(self.path, key.id).exists():
                self._loaded[key.id] = read_key_file(key_file(self.path, key.id))
            if key.id in self._loaded:
                return self._loaded[key.id]
        return None


def key_file(path: Path, key_id: bytes) -> Path:
    """Where the private half of a key lies, or would."""
    return path / "signer" / "keys" / f"{key_id.hex()}.pem"


def make_signing(
    path: Path,
    *,
    authority_id: str,
    name: Text,
    base: str,
    origin: str,
    environment: Environment,
    zone: str,
    now: Moment,
    ceilings: Ceilings = CEILINGS,
    root_dirs: Sequence[Path] | None = None,
    passphrases: Sequence[bytes | None] = (None,) * OFFICERS,
) -> Signing:
    """Root, issuing keys and the first trust list of a city in the directory `path`, durable on return.

    Root keys go to `root-1.pem` … `root-3.pem` in `path/root`, or one in each of three `root_dirs`, which are folders
    that only their owner may enter: from there they belong with three people. Raises Conflict when the directory has
    keys already, or a root folder has one; Refused (bad_trust_list) before anything is written when an argument breaks
    a rule of the list.
    """
    if (path / "signer" / "root").exists():
        raise Conflict(f"{path.name} has keys already")
    signers = {use: KeySigner(use.algorithm, new_secret(use.algorithm), environment) for use in FIRST_USES}
    trust = first_list(
        environment,
        authority_id=authority_id,
        name=name,
        base=base,
        origin=origin,
        zone=zone,
        keys={use: s.public for use, s in signers.items()},
        ceilings=ceilings,
        now=now,
    )
    with unavailable_when_the_disk_is():
        folders = [path / "root"] * OFFICERS if root_dirs is None else list(root_dirs)
        for folder in (path / "signer", path / "signer" / "keys", *folders):
            if not folder.exists():
                make_key_folder(folder)
            require_owner_only(folder)
        for i, folder in enumerate(folders, 1):
            if (folder / f"root-{i}.pem").exists():
                raise Conflict(f"{folder} has a root key already")
        (path / "public").mkdir(exist_ok=True)
        officers = [
            make_key_file(folder / f"root-{i}.pem", Algorithm.ES256, environment, passphrase=passphrase)
            for i, (folder, passphrase) in enumerate(zip(folders, passphrases, strict=True), 1)
        ]
        for signer in signers.values():
            write_key_file(key_file(path, signer.key_id), signer)
        root = Root(environment, 2, tuple(o.public for o in officers))
        write_file(path / "signer" / "trust", sign_trust(trust, officers))
        write_file(path / "signer" / "root", encode_root(root))  # last: without it there are no keys here
        _publish(path, root)
        fsync_folder(path)
    return Signing(path, root, trust)


def open_signing(path: Path) -> Signing:
    """The root and the trust list of a directory. Refused (unreadable) when it has none; Corrupt when the list is not
    signed by the root, or the public folder has a newer one that is: a backup was restored, and going on would roll
    the public back. `install` takes that newer list."""
    root = read_root(path)
    trust = _verified(path / "signer" / "trust", root)
    if _newest_public(path, root) > trust.version:
        raise Corrupt(
            "public/trust is newer than signer/trust: install the lists of public/trust.d in their order"
        )
    if os.access(path / "public", os.W_OK) and os.access(path / "signer", os.W_OK):
        _publish(path, root)
    return Signing(path, root, trust)


def read_root(path: Path) -> Root:
    """The root that this directory pins. Refused (unreadable) when it has none."""
    try:
        content = (path / "signer" / "root").read_bytes()
    except OSError:
        raise Refused(
            Code.UNREADABLE, Where(file=path.name), "no keys here: `kangma keys DIR ceremony` makes them"
        ) from None
    try:
        return decode_root(content)
    except Refused as problem:
        raise Corrupt(f"signer/root: {problem}") from problem


@lru_cache(maxsize=16)
def _believed(content: bytes, root: Root) -> TrustList:
    """The list in these bytes. Every release asks for it several times, and a list lives for months."""
    return open_trust(content).verify(root)


def _verified(file: Path, root: Root) -> TrustList:
    try:
        with file.open("rb") as f:
            return _believed(f.read(MAX_BYTES + 1), root)
    except OSError as problem:
        raise Corrupt(f"{file.parent.name}/{file.name} cannot be read: {problem.strerror}") from None
    except Refused as problem:
        raise Corrupt(f"{file.parent.name}/{file.name}: {problem}") from problem


def _newest_public(path: Path, root: Root) -> int:
    """The version of the list that the public has; 0 when it has none that the root signed."""
    try:
        return _verified(path / "public" / "trust", root).version
    except Corrupt:
        return 0


def _publish(path: Path, root: Root) -> None:
    """The public copies say what `signer/` says; a newer public list stays. Doing it again changes nothing.

    Corrupt when another list of the same version is public, which the root signed as well: a fork."""
    public = path / "public"
    trust = _verified(path / "signer" / "trust", root)
    content = (path / "signer" / "trust").read_bytes()
    (public / "trust.d").mkdir(exist_ok=True)
    version = public / "trust.d" / str(trust.version)
    if version.exists() and version.read_bytes() != content:
        with contextlib.suppress(Refused):
            if _believed(version.read_bytes(), root).digest != trust.digest:
                raise Corrupt(f"there are two lists of version {trust.version}")
    files = [(public / "root", encode_root(root)), (version, content), (public / "trust", content)]
    for file, wanted in files if _newest_public(path, root) <= trust.version else files[:2]:
        if not file.exists() or file.read_bytes() != wanted:
            write_file(file, wanted)


def history(path: Path) -> list[TrustList]:
    """Every list of this directory, the first one first and the one in force last.

    Corrupt when one is missing, is not signed by the root, or is not the one that its successor names."""
    root = read_root(path)
    last = _verified(path / "signer" / "trust", root)
    folder = path / "public" / "trust.d"
    lists = [*(_verified(folder / str(version), root) for version in range(1, last.version)), last]
    for older, newer in pairwise(lists):
        if newer.previous != older.digest:
            raise Corrupt(f"trust.d/{older.version} is not the list that version {newer.version} follows on")
    return lists


def install(path: Path, content: bytes, *, now: Moment) -> TrustList:
    """The signed list is in force and public, durable on return. The same list with other signatures may take the
    place of itself.

    Raises Refused: `untrusted` when too few of the root's keys signed it; `rolled_back` and `not_next` as
    `trust.successor`, which counts announcements from `now` and lets no key of any earlier list come back.
    """
    with WriterLock(path / "signer" / "lock").hold(wait=10), unavailable_when_the_disk_is():
        lists = history(path)
        current, root = lists[-1], read_root(path)
        trust = open_trust(content).verify(root)
        if trust.digest != current.digest:
            seen = {k.id for past in lists for a in past.authorities for k in a.keys}
            successor(current, trust, now=now, seen=seen)
        write_file(path / "signer" / "trust", content)
        _publish(path, root)
    return trust


def new_keys(path: Path, uses: Sequence[Use], environment: Environment) -> dict[Use, KeySigner]:
    """Fresh private keys in `signer/keys`, durable on return. No list has them yet."""
    made = {use: KeySigner(use.algorithm, new_secret(use.algorithm), environment) for use in uses}
    with unavailable_when_the_disk_is():
        for signer in made.values():
            write_key_file(key_file(path, signer.key_id), signer)
    return made


def private_keys(path: Path) -> list[bytes]:
    """The ids of the keys whose private half lies here."""
    names = [f.stem for f in (path / "signer" / "keys").glob("*.pem")]
    return sorted(bytes.fromhex(name) for name in names if re.fullmatch("[0-9a-f]{16}", name))


# --------------------------------------------------------------------------------------------------------- kill switch


def is_stopped(path: Path) -> bool:
    """Whether the kill switch is on. When the disk does not answer the question, it is."""
    try:
        (path / "signer" / "stopped").lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def stop_signing(path: Path, reason: str, *, now: Moment) -> bool:
    """The signer signs nothing from here on, durable on return; whatever was signed goes on being verified. Needs no
    key, reads nothing, and may be called at any time; False when it was on already, and stays as it was."""
    if is_stopped(path):
        return False
    mark = {"at": now, "reason": reason, "nonce": secrets.token_hex(16)}
    with unavailable_when_the_disk_is():
        if not (path / "signer").exists():
            make_key_folder(path / "signer")
        write_file(path / "signer" / "stopped", json.dumps(mark, ensure_ascii=False).encode(), mode=0o600)
    return True


def draft_resume(path: Path, *, now: Moment) -> stop.Resume:
    """The order that would lift the mark on the disk. Conflict when there is none."""
    return stop.resume_order(read_root(path).environment, _mark(path), now)


def resume_signing(path: Path, content: bytes, *, now: Moment) -> None:
    """The signer may sign again. The order is kept in `signer/orders` before the mark goes.

    Raises Refused as `stop.verify_resume`, Conflict when nothing was stopped.
    """
    order = stop.verify_resume(stop.open_resume(content), read_root(path), _mark(path), now)
    orders = path / "signer" / "orders"
    with unavailable_when_the_disk_is():
        orders.mkdir(exist_ok=True)
        write_file(orders / f"resume-{order.mark.hex()[:16]}", content)
        (path / "signer" / "stopped").unlink()
        fsync_folder(path / "signer")


def _mark(path: Path) -> bytes:
    try:
        return (path / "signer" / "stopped").read_bytes()
    except FileNotFoundError:
        raise Conflict("the signer is not stopped") from None


# -------------------------------------------------------------------------------------------------------------- sunset


@dataclass(frozen=True, slots=True)
class Sunset:
    """What became of private keys: `published` for everybody, `destroyed` unpublished."""

    published: tuple[TrustedKey, ...]
    destroyed: tuple[TrustedKey, ...]


def sunset(path: Path, *, now: Moment, only: bytes | None = None) -> Sunset:
    """Private keys that nobody needs any more leave `signer/keys`: credential keys as JSON Web Keys (RFC 7517) in
    `public/sunset`, others unpublished. A key that no list ever had stays.

    With `only`, this key and no other; Unavailable when it is still needed, Refused when no list has it.
    """
    dates = {k.id: k for past in history(path) for k in past.publisher.keys}
    if only is not None and only not in dates:
        raise Refused(Code.NOT_NEXT, hint="no list has a key of this id")
    if only is not None and now < dates[only].needed_until:
        raise Unavailable(f"key {only.hex()} may still be needed to verify a code")
    ready: set[bytes] = set()
    gone: set[bytes] = set()
    for past in history(path):
        ready |= {k.id for k in sunset_ready(past, now)}
        gone |= {k.id for k in over(past, now)}
    here = [k for k in private_keys(path) if k in gone and only in (None, k)]
    with WriterLock(path / "signer" / "lock").hold(wait=10), unavailable_when_the_disk_is():
        for key_id in here:
            file = key_file(path, key_id)
            if key_id in ready:
                (path / "public" / "sunset").mkdir(exist_ok=True)
                jwk = json.dumps(_jwk(read_key_file(file), dates[key_id]), indent=1)
                write_file(path / "public" / "sunset" / f"{key_id.hex()}.json", f"{jwk}\n".encode())
            remove_key_file(file)
    return Sunset(
        tuple(dates[k] for k in here if k in ready), tuple(dates[k] for k in here if k not in ready)
    )


def _jwk(signer: KeySigner, key: TrustedKey) -> Mapping[str, str | int]:
    """A private EC key as RFC 7518 (6.2) writes it, with the dates of its entry."""
    raw = signer.public.raw
    return {
        "kty": "EC",
        "crv": "P-256",
        "alg": "ES256",
        "use": "sig",
        "kid": key.id.hex(),
        "x": _b64(raw[1:33]),
        "y": _b64(raw[33:]),
        "d": _b64(signer.secret),
        "nbf": key.not_before,
        "exp": key.not_after,
    }


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
