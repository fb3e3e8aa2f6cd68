"""What every page must be: well-formed, with landmarks, headings in their order, labels, and nothing that runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

VOID = {"meta", "link", "input", "br", "img", "hr", "path", "circle", "rect"}
#: What may run or load elsewhere; a script only as the one file that passkeys need.
FORBIDDEN = {"iframe", "object", "embed", "base", "style", "applet", "frame", "marquee"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    open: list[str] = field(default_factory=list)  # the tags around it


class Sound(HTMLParser):
    """A page, taken apart. `faults` names what is wrong with it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.faults: list[str] = []
        self.elements: list[Element] = []
        self.words: list[str] = []
        self._stack: list[Element] = []
        if not page.startswith("<!doctype html>"):
            self.faults.append("no doctype")
        self.feed(page)
        self.close()
        self.faults += [f"<{e.tag}> is never closed" for e in self._stack]
        self._judge()

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, *tags: str) -> list[Element]:
        return [e for e in self.elements if e.tag in tags]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if len({name for name, _ in attrs}) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        element = Element(tag, {n: v or "" for n, v in attrs}, open=[e.tag for e in self._stack])
        self.elements.append(element)
        if tag not in VOID:
            self._stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._stack.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._stack or self._stack[-1].tag != tag:
            self.faults.append(f"</{tag}> closes {self._stack[-1].tag if self._stack else 'nothing'}")
            return
        self._stack.pop()

    def handle_data(self, data: str) -> None:
        if data.strip() and not any(e.tag in ("title", "script") for e in self._stack):
            self.words.append(data)
        for element in self._stack:
            element.text += data

    def _judge(self) -> None:
        for element in self.elements:
            self._no_danger(element)
        ids = [e.attributes["id"] for e in self.elements if "id" in e.attributes]
        self.faults += [f"id {i} is there twice" for i in {i for i in ids if ids.count(i) > 1}]
        if not self.all("html")[0].attributes.get("lang"):
            self.faults.append("no language")
        for tag in ("main", "h1", "title"):
            there = [e for e in self.all(tag) if "svg" not in e.open]
            if len(there) != 1:
                self.faults.append(f"{len(there)} of {tag}")
        self.faults += [f"no {tag}" for tag in ("header", "nav", "footer") if not self.all(tag)]
        level = 0
        for heading in self.all("h1", "h2", "h3", "h4"):
            if int(heading.tag[1]) > level + 1:
                self.faults.append(f"{heading.tag} after h{level}: {heading.text.strip()[:40]}")
            level = int(heading.tag[1])
        labels = {e.attributes.get("for") for e in self.all("label")}
        for box in self.all("input", "select", "textarea"):
            if box.attributes.get("type") != "hidden" and box.attributes.get("id") not in labels:
                self.faults.append(f"no label: {box.attributes}")
        for e in self.elements:
            for name in ("aria-labelledby", "aria-describedby"):
                self.faults += [
                    f"{name} {i} is not there" for i in e.attributes.get(name, "").split() if i not in ids
                ]
        self.faults += [
            "a link without words"
            for e in self.all("a")
            if not (e.text.strip() or "aria-label" in e.attributes)
        ]
        self.faults += ["a picture without alt" for e in self.all("img") if "alt" not in e.attributes]
        self.faults += [
            "a table without heads"
            for e in self.all("table")
            if not any(t.open and "table" in t.open for t in self.all("th"))
        ]

    def _no_danger(self, element: Element) -> None:
        if element.tag in FORBIDDEN:
            self.faults.append(f"<{element.tag}>")
        if element.tag == "script" and (
            element.attributes.get("src") != "/shipped/members.js" or element.text.strip()
        ):
            self.faults.append(f"a script: {element.attributes}")
        for name, value in element.attributes.items():
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.faults.append(f"<{element.tag} {name}>")
            if name in ("href", "src", "action", "formaction", "xlink:href"):
                parts = urlsplit(value.strip())
                if parts.scheme not in ("", "http", "https") or (not parts.scheme and value.startswith("//")):
                    self.faults.append(f"<{element.tag} {name}={value[:60]}>")
                elsewhere = parts.scheme and element.tag not in ("a", "link")
                loaded = (
                    parts.scheme and element.tag == "link" and element.attributes.get("rel") == "stylesheet"
                )
                if elsewhere or loaded:
                    self.faults.append(f"<{element.tag} {name}> asks elsewhere: {value[:60]}")


def sound(page: str) -> Sound:
    """The page, taken apart. AssertionError when anything is wrong with it."""
    found = Sound(page)
    assert found.faults == [], found.faults
    return found
