"""`python -m kangma.gateway.front.typescript web/src/look/described.ts`: the API's description as TypeScript.

The pages take these types and no others, so the compiler says where a page and the description differ
(docs/decisions/0153). A test holds the file and the description equal.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kangma.errors import Corrupt
from kangma.gateway.front.app import Plane, _bare

_HEAD = """\
// Made by `python -m kangma.gateway.front.typescript web/src/look/described.ts`; held to /openapi.json by a test.
"""
_CALLS = (
    "/** Method and address of every call: what its address names (`at`), what is sent, what is answered. */"
)
_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_QUIET = {"title", "description", "default"}  # says nothing of the type
_RULES = {
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "format",
}


def written(told: Mapping[str, Any]) -> str:
    """The file. Corrupt for a schema that it cannot say: better no types than types that say less."""
    parts = [_HEAD]
    for name, schema in told["components"]["schemas"].items():
        body = _object(schema, "")
        said = f"interface {name} {body}" if body else f"type {name} = Record<string, never>;"
        parts.append(f"{_commented(schema.get('description', ''), '')}export {said}\n")
    calls = [
        f'  "{method.upper()} {path}": {_call(one)};\n'
        for path, methods in told["paths"].items()
        for method, one in methods.items()
    ]
    parts.append(f"{_CALLS}\nexport interface Calls {{\n{''.join(calls)}}}\n")
    return "\n".join(parts)


def _call(one: Mapping[str, Any]) -> str:
    """One line: `{ at: …; sent: …; said: … }`, each only where there is such."""
    fields = []
    named = [p for p in one.get("parameters", ()) if p["in"] == "path"]
    if named:
        inner = "; ".join(f"readonly {p['name']}: {_type(p['schema'], '')}" for p in named)
        fields.append(f"readonly at: {{ {inner} }}")
    if "requestBody" in one:
        content = one["requestBody"]["content"]
        sent = [_type(c["schema"], "") if "schema" in c else "Blob | string" for c in content.values()]
        fields.append(f"readonly sent: {' | '.join(dict.fromkeys(sent))}")
    fields.append(f"readonly said: {' | '.join(dict.fromkeys(_answers(one)))}")
    return f"{{ {'; '.join(fields)} }}"


def _answers(one: Mapping[str, Any]) -> Iterator[str]:
    for status, answer in one["responses"].items():
        if status.startswith("2"):
            content = answer.get("content", {})
            if not content:
                yield "undefined"
            schema = content.get("application/json", {}).get("schema")
            if schema:
                yield _type(schema, "")
            elif content:
                yield "unknown"  # a file, or another media type than pages ask for


def _type(schema: Mapping[str, Any], indent: str) -> str:
    left = schema.keys() - _QUIET
    if left == {"$ref"}:
        return str(schema["$ref"]).rpartition("/")[2]
    if left == {"anyOf"}:
        return " | ".join(_type(one, indent) for one in schema["anyOf"])
    if left <= {"enum", "const", "type"} and left & {"enum", "const"}:
        return " | ".join(f'"{value}"' if isinstance(value, str) else str(value).lower()
                          for value in schema.get("enum", [schema.get("const")]))  # fmt: skip
    kind = schema.get("type")
    if kind in _PLAIN and left - {"type"} <= _RULES:
        return _PLAIN[kind]
    if kind == "array" and left - {"type", "items"} <= _RULES:
        inner = _type(schema["items"], indent)
        return f"readonly ({inner})[]" if "|" in inner else f"readonly {inner}[]"
    if kind == "object" and left == {"type", "additionalProperties"}:
        return f"{{ readonly [name: string]: {_type(schema['additionalProperties'], indent)} }}"
    raise Corrupt(f"a schema that TypeScript is not told of: {sorted(left)}")


def _object(schema: Mapping[str, Any], indent: str) -> str:
    """An interface's body, "" for one without fields. What is not required may be missing; nothing is beside what is
    named."""
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        raise Corrupt("an object that is not closed")
    required, lines = schema.get("required", ()), []
    for name, inner in schema.get("properties", {}).items():
        said = name if _NAME.fullmatch(name) else f'"{name}"'
        lines.append(
            _commented(inner.get("description", ""), "  ")
            + f"  readonly {said}{'' if name in required else '?'}: {_type(inner, indent)};\n"
        )
    return "{\n" + "".join(lines) + "}" if lines else ""


def _commented(text: str, indent: str) -> str:
    flowing = " ".join(text.split()).replace("*/", "* /")
    return f"{indent}/** {flowing} */\n" if flowing else ""


def main() -> None:
    Path(sys.argv[1]).write_text(written(_bare(Plane.WHOLE).openapi()), "utf-8")


if __name__ == "__main__":
    main()
