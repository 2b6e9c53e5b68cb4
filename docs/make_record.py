"""Write ``record.md``, the run record field by field, from the schema: ``python docs/make_record.py``."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bpfree.runs import schema

PAGE = Path(__file__).with_name("record.md")
WORDS = {"string": "text", "integer": "integer", "number": "number", "boolean": "true or false", "null": "null"}
HEAD = f"""# The run record, field by field

Every run leaves a `run.json` in its folder: plain JSON in UTF-8 of schema `{schema.SCHEMA}`, which `bpfree.train`
returns, `bpfree train --json` prints, and `bpfree.load(FOLDER).record` reads. Older records are read as well, in this
form. A value that is not known, or not finite, is `null`; "object of X" maps names to X; a field called optional has a
default.

"""


def page() -> str:
    """The page as Markdown."""
    parts = schema.Record.model_json_schema()
    policy = inspect.getdoc(schema) or ""
    policy = policy[policy.index("How the schema changes:") :].replace("``", "`")
    tables = [_table("Record", parts, "## The record")]
    tables += [_table(name, part, f"### {name}") for name, part in parts["$defs"].items()]
    changes = policy.replace("How the schema changes:", "## How the schema changes")
    return HEAD + "\n".join(tables) + "\n" + changes.strip() + "\n"


def _table(name: str, part: Mapping[str, Any], heading: str) -> str:
    about = " ".join((inspect.getdoc(getattr(schema, name)) or "").split()).replace("``", "`")
    rows = "\n".join(_rows(part))
    return f"{heading}\n{about}\n\n| name | type | unit | meaning |\n|---|---|---|---|\n{rows}\n"


def _rows(part: Mapping[str, Any]) -> Iterator[str]:
    for name, about in part["properties"].items():
        kind = _type(about) + ("" if name in part.get("required", ()) else ", optional")
        yield f"| `{name}` | {kind} | {about['unit']} | {about['description'].replace('``', '`')} |"


def _type(about: Mapping[str, Any]) -> str:
    """The type of a JSON schema in words.

    >>> _type({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]})
    'list of text, or null'
    """
    if "anyOf" in about:
        return ", or ".join(map(_type, about["anyOf"]))
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in about or "enum" in about:
        return ", ".join(f"`{value}`" for value in about.get("enum", [about.get("const")]))
    if about.get("type") == "array":
        return f"list of {_type(about['items'])}"
    if about.get("type") == "object":
        inner = next(iter(about.get("patternProperties", {}).values()), about.get("additionalProperties"))
        return f"object of {_type(inner)}" if isinstance(inner, Mapping) else "object"
    return WORDS[about["type"]] if "type" in about else "any"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
