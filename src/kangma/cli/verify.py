"""`kangma verify`: what a door sees. Needs the public folder and nothing else."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kangma.cli.terminal import Exit, Json, Now, fail, out, plain, print_json, sign, wall_clock
from kangma.credential.claims import Kind
from kangma.credential.outcome import Colour, NotVerified, Outcome, Reason, Verified
from kangma.credential.text import MOST_TEXT
from kangma.credential.verify import Verifier, points_at
from kangma.errors import Refused, Unavailable
from kangma.signing.trust import MAX_BYTES, MAX_ROOT_BYTES, Root, decode_root
from kangma.store.marks import MarksInFile
from kangma.store.public_reader import OnDisk, PublicFolder, elsewhere, folder, list_path, lists_there
from kangma.terms import Moment, State, Text, zone

MOST_LIST = 1_400_000  # bytes, as kangma.status.token.MOST_TOKEN, which is not loaded before a list is
_STATES = {
    Colour.GREEN: (State.GREEN, "绿码"),
    Colour.NOTICE: (State.POPUP, "绿码，有弹窗提示"),
    Colour.YELLOW: (State.YELLOW, "黄码"),
    Colour.RED: (State.RED, "红码"),
}
_KINDS = {
    Kind.PHONE: Text("手机出示，已由本机证明", "shown by its phone, which proved it just now"),
    Kind.PAPER: Text("纸质码：请核对身份证件", "paper: check the ID card or passport"),
    Kind.PROXY: Text("在他人手机上代为出示", "shown for somebody else, on another phone"),
}
EXCEPTIONS = Text(
    "急诊急救、回家、核酸采样和购药，不因健康码受阻。",
    "Emergency care, going home, test sites and medicine are never blocked.",
)
REASONS = {
    Reason.NOT_A_CODE: Text("这不是健康码。", "This is not a Kangma code."),
    Reason.TOO_LONG: Text("文字过长，不是健康码。", "Too long to be a code."),
    Reason.BAD_BASE45: Text("扫描有误，请再扫一次。", "Read wrongly; scan it again."),
    Reason.INFLATES_TOO_MUCH: Text("内容异常，不予读取。", "It unfolds to more than a code holds."),
    Reason.BAD_COSE: Text("内容残缺或被改动。", "It is damaged or was made by other software."),
    Reason.WRONG_ALGORITHM: Text("签名方式不符。", "It is signed in a way that codes are not."),
    Reason.NO_TRUST: Text(
        "没有可用的信任名单，请更新。", "There is no trust list that may be believed; update it."
    ),
    Reason.WRONG_ENVIRONMENT: Text(
        "这是测试用的码。", "This code is from another environment, such as a test."
    ),
    Reason.UNKNOWN_KEY: Text(
        "签发者不在信任名单中，请更新名单。", "Its signer is not in the trust list; update it."
    ),
    Reason.REVOKED_KEY: Text(
        "签发密钥已吊销，请刷新此码。", "The key that signed it was revoked; fetch a new code."
    ),
    Reason.WRONG_USE: Text("签发密钥无权签发此类码。", "The key may not sign codes of this kind."),
    Reason.KEY_NOT_YET: Text("签发密钥尚未启用。", "The key that signed it is not in use yet."),
    Reason.KEY_OVER: Text("签发密钥早已停用。", "The key that signed it ended long ago."),
    Reason.WRONG_AUTHORITY: Text(
        "签发者与内容不符。", "It speaks for another city than the one that signed it."
    ),
    Reason.BAD_SIGNATURE: Text(
        "签名不符，内容被改动。", "The signature does not fit: it was altered or forged."
    ),
    Reason.BAD_CLAIMS: Text("内容不合规定。", "It says what no code says."),
    Reason.LIVES_TOO_LONG: Text("有效期超出规定。", "It claims to be valid for longer than codes are."),
    Reason.NOT_YET: Text("尚未生效，请刷新此码。", "It is not valid yet; show today's code."),
    Reason.EXPIRED: Text("已过期，请刷新此码。", "It has expired; fetch a new code."),
    Reason.NO_PROOF: Text("没有本机证明，可能是截图。", "The phone's proof is missing; it may be a picture."),
    Reason.UNEXPECTED_PROOF: Text("纸质码之后有多余内容。", "Something stands behind a code on paper."),
    Reason.BAD_PROOF: Text("本机证明不符。", "The phone's proof does not belong to this code."),
    Reason.PROOF_OLD: Text(
        "这是旧画面，请打开手机上的码。", "It is an old picture; show the code on the phone itself."
    ),
    Reason.PROOF_AHEAD: Text(
        "手机与本机时钟不一致，请核对时间。", "The phone's clock is ahead of ours; check both."
    ),
    Reason.NO_LIST: Text("没有对应的状态列表，请更新。", "Its status list is not here; update the lists."),
    Reason.BAD_LIST: Text(
        "状态列表损坏或未经签发，请更新。", "Its status list is damaged or not signed; update it."
    ),
    Reason.ROLLED_BACK: Text(
        "状态列表比已见过的旧，请更新。", "Its status list is older than one seen before; update it."
    ),
    Reason.LIST_OVER: Text(
        "状态列表已过期，请更新。", "Its status list is too old to say anything; update it."
    ),
    Reason.NO_SUCH_INDEX: Text("状态列表中没有此码。", "Its status list has no such entry."),
    Reason.WITHDRAWN: Text("此码已作废，请刷新。", "This code was withdrawn; fetch a new one."),
    Reason.UNKNOWN_STATUS: Text("状态未知。", "Its status is unknown."),
}


def verify(
    text: Annotated[
        str,
        typer.Argument(
            metavar="TEXT", help="What the QR code says, `KM1:…`; `-` reads it from standard input."
        ),
    ],
    public: Annotated[
        str,
        typer.Option(
            "--public", metavar="DIR-OR-URL", help="The public folder: root, trust list and status lists."
        ),
    ],
    root: Annotated[
        str | None,
        typer.Option(
            "--root",
            metavar="FINGERPRINT-OR-FILE",
            help="The root to trust: 64 hexadecimal digits, or its file. Default: the one pinned at the first use.",
        ),
    ] = None,
    others: Annotated[
        list[str] | None,
        typer.Option(
            "--lists",
            metavar="DIR-OR-URL",
            help="The public folder of another city that the trust list recognises: its status lists, and nothing else. "
            "What `kangma mirror` keeps in the folder itself is read without it.",
        ),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            "--marks",
            metavar="FILE",
            help="What was seen before, so that nothing rolls back. Default: a file for each folder, in XDG_STATE_HOME.",
        ),
    ] = None,
    now: Now = None,
    as_json: Json = False,
) -> None:
    """What a door sees of one code: checked against the public folder alone.

    A folder on disk is enough; an address is asked for the trust list and all lists, never for one person's. Exit code 0
    when the code is verified, whatever its colour, and 1 when it is refused or cannot be verified.
    """
    scanned = sys.stdin.read(MOST_TEXT + 2).rstrip("\r\n") if text == "-" else text
    kept = MarksInFile(marks or _marks_of(public))
    where = folder(public)
    try:
        verifier = Verifier(_pinned(where, root, kept), kept)
        notes = _load(verifier, where, scanned)
        for other in others or ():
            notes += _load_of_others(verifier, folder(other), scanned)
    except ValueError as problem:
        fail(f"{public}: {problem}")
    kept.keep()
    at = wall_clock() if now is None else now
    found = verifier.verify(scanned, now=at)
    place = None if verifier.trust is None else verifier.trust.authority(getattr(found, "issuer", ""))
    if as_json:
        print_json(as_told(found, place.zone if place else "UTC") | {"notes": notes})
    else:
        show(found, at, place.zone if place else "UTC", notes)
    if isinstance(found, NotVerified):
        raise typer.Exit(int(Exit.WRONG))


def _marks_of(public: str) -> Path:
    """Where the marks for a folder are kept: one file each, for cities do not share roots."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    name = public.rstrip("/") if "://" in public else str(Path(public).resolve())
    return Path(home) / "kangma/marks" / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _pinned(public: PublicFolder, wanted: str | None, kept: MarksInFile) -> Root:
    """The root of the folder, if it is the one that is wanted or was pinned before; at the first use it is pinned."""
    content = public.read("root", MAX_ROOT_BYTES)
    if content is None:
        fail("no public folder: it has no file `root`")
    found = decode_root(content)
    if wanted is not None:
        digits = wanted.lower().replace(":", "")
        file = Path(wanted)
        if len(digits) == 64 and not set(digits) - set("0123456789abcdef"):
            named = bytes.fromhex(digits)
        elif file.is_file():
            named = decode_root(file.read_bytes()[: MAX_ROOT_BYTES + 1]).fingerprint
        else:
            fail("--root takes 64 hexadecimal digits or a file")
        if named != found.fingerprint:
            fail(f"the folder's root is another one: {found.fingerprint.hex()}")
    kept.pin(found.fingerprint)
    return found


