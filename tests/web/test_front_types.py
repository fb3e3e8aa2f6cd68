"""Pages cannot use what the API's description does not have: the compiler says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

from web_built import ROOT, node

WEB = ROOT / "web"
PAGE = """\
import {{ call, type Said }} from "{api}";
import type {{ Code }} from "{api}";

export async function right(code: Code): Promise<string> {{
  const named = {{ id_type: "20", id_number: "EX0000001", name: "样例甲" }};
  const {{ binding }} = await call("POST /v1/bindings", {{ sent: named }});
  await call("DELETE /v1/me/devices/{{device}}", {{ at: {{ device: binding }} }}, "token");
  const said: Said<"GET /v1/me/code"> = await call("GET /v1/me/code", {{}}, "token");
  return said.holds.map((hold) => hold.reason.zh).join(code.colour);
}}

export async function wrong(code: Code): Promise<void> {{
  void code.color; // a field that there is not
  void code.holds[0]?.doctor; // nor here
  if (code.colour === "blue") return; // a value that there is not
  await call("GET /v1/me/codes", {{}}); // an address
  await call("PUT /v1/me/code", {{}}); // a method
  await call("POST /v1/bindings", {{}}); // nothing is sent
  await call("POST /v1/bindings", {{ sent: {{ id_type: "20", id_number: "EX0000001" }} }}); // without the name
  await call("POST /v1/bindings", {{ sent: {{ id_type: "20", id_number: "1", name: "2", phone: "3" }} }}); // and more
  await call("DELETE /v1/me/devices/{{device}}", {{ at: {{ other: 1 }} }}); // whose address takes another name
  void (await call("GET /v1/me/rides", {{}})).rides[0]?.resident; // an answer without it
}}
"""


def test_a_field_a_value_or_a_call_that_is_not_described_does_not_compile(tmp_path: Path) -> None:
    page = tmp_path / "page.ts"
    page.write_text(PAGE.format(api=WEB / "src/resident/api.ts"), "utf-8")
    project = {
        "extends": str(WEB / "tsconfig.base.json"),
        "compilerOptions": {"lib": ["ES2021", "DOM", "DOM.Iterable"], "types": [], "skipLibCheck": True},
        "files": [str(page)],
    }
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    done = node(str(WEB / "node_modules/typescript/bin/tsc"), "-p", str(tmp_path), "--pretty", "false")
    found = {int(line) for line in re.findall(r"page\.ts\((\d+),", done.stdout)}
    wrong = [n for n, line in enumerate(page.read_text("utf-8").splitlines(), 1) if "// " in line]
    assert len(wrong) == 10
    assert sorted(found) == wrong, done.stdout
    assert "api.ts(" not in done.stdout
