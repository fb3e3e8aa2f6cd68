"""The picture of a record: taken in from a form without a script, drawn anew, and shown at the desk before it is anywhere
else. What is kept is never the file that was sent: `drawn_anew` gives a file of pixels and nothing more.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from PIL import Image, ImageOps

from kangma.errors import Code, Conflict, Refused, Where
from kangma.gateway.register import wording
from kangma.gateway.register.asked import Editor, Here, Now
from kangma.gateway.register.house import Language, render
from kangma.gateway.register.problems import NotThere
from kangma.gateway.register.sent import PICTURE, Parts, SentParts, edit_named
from kangma.incidents.difference import Change as Difference
from kangma.incidents.form import BadRecord, Fault, from_json, to_json
from kangma.incidents.life import State
from kangma.incidents.vocabulary import Level, Licence
from kangma.store.register import Caller, Outdated, Register
from kangma.terms import Moment

router = APIRouter(include_in_schema=False)

#: Longer side of what is kept, and pixels of what is read: a photograph of a phone, not a bomb.
MOST_SIDE, MOST_PIXELS = 2_400, 50_000_000
FORMS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
_QUALITY = 88


def drawn_anew(content: bytes, media: str | None = None) -> tuple[str, bytes]:
    """(media type, file): the same picture in the same form, upright, at most MOST_SIDE a side, without anything that was
    in the file beside the pixels: no place, time, camera, name, colour profile, text, or bytes behind the end. Drawing
    it a second time gives the same bytes for PNG.

    Refused (bad_value) for what is no still PNG, JPEG or WebP of at most MOST_PIXELS, whole, and of `media` if given.
    """
    try:
        with Image.open(io.BytesIO(content), formats=list(FORMS)) as opened:
            form = opened.format or ""
            if opened.width * opened.height > MOST_PIXELS:
                raise _no_picture(f"at most {MOST_PIXELS // 10**6} million pixels")
            if getattr(opened, "n_frames", 1) > 1:
                raise _no_picture("a still picture")
            if media not in (None, FORMS[form]):
                raise _no_picture("a file of the type that it is sent as")
            opened.draft(None, (MOST_SIDE, MOST_SIDE))  # JPEG need not be read larger than it is kept
            upright = ImageOps.exif_transpose(opened)
            clear = upright.has_transparency_data
            grey = upright.mode in ("1", "L", "LA", "I;16", "I")
            mode = ("LA" if grey else "RGBA") if clear and form != "JPEG" else ("L" if grey else "RGB")
            if form == "WEBP" and grey:
                mode = "RGBA" if clear else "RGB"
            plain = upright.convert(mode)
            plain.thumbnail((MOST_SIDE, MOST_SIDE))
            bare = Image.new(plain.mode, plain.size)  # a new picture knows nothing of the file
            bare.paste(plain)
    except Refused:
        raise
    except Exception:  # whatever a decoder raises at hostile bytes
        raise _no_picture("a whole PNG, JPEG or WebP picture") from None
    made = io.BytesIO()
    if form == "PNG":
        bare.save(made, "PNG", optimize=True)
    else:
        bare.save(made, form, quality=_QUALITY)
    return FORMS[form], made.getvalue()


def _no_picture(hint: str) -> Refused:
    return Refused(Code.BAD_VALUE, Where(path="picture"), hint)


# At the desk


@dataclass(frozen=True, slots=True)
class _Typed:
    """What stood in the form."""

    licence: str = ""
    credit: str = ""
    zh: str = ""
    en: str = ""
    level: str = Level.PUBLIC.value


@router.get("/members/work/{id}/picture")
def picture(request: Request, id: str, register: Here, by: Editor, lang: Language, now: Now) -> Response:
    return _page(request, id, register, by, lang, now)


def _page(
    request: Request, id: str, register: Register, by: Caller, lang: str, now: Moment, *, status: int = 200,
    typed: _Typed | None = None, faults: tuple[Fault, ...] = (), since: tuple[Difference, ...] | None = None,
) -> Response:  # fmt: skip
    work = register.work(by, id, now=now)
    there = work.record.picture
    if typed is None and there is not None:
        alt = dict(there.alt.pairs)
        level = work.record.level("picture").value
        typed = _Typed(there.licence.value, there.credit, alt.get("zh", ""), alt.get("en", ""), level)
    told = {f.path: wording.fault(f.code, f.hint, lang) for f in faults}
    return render(
        request, lang, "picture.html", by, status=status, id=id, edit=work.edit, there=there, told=told, since=since,
        typed=typed or _Typed(), Licence=Licence, Level=Level, drafting=work.state is State.DRAFT,
    )  # fmt: skip


@router.get("/members/work/{id}/picture/file")
def file(id: str, register: Here, by: Editor, now: Now) -> Response:
    """The picture that the draft names, for its editors."""
    found = register.draft_picture(by, id, now=now)
    if found is None:
        raise NotThere("no picture")
    return Response(found[1], media_type=found[0])


@router.post("/members/work/{id}/picture")
def keep(
    request: Request, id: str, register: Here, by: Editor, lang: Language, now: Now,
    sent: Annotated[Parts, Depends(SentParts())],
) -> Response:  # fmt: skip
    """A picture with its licence and what is seen on it; without a file, the words of the one that is there."""
    after = edit_named(sent.fields.get("after_edit", ""), "after_edit", "the edit that you began with")
    level = sent.fields.get("level", "")
    typed = _Typed(
        sent.fields.get("licence", ""), sent.fields.get("credit", ""), sent.fields.get("alt.zh", ""),
        sent.fields.get("alt.en", ""), level if level in set(Level) else Level.PUBLIC.value,
    )  # fmt: skip
    work = register.work(by, id, now=now)
    faults: list[Fault] = []
    if typed.licence not in set(Licence):
        faults.append(Fault("licence", Code.MISSING_VALUE, "the terms under which it may be shown"))
    elif typed.licence not in (Licence.OWN, Licence.CC0, Licence.PUBLIC_DOMAIN) and not typed.credit.strip():
        faults.append(Fault("credit", Code.MISSING_VALUE, "whose it is: this licence asks for it"))
    for tag in ("zh", "en"):
        if not sent.fields.get(f"alt.{tag}", "").strip():
            faults.append(
                Fault(f"alt.{tag}", Code.MISSING_VALUE, "what is seen, for those who do not see it")
            )
    content = sent.files.get("file", b"")
    kept, made = work.record.picture, None
    if len(content) > PICTURE:
        faults.append(Fault("file", Code.TOO_MANY_BYTES, f"at most {PICTURE // 2**20} MiB"))
    elif content:
        try:
            made = drawn_anew(content)
        except Refused as problem:
            faults.append(Fault("file", problem.code, problem.hint))
    elif kept is None:
        faults.append(Fault("file", Code.MISSING_VALUE, "a picture"))
    if faults:
        status = 413 if len(content) > PICTURE else 422
        return _page(request, id, register, by, lang, now, status=status, typed=typed, faults=tuple(faults))
    if made is not None:
        digest, type_ = register.keep_picture(by, made[1], made[0]), made[0]
    else:
        assert kept is not None
        digest, type_ = kept.digest, kept.type
    value = to_json(work.record)
    value["picture"] = {
        "digest": digest, "type": type_, "licence": typed.licence, "credit": typed.credit,
        "alt": {"zh": typed.zh, "en": typed.en},
    }  # fmt: skip
    value["levels"] = {**value.get("levels", {}), "picture": typed.level}
    return _saved(request, id, register, by, lang, now, value, after, typed)


@router.post("/members/work/{id}/picture/remove")
def remove(
    request: Request, id: str, register: Here, by: Editor, lang: Language, now: Now,
    sent: Annotated[Parts, Depends(SentParts())],
) -> Response:  # fmt: skip
    after = edit_named(sent.fields.get("after_edit", ""), "after_edit", "the edit that you began with")
    value = to_json(register.work(by, id, now=now).record)
    value.pop("picture", None)
    return _saved(request, id, register, by, lang, now, value, after, None)


def _saved(
    request: Request, id: str, register: Register, by: Caller, lang: str, now: Moment, value: dict[str, object],
    after: int, typed: _Typed | None,
) -> Response:  # fmt: skip
    try:
        register.edit(by, from_json(value), after_edit=after, now=now)
    except BadRecord as problem:
        faults = tuple(Fault(f.path.removeprefix("picture."), f.code, f.hint) for f in problem.faults)
        return _page(request, id, register, by, lang, now, status=422, typed=typed, faults=faults)
    except Outdated as problem:
        return _page(request, id, register, by, lang, now, status=409, typed=typed, since=problem.difference)
    except Conflict:
        return _page(request, id, register, by, lang, now, status=409, typed=typed)
    return RedirectResponse(f"/members/work/{id}", 303)