def _load(verifier: Verifier, public: PublicFolder, scanned: str) -> list[str]:
    """Takes the trust list and the lists in; returns what was refused, for people."""
    notes = []
    trust = public.read("trust", MAX_BYTES)
    if trust is None:
        fail("no public folder: it has no file `trust`")
    try:
        verifier.take_trust(trust)
    except Refused as problem:
        return [f"trust list refused: {problem}"]
    assert verifier.trust is not None
    ours, *others = verifier.trust.authorities
    notes += _lists_at(verifier, public, ours.base, scanned)
    for city in others:
        try:
            notes += _lists_at(verifier, public, city.base, scanned, elsewhere(city.id))
        except (Unavailable, ValueError) as problem:  # what is another city's never stands in the way of ours
            notes.append(f"{elsewhere(city.id)}: {problem}")
    return notes


def _lists_at(
    verifier: Verifier, public: PublicFolder, base: str, scanned: str, behind: str = ""
) -> list[str]:
    """Takes in the lists of the city at `base`, as they lie in this folder behind a prefix."""
    if isinstance(public, OnDisk):
        mine = list_path(points_at(scanned) or "", base)
        paths = [] if mine is None else [mine]
    else:
        paths = list(lists_there(public, behind))
    notes = []
    for path in paths:
        content = public.read(f"{behind}{path}", MOST_LIST)
        try:
            if content is not None:
                verifier.take_list(f"{base}/{path}", content)
        except Refused as problem:
            notes.append(f"{behind}{path} refused: {problem}")
    return notes


