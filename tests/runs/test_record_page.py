"""docs/record.md: made from the schema, so that it cannot drift from it."""

import importlib.util
from pathlib import Path

from bpfree.runs.schema import Record

DOCS = Path(__file__).parents[2] / "docs"


def maker():
    spec = importlib.util.spec_from_file_location("make_record", DOCS / "make_record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_what_the_schema_makes():
    assert (DOCS / "record.md").read_text(encoding="utf-8") == maker().page(), "run python docs/make_record.py"


def test_every_field_of_the_record_is_on_the_page():
    rows = [line.split("|")[1].strip() for line in maker().page().splitlines() if line.startswith("| `")]
    names = {field.alias or name for name, field in Record.model_fields.items()}
    assert names <= {row.strip("`") for row in rows}


def test_a_type_is_written_in_words():
    text = {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]}
    assert maker()._type(text) == "list of text, or null"
    assert maker()._type({"type": "object", "additionalProperties": {"type": "number"}}) == "object of number"
