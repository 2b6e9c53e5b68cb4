"""bpfree report, as a user runs it."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import study_doubles as doubles

ARMS = {"mine": {}, "backprop": {"role": "twin"}}


def honest(arm: str, seed: int) -> dict:
    """Results and times that no two runs share."""
    return {"test": 0.97 + seed / 1000 + 0.0003 * (arm == "mine") * seed, "train_s": 9 + seed / 7 + len(arm) / 99}


def study(folder: Path, **facts) -> Path:
    doubles.write(folder, ARMS, lambda arm, seed: doubles.run(arm, seed, **{**honest(arm, seed), **facts}))
    return folder


def test_it_says_the_verdicts_and_where_the_page_is(bpfree, tmp_path):
    study(tmp_path / "study")
    done = bpfree("report", "study", "--co2", "FRA", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "mine and backprop have exactly the same working memory in every pair (n = 3 pairs)." in done.stdout
    assert done.stdout.splitlines()[-1] == "report: study/report.html"
    assert json.loads((tmp_path / "study" / "report.json").read_text())["co2e"]["country"] == "FRA"


def test_json_is_the_report_and_nothing_else(bpfree, tmp_path):
    study(tmp_path / "study")
    done = bpfree("report", "study", "--json", "--out", "there", cwd=tmp_path)
    assert json.loads(done.stdout) == json.loads((tmp_path / "there" / "report.json").read_text())


def test_runs_made_elsewhere_are_compared(bpfree, tmp_path):
    shutil.copytree(study(tmp_path / "a") / "runs", tmp_path / "b")
    done = bpfree("report", *sorted(str(path) for path in (tmp_path / "b").iterdir()), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "not planned as one study" in done.stdout
    assert (tmp_path / "report" / "report.html").exists()


def test_a_run_on_a_fake_meter_is_refused_unless_as_a_draft(bpfree, tmp_path):
    study(tmp_path / "study", fake=True)
    done = bpfree("report", "study", cwd=tmp_path)
    assert done.returncode == 2
    assert "cannot be published" in done.stderr
    assert not (tmp_path / "study" / "report.html").exists()
    assert bpfree("report", "study", "--draft", cwd=tmp_path).returncode == 0


def edited(folder: Path) -> None:
    path = study(folder) / "runs" / "mine-s0" / "run.json"
    path.write_text(path.read_text().replace('"test": 0.97', '"test": 0.99'))


def of_another_schema(folder: Path) -> None:
    study(folder)
    path = folder / "study.json"
    path.write_text(path.read_text().replace("bpfree-study/2", "bpfree-study/7"))


def with_a_fault(folder: Path) -> Path:
    """A study in which mine waits longer before it stops."""

    def run(arm: str, seed: int) -> dict:
        return doubles.run(arm, seed, config={"patience": len(arm)}, **honest(arm, seed))

    doubles.write(folder, ARMS, run)
    return folder


def test_a_claim_that_a_fault_voids_is_exit_code_1_and_allowed_it_is_still_void(bpfree, tmp_path):
    with_a_fault(tmp_path / "study")
    done, allowed = bpfree("report", "study", cwd=tmp_path), bpfree("report", "study", "--allow-faults", cwd=tmp_path)
    assert (done.returncode, allowed.returncode) == (1, 0)
    assert done.stdout == allowed.stdout
    assert "fault: own convergence: the arms do not stop by one rule" in done.stdout
    assert "points better" not in done.stdout
    assert "3 claims cannot be made because of faults" in done.stdout


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here: apt-get install openssh-client")
def test_a_report_is_signed_and_verified(bpfree, tmp_path):
    study(tmp_path / "study")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    (tmp_path / "signers").write_text(f"ada@example.org {(tmp_path / 'key.pub').read_text()}")
    assert bpfree("report", "study", "--sign", "key", cwd=tmp_path).returncode == 0
    done = bpfree("report", "study", "--verify", "signers", cwd=tmp_path)
    assert done.stdout == "study/report.json: signed by ada@example.org; its runs are these\n"
    (tmp_path / "signers").write_text("")
    assert bpfree("report", "study", "--verify", "signers", cwd=tmp_path).returncode == 2


def rewritten(old: str, new: str):
    """make(folder): a study with the text of one record changed."""

    def make(folder: Path) -> None:
        path = study(folder) / "runs" / "mine-s0" / "run.json"
        path.write_text(path.read_text().replace(old, new, 1))

    return make


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (study, ("nowhere",), "nowhere holds no run"),
        (study, ("study", "--co2", "Frnace"), "did you mean FRA (France)"),
        (study, ("study", "--co2", "-3"), "0 or more, not -3"),
        (edited, ("study",), "was changed after it was written"),
        (of_another_schema, ("study",), "has schema 'bpfree-study/7'"),
        (study, ("study", "--out", "study/study.json"), "cannot write into study/study.json"),
        (rewritten('"test": 0.97', '"test": NaN'), ("study",), "run.json is not JSON: NaN is no number there"),
        (rewritten('"test": 0.97', '"test": 1e999'), ("study",), "run.json is not JSON: 1e999 is no number there"),
        (rewritten('"name": "digits"', '"name": "\\ud800"'), ("study",), "has half of a surrogate pair"),
        (rewritten("{", '{"a":' * 99_999), ("study",), "run.json is not JSON"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(bpfree, tmp_path, make, arguments, words):
    make(tmp_path / "study")
    done = bpfree("report", *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
