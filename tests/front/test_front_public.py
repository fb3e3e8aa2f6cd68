"""The public folder and the pages over HTTP: what may be kept how long, parts, and nothing that is not listed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hamlet import Hamlet, neighbours_lists

from kangma.gateway.front.pages import pages
from kangma.gateway.front.public import KINDS


def test_every_file_of_the_public_folder_is_handed_out_as_it_is(door: Hamlet) -> None:
    client, public, kinds = door.client(), door.path / "public", set()
    neighbours_lists(public)
    files = [f for f in public.rglob("*") if f.is_file()]
    for file in files:
        path = file.relative_to(public).as_posix()
        said = client.get(f"/public/{path}")
        assert said.status_code == 200, path
        assert said.content == file.read_bytes()
        assert said.headers["access-control-allow-origin"] == "*"
        assert said.headers["x-content-type-options"] == "nosniff"
        kinds.add((path.partition("/")[0], said.headers["cache-control"]))
        head = client.head(f"/public/{path}")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(said.content)))
    assert dict(kinds)["latest.json"] == dict(kinds)["checkpoint"] == "public, no-cache"
    assert {cache for first, cache in kinds if first == "elsewhere"} == {
        "public, no-cache",
        "public, max-age=300",
    }
    assert dict(kinds)["status"] == "public, max-age=300"
    assert "immutable" in dict(kinds)["tile"]
    assert len(files) > 8


def test_the_page_on_publication_lists_every_kind() -> None:
    page = (Path(__file__).parents[2] / "docs/formats/publication.md").read_text("utf-8")
    for pattern, _, _ in KINDS:
        first = pattern.pattern.partition("/")[0].replace("\\", "")
        assert f"`{first}" in page or f"{first}/" in page, first


def test_what_did_not_change_is_not_sent_again_and_what_did_is(door: Hamlet) -> None:
    client = door.client()
    first = client.get("/public/latest.json")
    held = {"if-none-match": first.headers["etag"]}
    again = client.get("/public/latest.json", headers=held)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    door.cycle()
    assert client.get("/public/latest.json", headers=held).status_code == 200


@pytest.mark.parametrize(
    ("asked", "status", "start", "end"),
    [
        ("bytes=0-9", 206, 0, 10), ("bytes=5-", 206, 5, None), ("bytes=-3", 206, -3, None), ("bytes=0-0", 206, 0, 1),
        ("bytes=0-999999", 206, 0, None), ("bytes=999999-", 416, 0, 0), ("bytes=-0", 416, 0, 0),
        ("bytes=9-5", 200, 0, None), ("bytes=0-1,4-5", 200, 0, None), ("lines=1-2", 200, 0, None),
        ("bytes=-", 200, 0, None), ("bytes=" + "9" * 40 + "-", 200, 0, None),
    ],
)  # fmt: skip
def test_a_part_of_a_file_is_that_part(
    shared: Hamlet, asked: str, status: int, start: int, end: int | None
) -> None:
    whole = shared.client().get("/public/trust").content
    said = shared.client().get("/public/trust", headers={"range": asked})
    assert said.status_code == status
    if status != 416:
        assert said.content == whole[start:end]


def test_a_part_of_another_version_is_the_whole(shared: Hamlet) -> None:
    headers = {"range": "bytes=0-3", "if-range": '"another"'}
    assert shared.client().get("/public/trust", headers=headers).status_code == 200


HIDDEN = (
    "", "nothing", "root/", "status", "status/", "status/19110", "..%2fsigner%2findex.key",
    "%2e%2e/KANGMA", "status/%2e%2e/%2e%2e/KANGMA", ".latest.json.tmp", "status/19110/.0.tmp", "tile/%2e%2e/root", "ROOT",
    "trust.d/%2e%2e/root", "latest.json%00", "policy/x.toml", "secret.txt", "tile/0/x000", "//root", "latest.json/",
)  # fmt: skip


@pytest.mark.parametrize("path", HIDDEN)
def test_what_is_not_listed_is_not_there_even_if_it_lies_there(shared: Hamlet, path: str) -> None:
    (shared.path / "public" / "secret.txt").write_text("mine")
    (shared.path / "public" / ".latest.json.tmp").write_text("half")
    said = shared.client().get(f"/public/{path}")
    assert said.status_code == (400 if "%" in path or "//" in f"/{path}" else 404)
    assert said.headers["content-type"] == "application/problem+json"


def test_a_link_leads_nowhere(door: Hamlet) -> None:
    (door.path / "public" / "root").unlink()
    (door.path / "public" / "root").symlink_to(door.path / "keys" / "vault.key")
    assert door.client().get("/public/root").status_code == 404


def test_nothing_is_written_and_no_parameter_is_taken(shared: Hamlet) -> None:
    client = shared.client()
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert client.request(method, "/public/root").status_code == 405
    assert client.get("/public/root?v=1").status_code == 400


def test_pages_are_ours_alone_and_may_load_nothing_else(shared: Hamlet, tmp_path: Path) -> None:
    said = shared.client().get("/")
    assert said.status_code == 200
    policy = said.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy
    assert said.headers["permissions-policy"].startswith("camera=(self)")
    tag = said.headers["etag"]
    assert shared.client().get("/", headers={"if-none-match": tag}).status_code == 304
    assert shared.client().get("/index.html").status_code == 404  # one address, one page

    for name in (
        "index.html",
        "scan.html",
        "sw.js",
        "assets/app-Ab3dE9xZ.js",
        "assets/plain.css",
        "notes.md",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * 500)
    found = pages(tmp_path)
    assert set(found) == {"/", "/scan", "/sw.js", "/assets/app-Ab3dE9xZ.js", "/assets/plain.css"}
    assert "immutable" in found["/assets/app-Ab3dE9xZ.js"].headers["cache-control"]
    assert found["/sw.js"].headers["cache-control"] == "no-cache"
    assert found["/scan"].pressed is not None
