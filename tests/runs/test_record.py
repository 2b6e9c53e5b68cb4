"""bpfree.runs.record: round trip, hash, schema, one-step writing, and what may be published."""

import hashlib
import json
import os

import pytest
from energy_doubles import Scripted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpfree.errors import InputError, RunFailed
from bpfree.runs import record
from energy import Meter


@pytest.fixture
def run(scripted) -> dict:
    """A small finished run with one metered window."""
    return build(scripted)


def build(scripted, fake: bool = False) -> dict:
    source = Scripted("gpu0", [0.0, 5.0])
    source.fake = fake
    scripted(source)
    with Meter() as meter:
        meter.enter("train")
    return {
        "schema": record.SCHEMA,
        "config": {"lr": 0.1, "name": "größe"},
        "algo": "mono-forward",
        "data": {"name": "mnist", "sha256": "00", "rows": 60000},
        "seed": 1,
        "status": "finished",
        "result": {
            "task": "classification",
            "metric": "accuracy",
            "direction": "max",
            "test": 0.98,
            "val": 0.97,
            "predictions_sha256": "11",
            "epochs": 3,
            "data_passes": 3,
            "readouts": {"sum": 0.979},
        },
        "time": {"train_s": 1.5},
        "memory": {"peak_bytes": 1024, "method": "live storages"},
        "energy": meter.readings(),
        "meter": meter.describe(),
        "resumes": 0,
        "history": [{"epoch": 0, "loss": 0.3}],
    }


def test_what_is_written_is_what_is_read(run, tmp_path):
    written = record.write(run, tmp_path / "run.json")
    actual = record.read(tmp_path / "run.json")
    assert actual == written
    for key in ("schema", "config", "algo", "seed", "status", "resumes", "history"):
        assert actual[key] == run[key]
    assert actual["energy"]["train"]["total_j"] == 5.0
    assert actual["data"]["rows"] == 60000


def test_the_hash_is_sha256_of_the_canonical_json_without_itself(run, tmp_path):
    record.write(run, tmp_path / "run.json")
    actual = json.loads((tmp_path / "run.json").read_text())
    stated = actual.pop("record_sha256")
    text = json.dumps(actual, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert stated == hashlib.sha256(text.encode()).hexdigest()


def test_a_record_edited_by_hand_is_refused_and_the_mismatch_named(run, tmp_path):
    stated = record.write(run, tmp_path / "run.json")["record_sha256"]
    text = (tmp_path / "run.json").read_text()
    (tmp_path / "run.json").write_text(text.replace('"test": 0.98', '"test": 0.99'))
    with pytest.raises(InputError, match=f"changed after it was written: it states sha256 {stated[:12]}") as error:
        record.read(tmp_path / "run.json")
    assert "\n" not in str(error.value)


def test_reformatting_does_not_change_the_hash(run, tmp_path):
    written = record.write(run, tmp_path / "run.json")
    (tmp_path / "run.json").write_text(json.dumps(written, sort_keys=True))
    assert record.read(tmp_path / "run.json") == written


def test_another_schema_is_refused_and_both_are_named(run, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({**run, "schema": "bpfree-run/99"}))
    with pytest.raises(InputError, match=f"'bpfree-run/99'.*{record.SCHEMA!r}"):
        record.read(tmp_path / "run.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "bpfree-run/1"'])
def test_a_file_that_is_no_record_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError) as error:
        record.read(tmp_path / "run.json")
    assert "run.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read the record .*run.json: No such file"):
        record.read(tmp_path / "run.json")


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("status",), "done", "status"),
        (("seed",), "one", "seed"),
        (("result", "direction"), "up", "result.direction"),
        (("result", "tset"), 1.0, "result.tset"),
        (("energy", "train", "total_j"), 6.0, "total_j is not the sum"),
        (("energy", "train", "total_j"), None, "total_j is not the sum"),
        (("energy", "train", "method"), "constant", "not the worst label"),
        (("energy", "train", "lacks"), ["cpu"], "includes and lacks"),
        (("energy", "train", "components", "gpu0", "energy_j"), None, "null exactly when"),
        (("energy", "train", "components", "gpu0", "method"), "guess", "method"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_with_the_field(run, tmp_path, path, value, named):
    part = run
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(InputError, match=named) as error:
        record.write(run, tmp_path / "run.json")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(run, tmp_path, monkeypatch):
    """A disk that fills shows itself at fsync at the latest."""
    old = record.write(run, tmp_path / "run.json")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFailed, match=r"could not write the record .*: No space left on device"):
        record.write({**run, "seed": 2}, tmp_path / "run.json")
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
    assert record.read(tmp_path / "run.json") == old


def test_a_loss_that_became_nan_is_written_as_null(run, tmp_path):
    run["history"] = [{"epoch": 0, "loss": float("nan"), "grads": [float("inf"), 1.0]}]
    record.write({**run, "status": "failed"}, tmp_path / "run.json")
    assert record.read(tmp_path / "run.json")["history"] == [{"epoch": 0, "loss": None, "grads": [None, 1.0]}]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    config=st.dictionaries(st.text(), json_values, max_size=4),
    history=st.lists(st.dictionaries(st.text(), json_values)),
)
def test_any_config_and_history_make_the_round_trip(scripted, tmp_path, config, history):
    run = {**build(scripted), "config": config, "history": history}
    record.write(run, tmp_path / "run.json")
    actual = record.read(tmp_path / "run.json")
    assert actual["config"] == config
    assert actual["history"] == history


def test_a_record_from_a_fake_device_is_marked(scripted, tmp_path):
    assert record.write(build(scripted, fake=True), tmp_path / "run.json")["fake"] is True


def test_an_extension_that_nobody_knows_is_kept(run, tmp_path):
    extensions = {"my_lab": {"room": 7, "nested": {"x": [1, None]}}}
    record.write({**run, "extensions": extensions}, tmp_path / "run.json")
    assert record.read(tmp_path / "run.json")["extensions"] == extensions


@pytest.mark.parametrize("extensions", [{"My-Lab": {}}, {"": {}}, {"lab": [1]}, {"lab": 1}])
def test_an_extension_is_an_object_with_a_plain_name(run, tmp_path, extensions):
    with pytest.raises(InputError, match="extensions"):
        record.write({**run, "extensions": extensions}, tmp_path / "run.json")


def test_a_field_that_the_schema_does_not_have_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="humidity"):
        record.write({**run, "humidity": 0.4}, tmp_path / "run.json")
