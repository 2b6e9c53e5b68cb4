"""Migrations of run records: a pure function for each version that leads to the next one."""

from collections.abc import Callable, Mapping
from typing import Any

FIELDS_OF_EXTRA = {  # key of version 1's ``extra`` -> field of version 2
    "prefixes": "prefixes",
    "phase": "phase",
    "phases": "phases",
    "processes": "processes",
    "batch_separable": "batch_separable",
    "limit": "limit",
    "outside": "external_systems",
    "operations": "operations",
    "model_sha256": "model_sha256",
    "folder": "folder",
    "net_key": "net_key",
    "init_sha256": "init_sha256",
    "order_sha256": "order_sha256",
}


def migrated(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of any known version in the newest one; a record of an unknown version comes back unchanged."""
    record = dict(record)
    while isinstance(schema := record.get("schema"), str) and schema in STEPS:
        record = STEPS[schema](record)
    return record


def from_1_to_2(record: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 kept in one untyped object, ``extra``, what version 2 has as fields; the rest becomes an extension."""
    kept = {**record, "schema": "bpfree-run/2"}
    if not isinstance(kept.get("extra"), Mapping):  # absent, or damaged: then the schema refuses it by name
        return kept
    extra = {key: value for key, value in kept.pop("extra").items() if value is not None}
    fields = {FIELDS_OF_EXTRA[key]: value for key, value in extra.items() if key in FIELDS_OF_EXTRA}
    rest = {key: value for key, value in extra.items() if key not in FIELDS_OF_EXTRA}
    return {**kept, **fields, **({"extensions": {"extra": rest}} if rest else {})}


def extra_of_version_1(record: Mapping[str, Any]) -> dict[str, Any]:
    """The object ``extra`` that version 1 would have had."""
    fields = {key: record[field] for key, field in FIELDS_OF_EXTRA.items() if field in record}
    return {**fields, **record.get("extensions", {}).get("extra", {})}


STEPS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {"bpfree-run/1": from_1_to_2}
