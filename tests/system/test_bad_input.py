"""Every mistake gets one clear line and an exit code, and leaves nothing half-written."""

import subprocess

import numpy as np
import pytest
import yaml
from command import DIGITS, RULES, TINY, one_line
from PIL import Image

from bpfree.runs import record as energy_record
from bpfree.training.checkpoint import read

MF = ("--algo", "mono-forward")

CASES = {
    "no rule": (("--data", "mnist"), "no rule given"),
    "rule": (("--algo", "mono-forwrd"), "unknown rule 'mono-forwrd': did you mean mono-forward"),
    "data": ((*MF, "--data", "minst"), "unknown data 'minst': did you mean mnist"),
    "net": ((*MF, "--net", "mpl"), "unknown net 'mpl': did you mean mlp?"),
    "setting": ((*MF, "--set", "hiden=3"), "unknown setting 'hiden': did you mean hidden?"),
    "pair": ((*MF, "--set", "lr"), "--set lr is not valid"),
    "flag": ((*MF, "--batchsize", "3"), "unknown flag '--batchsize': did you mean --batch-size"),
    "own flag": (("--aglo", "mono-forward"), "unknown flag '--aglo': did you mean --algo?"),
    "flag without value": ((*MF, "--lr"), "--lr needs a value: float > 0"),
    "option without value": (("--algo",), "--algo"),
    "stray word": ((*MF, "mnist"), "unexpected argument 'mnist'"),
    "range": ((*MF, "--lr", "-1"), "lr = '-1' is not valid: expected > 0"),
    "type": ((*MF, "--epochs", "many"), "epochs = 'many' is not valid"),
    "choice": ((*MF, "--readout", "best"), "readout = 'best' is not valid: expected last | sum"),
    "device": ((*MF, "--device", "cuda:99"), "device 'cuda:99' is not available here"),
    "meter": ((*MF, "--meter", "sundial"), "sundial"),
    "empty validation": ((*MF, "--val-fraction", "1e-9"), "validation"),
    "net for images": ((*MF, "--net", "cnn", "--channels", "4,4,4,4,4"), "poolings leave nothing"),
    "net for pictures": ((*MF, "--net", "autoencoder"), "try --task reconstruction"),
    "rule for classes": ((*MF, *TINY, "--task", "reconstruction"), "MonoForward cannot learn reconstruction"),
    "task": ((*MF, "--task", "ranking"), "expected auto | classification | regression"),
    "probe of pictures": (("--algo", "backprop", *TINY, "--task", "reconstruction", "--probe"), "probe reads classes"),
    "rule file missing": (("--algo", "nowhere.py:Rule"), "nowhere.py does not exist"),
    "rule file broken": (("--algo", f"{RULES}/broken.py:Rule"), "does not import: ModuleNotFoundError"),
    "rule file empty": (("--algo", f"{RULES}/empty.py"), "must define exactly one public Trainer subclass"),
    "rule class": (("--algo", f"{RULES}/wrong.py:InsideNoGard"), "did you mean InsideNoGrad?"),
    "no_grad": (
        ("--algo", f"{RULES}/wrong.py:InsideNoGrad", *TINY),
        "yields inside a no_grad or autocast block",
    ),
    "owner": (("--algo", f"{RULES}/wrong.py:UnknownOwner", *TINY), "no owner 'blok'"),
    "config file": ((*MF, "--config", "none.yaml"), "cannot read none.yaml"),
    "algo no name": (("--config", "algo.yaml"), "algo.yaml: algo = 3 is not valid: expected a name"),
    "data no name": (("--config", "data.yaml"), "data.yaml: data = 3 is not valid: expected a name"),
    "net no name": (("--config", "net.yaml"), "net.yaml: net = 3 is not valid: expected a name"),
    "data in memory": ((*MF, "--data", "given in memory: tuple"), "give the same from Python"),
    "huge net": ((*MF, *TINY, "--hidden", "99999999999999"), "the net does not fit into memory: "),
    "absurd net": ((*MF, *TINY, "--hidden", "9" * 18), "the net does not fit into memory: "),
    "net beyond 64 bits": ((*MF, *TINY, "--hidden", "9" * 25), "the net does not fit into memory: "),
    "rule incomplete": (("--algo", f"{RULES}/wrong.py:Incomplete"), "it must define local_losses and predict"),
    "meter without GPU": (
        (*MF, *TINY, "--device", "cpu", "--meter", "nvml"),
        "nvml can read nothing here: no GPU in use",
    ),
    "npz missing": ((*MF, "--data", "npz:none.npz"), "no such file"),
    "npz cut": ((*MF, "--data", "npz:cut.npz"), "cut.npz is damaged"),
    "npz NaN": ((*MF, "--data", "npz:nan.npz"), "row 3 holds NaN or infinity"),
    "npz labels": ((*MF, "--data", "npz:labels.npz"), "39 rows"),
    "one class": ((*MF, "--data", "folder:single"), "holds one class only"),
    "corrupt image": ((*MF, "--data", "folder:corrupt"), "cannot read image"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with bad data in it."""
    place = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 8), np.float32), np.arange(40) % 4
    np.savez(place / "good.npz", x_train=x, y_train=y)
    whole = (place / "good.npz").read_bytes()
    (place / "cut.npz").write_bytes(whole[: len(whole) // 2])
    np.savez(place / "labels.npz", x_train=x, y_train=y[1:])
    x[3, 5] = np.nan
    np.savez(place / "nan.npz", x_train=x, y_train=y)
    for name in ("algo", "data", "net"):
        (place / f"{name}.yaml").write_text(yaml.safe_dump({"algo": "mono-forward", name: 3}))
    for name, classes in (("single", ("cat",)), ("corrupt", ("cat", "dog"))):
        for label in classes:
            folder = place / name / "train" / label
            folder.mkdir(parents=True)
            for i in range(4):
                Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{i}.png")
    (place / "corrupt" / "train" / "dog" / "2.png").write_bytes(b"not an image")
    return place


@pytest.mark.parametrize("case", CASES)
def test_bad_input_gets_one_line_code_2_and_writes_nothing(case, place, bpfree):
    arguments, message = CASES[case]
    before = sorted(place.rglob("*"))
    done = bpfree("train", "--out", "out", "--meter", "none", *arguments, cwd=place)
    assert message in one_line(done, 2)
    assert sorted(place.rglob("*")) == before


def test_resuming_what_is_no_run_is_refused(place, bpfree):
    assert "nowhere holds no run" in one_line(bpfree("train", "--resume", "nowhere", cwd=place), 2)


def test_existing_folder_is_never_written_into(place, bpfree, tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    done = bpfree("train", *MF, *TINY, "--out", tmp_path, cwd=place)
    assert "exists: choose another --out, or go on with --resume" in one_line(done, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_checkpoint_cut_in_half_is_refused_and_nothing_changes(bpfree, tmp_path):
    rule = RULES / "wrong.py:NanLater"
    failed = bpfree(
        "train", "--algo", rule, *TINY, "--epochs", "3", "--checkpoint-every", "0", "--out", "run", cwd=tmp_path
    )
    assert failed.returncode == 1
    checkpoint = tmp_path / "run" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    assert "last.ckpt is damaged" in one_line(bpfree("train", "--resume", "run", cwd=tmp_path), 2)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_nan_loss_fails_the_run_names_the_step_and_keeps_the_last_good_checkpoint(bpfree, tmp_path):
    """A sixth of 1,200 images validates: 1,000 in batches of 128 are 8 steps, the second epoch begins with the 9th."""
    rule = RULES / "wrong.py:NanLater"
    order = ("--algo", rule, *TINY, "--epochs", "3", "--checkpoint-every", "0", "--quiet", "--out", "run")
    line = one_line(bpfree("train", *order, cwd=tmp_path), 1)
    assert "the loss of block 0 became nan at step 9 of the run" in line
    record = energy_record.read(tmp_path / "run" / "run.json")
    assert (record["status"], record["error"]) == ("failed", line.removeprefix("error: "))
    weights = read(tmp_path / "run" / "last.ckpt")["model"].values()
    assert all(bool(tensor.isfinite().all()) for tensor in weights)


def test_huge_learning_rate_fails_the_run(bpfree, tmp_path):
    done = bpfree("train", *MF, *TINY, "--lr", "1e30", "--quiet", "--out", "run", cwd=tmp_path)
    assert "try a smaller --lr" in one_line(done, 1)
    assert energy_record.read(tmp_path / "run" / "run.json")["status"] == "failed"


def test_mistake_in_a_rule_keeps_its_traceback(bpfree, tmp_path):
    done = bpfree("train", "--algo", RULES / "wrong.py:Bug", *TINY, "--out", "run", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "AttributeError" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def small_disk(tmp_path, request):
    """A file system with the given number of KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={request.param}k", "tmpfs", str(disk)]
    made = subprocess.run(["mount", *options], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system needs root: {made.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("small_disk", [600], indirect=True)
def test_disk_that_fills_up_fails_the_run_and_keeps_the_last_good_checkpoint(small_disk, bpfree):
    order = (*MF, *TINY, "--epochs", "4", "--checkpoint-every", "0", "--quiet", "--out", "run")
    line = one_line(bpfree("train", *order, cwd=small_disk), 1)
    assert "could not write" in line
    assert read(small_disk / "run" / "last.ckpt")["cursor"]["steps"] >= 1
    assert energy_record.read(small_disk / "run" / "run.json")["status"] == "failed"
    assert not [path for path in (small_disk / "run").iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("small_disk", [4], indirect=True)
def test_full_disk_at_the_start_leaves_nothing(small_disk, bpfree):
    (small_disk / "filler").write_bytes(b"x" * 4096)
    line = one_line(bpfree("train", *MF, *TINY, "--quiet", "--out", "run", cwd=small_disk), 1)
    assert "could not write" in line
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


def test_predict_refuses_what_the_model_cannot_take(bpfree, tmp_path):
    assert bpfree("train", *MF, *TINY, "--quiet", "--out", "run", cwd=tmp_path).returncode == 0
    np.save(tmp_path / "x.npy", np.zeros((3, 5), np.uint8))
    np.save(tmp_path / "bright.npy", np.full((3, 28, 28), 255.0))
    cases = {
        ("x.npy",): "x has shape (3, 5)",
        ("none.npy",): "no such file",
        (): "give one of FILE and --data",
        ("x.npy", "--readout", "best"): "unknown readout of this run 'best'",
        ("--data", f"npz:{DIGITS}", "--lr", "1"): "--lr",
        ("--data", f"npz:{DIGITS}", "--set", "lr=1"): "unknown setting 'lr'",
        (
            "--data",
            f"npz:{DIGITS}",
            "--set",
            "val_fraction=0.5",
        ): "is evaluated on its own test part: leave val_fraction out",
        (
            "bright.npy",
        ): "x holds 255, and this model was trained on bytes, where floats are 0..1: give 0..255 as uint8",
    }
    for arguments, message in cases.items():
        assert message in one_line(bpfree("predict", "run", *arguments, cwd=tmp_path), 2)
