"""Feeds: Atom (RFC 4287) and JSON Feed 1.1, of what a stranger sees. Feeds go out only; nothing here reads XML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from kangma.incidents import canonical
from kangma.incidents.exchange.report import About, Entry
from kangma.incidents.reading import for_members, headline
from kangma.terms import Moment

ITEMS = 50


def _iso(at: Moment) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _said(entry: Entry, tag: str) -> str:
    """What a reader of the feed sees: the summary, that it was withdrawn, and what is there for members."""
    parts = [entry.seen.record.summary.best(tag)]
    if entry.withdrawn:
        parts.insert(0, "已撤回。" if tag == "zh" else "Withdrawn.")
    if (more := for_members(entry.seen)) is not None:
        parts.append(f"{more.zh}。" if tag == "zh" else f"{more.en}.")
    return ("" if tag == "zh" else " ").join(p for p in parts if p)


def _public(entries: Iterable[Entry]) -> Sequence[Entry]:
    """Newest first. A feed is read by anybody: what only members see may not even be handed in (ValueError)."""
    listed = sorted(entries, key=lambda e: (-e.modified, e.seen.record.id))[:ITEMS]
    if any(e.seen.member for e in listed):
        raise ValueError("a feed is made of what strangers see")
    return listed


def atom(entries: Iterable[Entry], about: About, tag: str = "en") -> bytes:
    """An Atom feed in one language."""
    listed = _public(entries)
    updated = _iso(max((e.modified for e in listed), default=0))
    home = f"{about.base}/incidents"
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang={quoteattr(tag)}>',
        f"<id>{escape(home)}</id>",
        f"<title>{escape(about.named(tag))}</title>",
        f"<updated>{updated}</updated>",
        f'<link rel="self" type="application/atom+xml" href={quoteattr(f"{home}.atom?lang={tag}")}/>',
        f'<link rel="alternate" type="text/html" href={quoteattr(home)}/>',
        f"<author><name>{escape(about.named(tag))}</name></author>",
    ]
    for entry in listed:
        title, address = headline(entry.seen), about.address(entry.seen.record.id)
        lines += [
            "<entry>",
            f"<id>{escape(address)}</id>",
            f'<title type="text">{escape(title.zh if tag == "zh" else title.en)}</title>',
            f"<updated>{_iso(entry.modified)}</updated>",
            f"<published>{_iso(entry.created)}</published>",
            f'<link rel="alternate" type="text/html" href={quoteattr(address)}/>',
            *(f"<category term={quoteattr(kind.value)}/>" for kind in entry.seen.record.kinds),
            f'<summary type="text">{escape(_said(entry, tag))}</summary>',
            "</entry>",
        ]
    return ("\n".join([*lines, "</feed>"]) + "\n").encode()


def json_feed(entries: Iterable[Entry], about: About, tag: str = "en") -> bytes:
    """A JSON Feed in one language."""
    home = f"{about.base}/incidents"
    items: list[dict[str, Any]] = []
    for entry in _public(entries):
        title, address = headline(entry.seen), about.address(entry.seen.record.id)
        items.append(
            {
                "id": address,
                "url": address,
                "title": title.zh if tag == "zh" else title.en,
                "content_text": _said(entry, tag),
                "date_published": _iso(entry.created),
                "date_modified": _iso(entry.modified),
                "tags": [kind.value for kind in entry.seen.record.kinds],
            }
        )
    return canonical.dumps(
        {
            "version": "https://jsonfeed.org/version/1.1",
            "title": about.named(tag),
            "home_page_url": home,
            "feed_url": f"{home}.json?lang={tag}",
            "language": tag,
            "items": items,
        }
    )
