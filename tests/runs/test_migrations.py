"""bpfree.runs.migrations: the fields of an older record at their new places."""

import copy
import json
import pickle
from pathlib import Path

import pytest

from bpfree.errors import InputError
from bpfree.runs import record
from bpfree.runs.migrations import migrated

FINISHED = Path(__file__).with_name("folders") / "run-1-finished" / "run.json"


@pytest.fixture
def old() -> dict:
    """A record of version 1."""
    return json.loads(FINISHED.read_text(encoding="utf-8"))


def test_entries_of_extra_become_fields(old):
    new, extra = migrated(old), old["extra"]
    assert new["external_systems"] == extra.pop("outside")
    assert new.get("operations") is extra.pop("operations") is None
    assert {key: new[key] for key in extra} == extra
    assert "extra" not in new
    assert "extensions" not in new


def test_entry_of_extra_that_version_1_did_not_know_becomes_an_extension(old):
    old["extra"]["room_temperature_c"] = 21.5
    new = record.validated(migrated(old))
    assert new["extensions"] == {"extra": {"room_temperature_c": 21.5}}


def test_migration_leaves_the_old_record_as_it_was(old):
    before = copy.deepcopy(old)
    migrated(old)
    assert old == before


def test_a_record_of_the_newest_version_stays_as_it_is(old):
    new = migrated(old)
    assert migrated(new) == new


@pytest.mark.parametrize("schema", [None, 1, ["bpfree-run/1"], "bpfree-run/99"])
def test_a_record_of_no_known_version_is_refused(old, schema):
    with pytest.raises(InputError, match=r"this version reads 'bpfree-run/1', 'bpfree-run/2'"):
        record.validated(migrated({**old, "schema": schema}))


def test_a_damaged_extra_is_named(old):
    with pytest.raises(InputError, match="extra"):
        record.validated(migrated({**old, "extra": ["folder"]}))


def test_extra_stays_readable_with_a_warning(old):
    new = record.read(FINISHED)
    with pytest.warns(DeprecationWarning, match=r'record\["folder"\]'):
        actual = new["extra"]
    assert actual == {**old["extra"], "operations": None, "limit": None}
    with pytest.raises(KeyError, match="nothing"):
        new["nothing"]


def test_a_record_passes_between_processes(old):
    new = record.read(FINISHED)
    assert pickle.loads(pickle.dumps(new)) == new
