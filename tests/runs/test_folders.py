"""Folders that older versions left behind: each is read, loaded, resumed and reported as when it was made.

``folders/run-N-finished`` and ``-stopped`` hold runs of record version N, ``study-N`` a study of version N: six epochs
of mono-forward on vowels, seed 3, the second run stopped after three.
"""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

import bpfree
from bpfree.data import reader_of
from bpfree.data.tables.vowels import VowelSettings
from bpfree.errors import InputError
from bpfree.reports import study
from bpfree.runs import record
from bpfree.runs.model import evaluate

FOLDERS = Path(__file__).with_name("folders")
VERSIONS = sorted(path.name.split("-")[1] for path in FOLDERS.glob("run-*-finished"))


def stored(folder: Path) -> dict:
    """The record as the file holds it."""
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


@pytest.fixture(params=VERSIONS)
def finished(request) -> Path:
    return FOLDERS / f"run-{request.param}-finished"


@pytest.fixture(params=VERSIONS)
def stopped(request, tmp_path) -> Path:
    """A copy, to go on with."""
    return Path(shutil.copytree(FOLDERS / f"run-{request.param}-stopped", tmp_path / "run"))


def test_there_is_a_folder_for_every_version():
    assert [f"bpfree-run/{version}" for version in VERSIONS] == [*record.STEPS, record.SCHEMA]


def test_record_is_read_in_the_newest_version_with_the_hash_of_its_file(finished):
    actual, raw = record.read(finished / "run.json"), stored(finished)
    assert raw["schema"] == f"bpfree-run/{finished.name.split('-')[1]}"
    assert actual["schema"] == record.SCHEMA
    assert actual["record_sha256"] == raw["record_sha256"]
    same = raw.keys() - {"schema", "extra"}
    assert {key: actual[key] for key in same} == {key: raw[key] for key in same}


def test_record_that_was_edited_is_refused_before_it_is_migrated(stopped):
    raw = stored(stopped)
    raw["result"]["val"] = 1.0
    (stopped / "run.json").write_text(json.dumps(raw))
    with pytest.raises(InputError, match="changed after it was written"):
        record.read(stopped / "run.json")


def test_model_predicts_what_it_predicted(finished):
    """The record's own figures, from predictions made anew on the test part that the run's seed draws."""
    model, result = bpfree.load(finished), stored(finished)["result"]
    assert evaluate(model, "vowels", {})["test"] == pytest.approx(result["test"], abs=1e-12)
    rows = reader_of("vowels").read(VowelSettings(split_seed=3)).x_test
    classes = model.predict(rows.gather(torch.arange(len(rows)))).argmax(1).numpy().astype("<i8")
    assert hashlib.sha256(classes.tobytes()).hexdigest() == result["predictions_sha256"]


def test_finished_run_is_read_where_it_lies_now(finished, tmp_path):
    moved = Path(shutil.copytree(finished, tmp_path / "moved"))
    actual = bpfree.train(resume=moved)
    assert (actual["status"], actual["folder"]) == ("finished", str(moved))
    assert actual["result"] == stored(finished)["result"]


def test_stopped_run_goes_on_to_what_the_undisturbed_one_reached(stopped):
    """The weights agree to rounding: another machine's products may differ in the last digit of float32."""
    before = stored(stopped)
    actual = bpfree.train(resume=stopped, meter="none")
    assert (actual["status"], actual["schema"], actual["resumes"]) == ("finished", record.SCHEMA, 1)
    assert actual["history"][:3] == before["history"]
    whole = FOLDERS / f"run-{before['schema'].rpartition('/')[2]}-finished"
    assert actual["result"]["test"] == stored(whole)["result"]["test"]
    ours, theirs = (safetensors.torch.load_file(path / "model.safetensors") for path in (stopped, whole))
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.allclose(tensor, theirs[name], rtol=1e-4, atol=1e-5), name


def test_run_is_reported(finished, tmp_path):
    report, files = bpfree.report([finished], out=tmp_path)
    (row,) = report["budgets"][0]["rows"]
    assert (row["arm"], row["finished"]) == ("mono-forward", 1)
    assert row["test"]["mean"] == stored(finished)["result"]["test"]
    assert report["runs"][0]["record_sha256"] == stored(finished)["record_sha256"]
    assert all(path.exists() for path in files)


@pytest.mark.parametrize("folder", sorted(FOLDERS.glob("study-*")), ids=lambda path: path.name)
def test_study_is_read_and_reported(folder, tmp_path):
    actual = study.load(folder)
    assert len(actual.runs) == 12  # three arms (one repeated) x two seeds x two budgets
    assert all(run.finished for run in actual.runs)
    report, _ = bpfree.report([folder], out=tmp_path)
    for budget in report["budgets"]:
        for row in budget["rows"]:
            tests = [stored(folder / r.path)["result"]["test"] for r in actual.of(row["arm"], budget["name"])]
            assert row["test"]["mean"] == pytest.approx(sum(tests) / len(tests))
