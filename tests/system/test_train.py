"""``bpfree train`` and the way back: record, folder, predict, load, resume."""

import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from command import DIGITS, ENVIRONMENT, RULES, TINY, one_line, start

from bpfree.runs import record as energy_record

ALGO = ("--algo", "mono-forward")
SLOW = ("--algo", RULES / "slow.py:Slow", *TINY, "--epochs", "3", "--schedule", "sequential", "--checkpoint-every", "0")


def weights(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def trained(folder, fresh):
    """A finished run, printed with --json."""
    return fresh("train", *ALGO, *TINY, "--epochs", "3", "--out", "done", "--json", cwd=folder)


@pytest.fixture(scope="module")
def unbroken(folder, fresh):
    """The run that interrupted ones are held against."""
    done = fresh("train", *SLOW, "--out", "unbroken", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "unbroken"


def test_json_is_the_record_and_nothing_else(folder, trained):
    assert trained.returncode == 0, trained.stderr
    assert trained.stderr == ""
    assert json.loads(trained.stdout) == energy_record.read(folder / "done" / "run.json")


def test_record_says_what_was_run_and_reached(folder, trained):
    record = json.loads(trained.stdout)
    assert record["status"] == "finished"
    assert record["command"].startswith("bpfree train --algo mono-forward")
    assert record["config"] == yaml.safe_load((folder / "done" / "config.yaml").read_text())
    assert {"algo", "data", "net", "lr", "hidden", "subset", "seed", "precision"} <= record["config"].keys()
    assert record["parameters"] == {"trained": 784 * 32 + 32 + 320, "stored": 25440, "inference": 25440}
    assert record["result"]["readouts"].keys() == {"last", "sum"}
    assert record["result"]["test"] == record["result"]["readouts"]["last"] > 0.3
    assert record["result"]["val"] == max(entry["val"] for entry in record["history"])
    assert record["result"]["epochs"] == record["result"]["data_passes"] == 3
    assert {"setup", "train", "validate", "predict"} <= record["energy"].keys()
    assert record["energy"]["train"]["method"] == "unavailable"
    assert record["memory"]["peak_bytes"] > 1e8
    assert record["resumes"] == 0


def test_folder_holds_what_the_design_promises(folder, trained):
    names = {path.name for path in (folder / "done").iterdir()}
    checkpoints = {"last.ckpt", "best.ckpt", "model.safetensors"}
    assert names == {"config.yaml", "run.json", "history.jsonl", *checkpoints}
    lines = (folder / "done" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]


def test_config_file_of_a_run_gives_the_same_run_again(folder, trained, bpfree):
    done = bpfree("train", "--config", "done/config.yaml", "--meter", "none", "--out", "again", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert weights(folder / "again") == weights(folder / "done")


def test_flags_and_set_and_file_mean_the_same_and_flags_count_most(folder, bpfree):
    (folder / "own.yaml").write_text("algo: mono-forward\nlr: 1e-3\nshift: 2\nbatch-size: 64\n")
    given = ("--config", "own.yaml", "--set", "lr=0.5", "--set", "shift=1", "--lr=2e-3", "--batch_size", "32", "--flip")
    done = bpfree("train", *given, *TINY, "--out", "mixed", "--json", cwd=folder)
    config = json.loads(done.stdout)["config"]
    assert (config["lr"], config["shift"], config["batch_size"], config["flip"]) == (0.002, 1, 32, True)


def test_closing_table_shows_the_figures_of_the_record(folder, bpfree):
    done = bpfree("train", *ALGO, *TINY, "--out", "table", "--quiet", cwd=folder)
    record = energy_record.read(folder / "table" / "run.json")
    assert done.stderr == ""
    assert f"{record['result']['test']:.2%}" in done.stdout
    assert "resident peak of the run" in done.stdout
    assert 'bpfree.load("table").predict(x)' in done.stdout
    assert "\x1b" not in done.stdout


def test_energy_estimate_is_marked_as_one(folder, bpfree):
    done = bpfree("train", *ALGO, *TINY, "--out", "metered", "--meter", "codecarbon", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "(est., constant)" in done.stdout


def test_predict_on_the_test_data_gives_the_recorded_metric(folder, trained, bpfree):
    result = json.loads(trained.stdout)["result"]
    for readout, value in result["readouts"].items():
        done = bpfree("predict", "done", "--data", f"npz:{DIGITS}", "--readout", readout, "--json", cwd=folder)
        assert json.loads(done.stdout)["test"] == value


def test_load_and_predict_reproduce_the_recorded_predictions(folder, trained):
    import numpy as np

    import bpfree

    model = bpfree.load(folder / "done")
    x = np.load(DIGITS)["x_test"]
    classes = model.predict(x).argmax(1).numpy().astype("<i8")
    assert hashlib.sha256(classes.tobytes()).hexdigest() == model.record["result"]["predictions_sha256"]
    assert (model.predict(x[:50].astype("float32") / 255) == model.predict(x[:50])).all()
    with pytest.raises(bpfree.InputError, match="override 'lr'"):
        bpfree.load(folder / "done", lr=0.1)


def test_predict_names_the_class_of_every_row_of_a_file(folder, trained, bpfree):
    import numpy as np

    np.save(folder / "x.npy", np.zeros((3, 28, 28), np.uint8))
    done = bpfree("predict", "done", "x.npy", cwd=folder)
    assert len(done.stdout.splitlines()) == 3


def test_a_run_finds_its_data_again_from_any_folder(folder, bpfree, tmp_path):
    shutil.copy(DIGITS, folder / "own.npz")
    options = ("--data", "npz:own.npz", "--out", "relative", "--json")
    done = bpfree("train", *ALGO, *TINY[2:], *options, cwd=folder)
    config = json.loads(done.stdout)["config"]
    assert (config["data"], config["data_dir"], config["device"]) == ("npz:own.npz", str(folder), "cpu")
    file = str(folder / "relative" / "config.yaml")
    again = bpfree("train", "--config", file, "--out", "again", "--meter", "none", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert weights(tmp_path / "again") == weights(folder / "relative")


def test_resuming_a_finished_run_changes_nothing(folder, trained, bpfree):
    before = {path.name: path.read_bytes() for path in (folder / "done").iterdir()}
    done = bpfree("train", "--resume", "done", "--json", cwd=folder)
    assert json.loads(done.stdout) == json.loads(trained.stdout)
    assert {path.name: path.read_bytes() for path in (folder / "done").iterdir()} == before


def test_resume_with_another_config_names_field_and_both_values(folder, trained, bpfree):
    line = one_line(bpfree("train", "--resume", "done", "--lr", "0.5", cwd=folder), 2)
    assert "lr = 0.001, not 0.5" in line
    assert "algo = mono-forward, not backprop" in one_line(
        bpfree("train", "--resume", "done", "--algo", "backprop", cwd=folder), 2
    )


def wait_for(process: subprocess.Popen, run: Path, epochs: int) -> None:
    """Until the run has this many epochs behind it and a checkpoint."""
    history = run / "history.jsonl"
    for _ in range(2000):
        assert process.poll() is None, process.communicate()
        if history.exists() and len(history.read_text().splitlines()) >= epochs and (run / "last.ckpt").exists():
            return
        time.sleep(0.02)
    raise AssertionError("the run did not get that far in 40 s")


def test_interrupt_ends_cleanly_and_resume_reaches_the_unbroken_result(folder, unbroken, bpfree):
    process = start("train", *SLOW, "--out", "interrupted", cwd=folder)
    wait_for(process, folder / "interrupted", 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped by SIGINT: everything is saved; go on with bpfree train --resume interrupted" in err
    assert "Traceback" not in err
    stopped = energy_record.read(folder / "interrupted" / "run.json")
    assert (stopped["status"], stopped["error"], stopped["result"]["test"]) == ("stopped", "stopped by SIGINT", None)
    assert bpfree("predict", "interrupted", "--data", f"npz:{DIGITS}", cwd=folder).returncode == 0

    done = bpfree("train", "--resume", "interrupted", "--meter", "none", cwd=folder)
    assert done.returncode == 0, done.stderr
    compare_with_unbroken(folder / "interrupted", unbroken)


def test_kill_and_resume_reach_the_unbroken_result(folder, unbroken, bpfree):
    process = start("train", *SLOW, "--out", "killed", cwd=folder)
    wait_for(process, folder / "killed", 2)
    process.kill()
    process.communicate()
    assert energy_record.read(folder / "killed" / "run.json")["status"] == "running"

    done = bpfree("train", "--resume", "killed", "--meter", "none", cwd=folder)
    assert done.returncode == 0, done.stderr
    compare_with_unbroken(folder / "killed", unbroken)


def compare_with_unbroken(run: Path, unbroken: Path) -> None:
    first, second = (energy_record.read(path / "run.json") for path in (run, unbroken))
    assert first["resumes"] == 1
    assert weights(run) == weights(unbroken)
    assert first["result"] == second["result"]
    clock = ("train_s", "train_j")
    histories = [[{k: v for k, v in e.items() if k not in clock} for e in r["history"]] for r in (first, second)]
    assert histories[0] == histories[1]
    assert [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()] == first["history"]


def test_two_processes_share_one_run(folder):
    command = ["torch.distributed.run", "--nproc-per-node", "2", "-m", "bpfree", "train", *ALGO, *TINY]
    done = subprocess.run(
        [sys.executable, "-m", *command, "--out", "shared"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    record = energy_record.read(folder / "shared" / "run.json")
    assert (record["status"], record["processes"]) == ("finished", 2)
    assert done.stdout.count("test accuracy") == 1
    assert re.search(r"^ +processes +2$", done.stdout, re.MULTILINE)  # a mean over samples: nothing more to say


UNNAMED = """
import os
from pathlib import Path
import bpfree

record = bpfree.train("mono-forward", "vowels", hidden=(8,), epochs=1, device="cpu", threads=1, meter="none")
Path(f"of-process-{os.environ['RANK']}-{record['folder'].replace('/', '+')}").touch()
"""


def test_two_processes_name_one_folder_when_none_is_given(tmp_path):
    (tmp_path / "script.py").write_text(UNNAMED)
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "script.py"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    named = {path.name for path in tmp_path.glob("of-process-*")}
    assert named == {f"of-process-{rank}-runs+{folder.name}" for rank in (0, 1)}


def test_probe_adds_every_blocks_readout_accuracy_to_the_history(folder, bpfree):
    done = bpfree("train", *ALGO, *TINY, "--hidden", "32,16", "--probe", "--out", "probed", "--json", cwd=folder)
    (entry,) = json.loads(done.stdout)["history"]
    assert entry["probe"].keys() == {"0", "1"}
    assert all(0.5 < accuracy < 1 for accuracy in entry["probe"].values())


def test_two_processes_resume_what_was_killed(folder):
    """Checkpoints fall due by each process's own clock, and still both processes go on in step."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "bpfree", "train"]
    rule = f"{RULES / 'slow.py'}:Slow"
    options = ["--algo", rule, *TINY, "--epochs", "4", "--checkpoint-every", "0.1", "--quiet"]
    first = subprocess.Popen(
        [*torchrun, *options, "--out", "pair"],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(first, folder / "pair", 1)
    first.terminate()  # torchrun passes it on
    first.communicate(timeout=60)
    assert energy_record.read(folder / "pair" / "run.json")["status"] == "stopped"
    done = subprocess.run(
        [*torchrun, "--resume", "pair", "--meter", "none"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    record = energy_record.read(folder / "pair" / "run.json")
    assert (record["status"], record["result"]["epochs"], record["resumes"]) == ("finished", 4, 1)
