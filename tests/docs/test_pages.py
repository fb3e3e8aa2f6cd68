"""Documentation does not drift: made pages equal the code, examples are run, links lead somewhere, names exist."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest
from walk import PAGE, walked

from kangma.cli import VERBS, verb
from kangma.cli.reference import pages

ROOT = Path(__file__).parents[2]
MARKDOWN = sorted(
    f
    for f in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in ("out", "node_modules") for part in f.relative_to(ROOT).parts)
)
BLOCKS = re.compile(r"^```.*?^```", re.M | re.S)


def _anchor(heading: str) -> str:
    """The anchor that a heading gets on the usual hosts."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").strip().lower()).replace(" ", "-")


def test_the_made_pages_are_what_the_code_says() -> None:
    for name, text in pages().items():
        assert (ROOT / "docs/reference" / name).read_text("utf-8") == text, (
            f"python -m kangma.cli.reference: {name}"
        )


def test_every_verb_every_kind_and_every_fact_is_on_its_page() -> None:
    made = pages()
    assert len(re.findall(r"^## kangma \w+$", made["cli.md"], re.M)) == len(VERBS)
    assert "| `--now ISO8601` |" in made["cli.md"]
    assert "## retractions" in made["kinds.md"]
    assert "## missed_rounds" in made["facts.md"]


def test_the_walk_prints_what_the_commands_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = PAGE.read_text("utf-8")
    assert text.count("$ kangma ") >= 15
    assert walked(text, tmp_path) == text, "python tests/docs/walk.py writes it anew"


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    text = BLOCKS.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert file.is_relative_to(ROOT), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M)
            assert anchor in {_anchor(h) for h in headings}, target


def test_the_names_of_modules_in_the_documentation_exist() -> None:
    for page in MARKDOWN:
        for name in re.findall(r"`(kangma(?:\.\w+)+)`", page.read_text("utf-8")):
            assert _exists(name), f"{page.name}: {name}"


def _exists(name: str) -> bool:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


def test_decisions_are_numbered_and_name_themselves() -> None:
    files = sorted(f for f in (ROOT / "docs/decisions").glob("*.md") if f.name != "README.md")
    numbers = [re.fullmatch(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md", f.name) for f in files]
    assert all(numbers), [f.name for f, n in zip(files, numbers, strict=True) if n is None]
    found = [int(n[1]) for n in numbers if n]
    assert len(set(found)) == len(found)
    assert all(1 <= n <= 179 for n in found)  # the ranges of docs/decisions/README.md
    for file, number in zip(files, found, strict=True):
        assert re.match(rf"# 0*{number}\b", file.read_text("utf-8")), file.name


COMMANDS = [
    (page.name, line)
    for page in MARKDOWN
    for block in re.findall(r"^```(?:sh|console)?\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    for line in (x.removeprefix("$ ").split("  #")[0].strip() for x in block.splitlines())
    if re.match(r"(make|kangma) ", line)
]


def test_commands_in_the_documentation_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    assert any(page == "README.md" for page, _ in COMMANDS)
    for page, line in COMMANDS:
        words = shlex.split(line)
        if words[0] == "make":
            assert words[1] in targets, f"{page}: {line}"
            continue
        assert words[1] in VERBS, f"{page}: {line}"
        command = verb(words[1])
        for word in words[2:]:  # verbs of a verb, however deep
            command = getattr(command, "commands", {}).get(word, command)
        options = {o for p in command.params for o in p.opts}
        assert {w for w in words if w.startswith("--")} <= options, f"{page}: {line}"


def test_the_readme_names_every_folder_of_the_package() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    folders = [f.name for f in (ROOT / "src/kangma").iterdir() if f.is_dir() and (f / "__init__.py").exists()]
    assert [f for f in folders if f"`{f}/`" not in readme] == []


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/picture.png").stat().st_size < 200_000
