"""The run record: what one training run leaves behind as ``run.json``, and the only ways to write and read it.

A record is plain JSON with a schema version (`bpfree.runs.schema`) and a hash of itself. `write` checks it and replaces
the file at once, so that a reader never sees half of one; `read` refuses a record that was edited by hand, and brings
one of an older version to the newest. Missing is null: a value that is not finite (a loss that became NaN) is written
as null.
"""

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bpfree.errors import InputError
from bpfree.runs.migrations import STEPS, extra_of_version_1, migrated
from bpfree.runs.schema import SCHEMA, Record
from bpfree.training.files import read_json, write_json


class RunRecord(dict[str, Any]):
    """A record as a dictionary, with ``record["extra"]`` of version 1 readable for one more version of bpfree."""

    def __missing__(self, key: str) -> Any:
        if key != "extra":
            raise KeyError(key)
        text = 'record["extra"] will go: its entries are fields of the record, such as record["folder"]'
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return extra_of_version_1(self)


def validated(record: Mapping[str, Any]) -> RunRecord:
    """A record checked against the schema, defaults filled in, as plain JSON types.

    Raises:
        InputError: another schema, or a field that does not fit; the message names it.
    """
    schema = record.get("schema")
    if schema != SCHEMA:
        older = "".join(f"{name!r}, " for name in STEPS)
        raise InputError(
            f"the record has schema {schema!r}; this version reads {older}{SCHEMA!r} and writes {SCHEMA!r}"
        )
    try:
        model = Record.model_validate(_finite(record))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        raise InputError(f"the record does not fit {SCHEMA}: {where}: {first['msg']}") from error
    return RunRecord(model.model_dump(mode="json", by_alias=True))


def sha256_of(value: Any) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of plain values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def digest(record: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON (sorted keys, no spaces) of a record without its own hash."""
    body = {key: value for key, value in record.items() if key != "record_sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def write(record: Mapping[str, Any], path: str | os.PathLike[str]) -> RunRecord:
    """Check a record, add its hash, and replace the file in one step.

    Args:
        record: in the newest version of the schema; defaults may be left out.
        path: of the file, usually ``run.json`` in the folder of the run.

    Returns:
        The record as written, with ``record_sha256``.

    Raises:
        InputError: the record does not fit the schema.
        RunFailed: the file cannot be written; an older one stays as it was, and nothing half-written stays behind.
    """
    full = validated(record)
    full["record_sha256"] = digest(full)
    write_json(full, Path(path), "record")
    return full


def read(path: str | os.PathLike[str]) -> RunRecord:
    """The record in a file, of whatever known version, in the newest one.

    The hash is checked on what the file holds; a record that was migrated keeps it.

    Raises:
        InputError: the file cannot be read, has an unknown schema, or does not match its hash.
    """
    record = read_json(Path(path), "record")
    if record.get("schema") in (SCHEMA, *STEPS):
        stated, actual = record.get("record_sha256"), digest(record)
        if stated != actual:
            raise InputError(
                f"the record {path} was changed after it was written: it states sha256 {str(stated)[:12]}, "
                f"its content has {actual[:12]}"
            )
    return validated(migrated(record))


def _finite(value: Any) -> Any:
    """The same JSON with null for every number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
