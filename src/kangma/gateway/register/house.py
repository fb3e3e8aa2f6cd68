"""What every page of the register shares: its language, its links, and how a template becomes a response.

Pages are HTML from Jinja2 with escaping always on and no undefined names. The two languages of a sentence stand side by
side where it is used, `say("中文", "English")`: written, not translated, and neither can be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request, Response
from fastapi import Query as Parameter
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from kangma.errors import Code, Where
from kangma.gateway.register import atlas, drawing, wording
from kangma.gateway.register.asked import as_parameters
from kangma.gateway.register.problems import BadRequest
from kangma.incidents import finding
from kangma.incidents.life import Right
from kangma.incidents.vocabulary import Degree
from kangma.incidents.words import Words
from kangma.store.register import Caller
from kangma.store.register_finder import Query, Sort

COOKIE, YEAR = "lang", 365 * 86_400


# Language


def negotiated(header: str) -> str:
    """zh or en, whichever of the two an Accept-Language header wants more (RFC 9110); zh when it wants neither."""
    best, found = 0.0, "zh"
    for part in header[:400].split(","):
        tag, _, rest = part.strip().partition(";")
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", rest)
        weight = float(quality[1]) if quality else (0.0 if rest.strip() else 1.0)
        primary = tag.partition("-")[0].lower()
        if primary in wording.LANGUAGES and weight > best:
            best, found = weight, primary
    return found


def language_of(request: Request) -> str:
    """`?lang=`, else the cookie that it left, else Accept-Language. Never fails: a page of errors needs one too."""
    for said in (request.query_params.get("lang", ""), request.cookies.get(COOKIE, "")):
        if said in wording.LANGUAGES:
            return said
    return negotiated(request.headers.get("accept-language", ""))


def _language(
    request: Request,
    lang: Annotated[str, Parameter(description="zh or en; kept in a cookie.", max_length=8)] = "",
) -> str:
    if lang not in ("", *wording.LANGUAGES):
        raise BadRequest(Code.NOT_IN_LIST, Where(path="lang"), "zh, en")
    return language_of(request)


Language = Annotated[str, Depends(_language)]


# Links


def address(path: str, parameters: Mapping[str, str | int]) -> str:
    return f"{path}?{urlencode(parameters)}" if parameters else path


def link(path: str, query: Query, **more: str) -> str:
    """The address of a page with these filters; `more` are further parameters (sort, after), empty ones left out."""
    parameters = as_parameters(query)
    if query.sort is not Sort.NEWEST and "sort" not in more:
        parameters["sort"] = query.sort.value
    return address(path, parameters | {k: v for k, v in more.items() if v})


def with_value(query: Query, facet: str, value: str) -> Query:
    """The query with that value of a facet chosen besides, or no longer where it was chosen; from its first page."""
    values = list(query.chosen.get(facet, ()))
    if value in values:
        values.remove(value)
    else:
        values.append(value)
    chosen = {name: v for name, v in {**query.chosen, facet: values}.items() if v}
    return replace(query, chosen=chosen, after="")


def only(facet: str, value: str) -> str:
    """The list of all records with one value."""
    return address("/incidents", {facet: value})


def victim_address(key: str) -> str:
    """Where a victim's incidents are, by its key (`kangma.incidents.finding`)."""
    return f"/victims/{quote(finding.victim_segment(key), safe='~')}"


# Texts


def best(words: Words | Mapping[str, str], lang: str) -> tuple[str, str]:
    """(language tag, text): in this language, else English, Chinese, any; ("", "") for none."""
    texts = dict(words) if isinstance(words, Mapping) else dict(words.pairs)
    for tag in (lang, "en", "zh", *texts):
        if texts.get(tag):
            return tag, texts[tag]
    return "", ""


def isolated(text: str, tag: str = "") -> Markup:
    """Somebody's text: escaped,
    and kept from turning the direction of what is beside it; `tag` its language, if known."""
    if not text:
        return Markup()
    attribute = f' lang="{escape(tag)}"' if tag else ""
    return Markup(f"<bdi{attribute}>{escape(text)}</bdi>")


# Rendering


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {
        "shape": drawing.shape, "swatch": drawing.swatch, "link": link, "with_value": with_value,
        "only": only, "address": address,
        "victim_address": victim_address, "number": wording.number, "iso": wording.iso, "LANGUAGES": wording.LANGUAGES,
        "Degree": Degree, "Sort": Sort, "shown": shown,
    }  # fmt: skip
    return made


def render(
    request: Request, lang: str, template: str, viewer: Caller | None, *, status: int = 200, **context: Any
) -> Response:
    """A page. `viewer` is only told who they are: what they may see was decided by whoever made `context`."""

    def say(zh: str, en: str) -> str:
        return zh if lang == "zh" else en

    def words(given: Words | Mapping[str, str]) -> Markup:
        tag, text = best(given, lang)
        return isolated(text, "" if tag == lang else tag)

    def paragraphs(given: Words | Mapping[str, str]) -> Markup:
        tag, text = best(given, lang)
        attribute = Markup(' lang="{}"').format(tag) if tag not in ("", lang) else ""
        parts = [part.strip() for part in re.split(r"\n\s*\n", text) if part.strip()]
        return Markup("").join(Markup('<p dir="auto"{}>{}</p>').format(attribute, part) for part in parts)

    def in_language(other: str) -> str:
        kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("lang", "after")]
        return f"{request.url.path}?{urlencode([*kept, ('lang', other)])}"

    text = (
        _environment()
        .get_template(template)
        .render(
            lang=lang,
            say=say,
            words=words,
            paragraphs=paragraphs,
            best_text=lambda given: best(given, lang)[1],
            text=isolated,
            term=lambda value: wording.term(value, lang),
            right=lambda value: wording.term(Right(value), lang),
            facet=lambda name: wording.facet(name, lang),
            facet_value=lambda name, value: wording.facet_value(name, value, lang),
            field=lambda name, many=True: wording.field(name, lang, many=many),
            value_words=lambda path, value: wording.value(path, value, lang),
            path_words=lambda path: wording.path(path, lang),
            country=lambda code: wording.pick(atlas.name(code), lang),
            dated=lambda when, weekday=True: wording.dated(when, lang, weekday=weekday),
            at_month=lambda when: wording.at_month(when, lang),
            moment=lambda at: wording.moment(at, lang),
            figure=lambda f: wording.figure(f.value, f.unit, f.exactness, lang),
            for_members=lambda hidden: wording.for_members(hidden, lang),
            counted=wording.counted,
            in_language=in_language,
            path=request.url.path,
            viewer=viewer,
            about=request.app.state.register.about,
            **context,
        )
    )
    response = HTMLResponse(text, status)
    response.headers["Content-Language"] = "zh-CN" if lang == "zh" else "en"
    if request.query_params.get("lang") == lang and request.cookies.get(COOKIE) != lang:
        # The register's own address counts, not this request's: behind a proxy that ends TLS every request is plain.
        secure = request.app.state.register.about.base.startswith("https://")
        response.set_cookie(COOKIE, lang, max_age=YEAR, httponly=True, samesite="lax", secure=secure)
    return response


def shown(text: str, most: int = 80) -> str:
    """What somebody typed, as it is said back: short, and without controls and marks of direction."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


__all__ = [
    "Language", "address", "best", "escape", "isolated", "language_of", "link", "negotiated", "only", "render", "shown",
    "victim_address", "with_value",
]  # fmt: skip