def _load_of_others(verifier: Verifier, public: PublicFolder, scanned: str) -> list[str]:
    """Takes in the lists of other cities of the trust list; each says itself whose it is, and is signed by their keys."""
    from kangma.status.token import open_cwt  # noqa: PLC0415  a scan does without NumPy

    others = () if verifier.trust is None else verifier.trust.authorities[1:]
    if isinstance(public, OnDisk):
        named = [list_path(points_at(scanned) or "", city.base) for city in others]
        paths = [path for path in named if path is not None]
    else:
        paths = list(lists_there(public))
    notes = []
    for path in paths:
        content = public.read(path, MOST_LIST)
        try:
            if content is not None:
                uri = open_cwt(content).claims.sub
                if uri in [f"{city.base}/{path}" for city in others]:
                    verifier.take_list(uri, content)
        except Refused as problem:
            notes.append(f"{path} refused: {problem}")
    return notes


def as_told(found: Verified | NotVerified, zone_name: str) -> dict[str, Any]:
    """The documented JSON."""
    if isinstance(found, NotVerified):
        seen = dict.fromkeys(
            ("colour", "valid_until", "name_mask", "kind", "lists_age_s", "issuer", "stale_since")
        )
        return {"outcome": found.outcome.value, "step": found.step, "code": found.reason.value, **seen}
    there = zone(zone_name)
    return {
        "outcome": found.outcome.value,
        "step": None,
        "code": None,
        "colour": found.colour.value,
        "valid_until": there.iso(found.valid_until),
        "name_mask": found.mask,
        "kind": found.kind.name.lower(),
        "lists_age_s": found.lists_age,
        "issuer": found.issuer,
        "stale_since": None if found.stale_since is None else there.iso(found.stale_since),
    }


def show(found: Verified | NotVerified, now: Moment, zone_name: str, notes: list[str]) -> None:
    """As a person at a door reads it: the verdict first, then what to look at, then how old it is."""
    if isinstance(found, NotVerified):
        said = REASONS[found.reason]
        if found.outcome is Outcome.REFUSED:
            out.print(f"[bold]✕ 无效 refused[/]   [dim]{found.step} {found.reason}[/]")
        else:
            out.print(f"{sign(State.UNKNOWN)} 未能核验   [dim]{found.step} {found.reason}[/]")
        out.print(f"  {said.zh}\n  {said.en}")
    else:
        there = zone(zone_name)
        state, chinese = _STATES[found.colour]
        out.print(f"{sign(state)} {chinese}   姓名 name [bold]{plain(found.mask)}[/]")
        if found.stale_since is not None:
            since = there.iso(found.stale_since)[:16].replace("T", " ")
            out.print(f"  [bold]信息陈旧，自 {since} 起未更新 stale since {since}[/]")
        kind = _KINDS[found.kind]
        out.print(f"  {kind.zh} {kind.en}")
        until = there.iso(found.valid_until)[:16].replace("T", " ")
        out.print(f"  有效期至 valid until {until}，{plain(found.issuer)}")
        out.print(f"  状态列表 {_age(found.lists_age, 'zh')}前 lists {_age(found.lists_age, 'en')} old")
    for note in notes:
        out.print(f"  [dim]{plain(note)}[/]")
    out.print(f"  [dim]{EXCEPTIONS.zh}\n  {EXCEPTIONS.en}[/]")


def _age(seconds: int, language: str) -> str:
    n, zh, en = (seconds // 3600, "小时", "h") if seconds >= 7_200 else (seconds // 60, "分钟", "min")
    return f"{n} {zh if language == 'zh' else en}"
