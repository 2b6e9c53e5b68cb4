"""``bpfree.train`` and ``bpfree.load`` from Python: arrays, classes and callbacks."""

import json
import shutil
import subprocess
import sys
import time
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from command import DIGITS, one_line
from torch.utils.data import DataLoader, TensorDataset

import bpfree
from bpfree import rules
from bpfree.rules.mono_forward import MonoForward
from bpfree.runs import meters, provenance
from bpfree.runs.hardware import hardware
from bpfree.runs.model import evaluate
from bpfree.runs.plan import Plan
from bpfree.runs.probe import Probe
from bpfree.studies.compare import compare
from bpfree.training.trainer import Local

TINY = {"hidden": (32,), "epochs": 2, "threads": 1, "meter": "none"}


class Mine(MonoForward):
    """A rule that a user has written in a script."""


@pytest.fixture(scope="module")
def arrays():
    with np.load(DIGITS) as file:
        return tuple(file[name] for name in ("x_train", "y_train", "x_test", "y_test"))


@pytest.fixture(scope="module")
def trained(arrays, tmp_path_factory):
    out = tmp_path_factory.mktemp("python") / "run"
    return out, bpfree.train(Mine, arrays, out=out, normalize="standard", **TINY)


def test_class_and_arrays_are_enough(trained, arrays):
    out, record = trained
    assert record["status"] == "finished"
    assert record["algo"] == f"{__file__}:Mine"
    assert len(record["algo_sha256"]) == 64
    assert json.loads((out / "run.json").read_text()) == record
    assert yaml.safe_load((out / "config.yaml").read_text()) == record["config"]


def test_model_of_a_run_on_arrays_normalises_as_in_training(trained, arrays):
    out, record = trained
    scores = bpfree.load(out).predict(arrays[2])
    accuracy = (scores.argmax(1).numpy() == arrays[3]).mean()
    assert accuracy == pytest.approx(record["result"]["test"], abs=1e-12)


def test_resume_wants_the_same_data_again(trained, arrays):
    out, record = trained
    with pytest.raises(bpfree.InputError, match="given in memory"):
        bpfree.train(resume=out)
    assert bpfree.train(resume=out, data=arrays) == record


def test_command_line_says_that_data_of_a_run_in_memory_come_from_python(arrays, fresh, tmp_path):
    bpfree.train("mono-forward", arrays, out=tmp_path / "run", **TINY)
    done = fresh("train", "--resume", "run", cwd=tmp_path)
    assert "give the same from Python, with bpfree.train" in one_line(done, 2)


def test_resume_refuses_other_data(arrays, tmp_path):
    stop = type("Stop", (bpfree.Callback,), {"on_epoch": lambda self, loop: loop.stop("enough")})
    record = bpfree.train(Mine, arrays, out=tmp_path / "run", callbacks=[stop()], **TINY)
    assert (record["status"], record["error"], record["result"]["epochs"]) == ("stopped", "enough", 1)
    other = (255 - arrays[0], *arrays[1:])
    with pytest.raises(bpfree.InputError, match=r"is not what .* was started with"):
        bpfree.train(resume=tmp_path / "run", data=other, meter="none")
    done = bpfree.train(resume=tmp_path / "run", data=arrays, meter="none")
    assert (done["status"], done["resumes"], done["result"]["epochs"]) == ("finished", 1, 2)


def test_wall_time_of_a_resumed_run_holds_the_time_before(arrays, tmp_path):
    class Stop(bpfree.Callback):
        def on_epoch(self, loop):
            time.sleep(1)  # longer than the rest takes
            loop.stop("enough")

    before = bpfree.train(Mine, arrays, out=tmp_path / "run", callbacks=[Stop()], **TINY)
    after = bpfree.train(resume=tmp_path / "run", data=arrays, meter="none")
    assert after["time"]["wall_s"] > before["time"]["wall_s"]


def test_default_folder_names_rule_data_and_seed(arrays, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = bpfree.train("mono-forward", f"npz:{DIGITS}", seed=7, **TINY)
    assert record["folder"].startswith("runs/mono-forward-npz-digits-s7-")


def test_model_says_what_shape_it_wants(trained):
    model = bpfree.load(trained[0])
    with pytest.raises(bpfree.InputError, match=r"trained on examples of \(28, 28\)"):
        model.predict(np.zeros((2, 30, 30), np.uint8))


def test_record_says_how_the_meter_was_when_the_run_ended(arrays, tmp_path, monkeypatch):
    class Closing(meters.Meter):
        def close(self):
            super().close()
            self.closed = True

        def describe(self):
            return {"closed": getattr(self, "closed", False)}

    monkeypatch.setattr(meters, "Meter", Closing)
    assert bpfree.train(Mine, arrays, out=tmp_path / "run", **TINY)["meter"] == {"closed": True}


def test_meter_counts_the_gpu_of_the_run_alone(monkeypatch):
    uuids = {0: "aaaa-0", 1: "bbbb-1"}
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid=uuids[device.index]))
    assert hardware(torch.device("cuda:1")).gpus == ["GPU-bbbb-1"]
    assert hardware(torch.device("cpu")).gpus == []


def test_probe_sees_every_class_of_data_sorted_by_class(arrays, tmp_path):
    x, y = arrays[:2]
    order = np.argsort(y, kind="stable")
    record = bpfree.train(Mine, (x[order], y[order]), out=tmp_path / "run", callbacks=[Probe(rows=200)], **TINY)
    assert record["history"][-1]["probe"]["0"] > 0.5


def test_raw_examples_are_let_go_when_training_begins(tmp_path, monkeypatch):
    load, kept = Plan.load_data, []

    def watched(plan):
        data = load(plan)
        kept.append(weakref.ref(data.train.rows))
        return data

    class Look(bpfree.Callback):
        def on_start(self, loop):
            assert kept[0]() is None

    monkeypatch.setattr(Plan, "load_data", watched)
    bpfree.train(Mine, f"npz:{DIGITS}", out=tmp_path / "run", callbacks=[Look()], **TINY)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux begins a new resident peak")
def test_peak_memory_of_a_run_leaves_out_what_came_before_it():
    earlier = provenance.watch_memory(torch.device("cpu"))
    np.ones(200 * 2**20, np.uint8)
    before, _ = earlier()
    peak, method = provenance.watch_memory(torch.device("cpu"))()
    assert method == "resident peak of the run"
    assert peak < before - 100 * 2**20


def loaders(arrays, batch_size):
    """Bytes, as most datasets of images give them."""
    x, y, x_test, y_test = (torch.from_numpy(array) for array in arrays)
    parts = [(x[:200, None], y[:200].long()), (x_test[:, None], y_test.long())]
    return tuple(DataLoader(TensorDataset(*part), batch_size) for part in parts)


def test_model_of_a_run_on_loaders_normalises_as_in_training(arrays, tmp_path):
    train, val = loaders(arrays, 50)
    record = bpfree.train("mono-forward", (train, val, val), out=tmp_path / "run", **TINY)
    model = bpfree.load(tmp_path / "run")
    right = (model.predict(arrays[2][:, None]).argmax(1).numpy() == arrays[3]).mean()
    assert right == pytest.approx(record["result"]["test"], abs=1e-12)
    assert record["order_sha256"] is None  # the loader's own, which nobody knows


def test_bfloat16_arrays_are_taken(arrays, tmp_path):
    x, y = torch.from_numpy(arrays[0]).float() / 255, torch.from_numpy(arrays[1]).long()
    record = bpfree.train("mono-forward", (x.bfloat16(), y), out=tmp_path / "run", **TINY)
    same = bpfree.train("mono-forward", (x.bfloat16().float(), y), out=tmp_path / "same", **TINY)
    assert record["data"]["sha256"] == same["data"]["sha256"]


class OneHead(MonoForward):
    """All blocks, of equal widths, predict through one head: one tensor under two names."""

    def setup(self):
        super().setup()
        self.heads = torch.nn.ModuleList([self.heads[0]] * len(self.heads))

    def owners(self):
        return {"all": list(self.parameters())}

    def local_losses(self, batch):
        for loss, _ in super().local_losses(batch):
            yield Local(loss, owner=None)

    def predict(self, batch):
        return super().predict(batch) + self.uniform(batch, "a draw", 1) * 0


def test_tensors_under_two_names_are_saved_and_draws_are_there_after_loading(arrays, tmp_path):
    bpfree.train(OneHead, arrays, out=tmp_path / "run", **{**TINY, "hidden": (32, 32)})
    model = bpfree.load(tmp_path / "run")
    heads = [head.weight for head in model.trainer.heads]
    assert torch.equal(*heads)
    assert len(model.predict(arrays[2])) == len(arrays[2])


def test_a_rule_of_a_notebook_is_loaded_by_its_class(arrays, tmp_path):
    typed = type("Typed", (MonoForward,), {"__module__": "no_module_of_a_file"})
    bpfree.train(typed, arrays, out=tmp_path / "run", **TINY)
    with pytest.raises(bpfree.InputError, match=r"the rule Typed is in no file: give its class"):
        bpfree.load(tmp_path / "run")
    assert isinstance(bpfree.load(tmp_path / "run", algo=typed).trainer, typed)


def test_a_rule_whose_file_was_moved_is_loaded_by_its_class(tmp_path):
    file = tmp_path / "moved_rule.py"
    file.write_text("from bpfree.rules.mono_forward import MonoForward\nclass Mine(MonoForward):\n    pass\n")
    bpfree.train(f"{file}:Mine", f"npz:{DIGITS}", out=tmp_path / "run", **TINY)
    new = file.rename(tmp_path / "new_place.py")
    message = r"moved_rule\.py does not exist: restore it, or give its class, bpfree\.load\(…, algo=Mine\)"
    with pytest.raises(bpfree.InputError, match=message):
        bpfree.load(tmp_path / "run")
    mine = rules.rule(f"{new}:Mine")
    assert isinstance(bpfree.load(tmp_path / "run", algo=mine).trainer, mine)


def test_a_net_around_an_instrument_is_loaded_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bench.py").write_text("def bench(x):\n    return x**2\n")
    monkeypatch.chdir(tmp_path)
    values = {**TINY, "hidden": (8,), "instrument": "bench.py:bench", "tape": "tape.jsonl"}
    bpfree.train("physical-ff", "vowels", net="instrument", out=tmp_path / "run", **values)
    x = np.linspace(-1, 1, 36, dtype=np.float32).reshape(3, 12)
    expected = bpfree.load("run", device="cpu").config
    monkeypatch.chdir(tmp_path / "elsewhere")
    model = bpfree.load("../run")
    assert model.config["instrument"] == expected["instrument"] == f"{tmp_path / 'bench.py'}:bench"
    assert len(model.predict(x)) == 3
    assert not list(Path.cwd().iterdir())  # the tape is the one beside the bench


SCRIPT = """
import helper
import bpfree
from bpfree.rules.mono_forward import MonoForward

class Mine(MonoForward):
    "A rule of a script without a guard."

record = bpfree.train(Mine, "mnist", subset=60, hidden=(8,), epochs=1, meter="none", out=f"run{helper.NUMBER}")
print(type(bpfree.load(record["folder"]).trainer) is Mine)
"""


def test_a_script_that_loads_its_own_rule_is_not_run_again(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "helper.py").write_text("NUMBER = 1\n")
    found = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (found.stdout, found.returncode) == ("True\n", 0), found.stderr


def test_a_rule_file_may_import_its_neighbours(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "helper_of_a_rule.py").write_text("from bpfree.rules.mono_forward import MonoForward\n")
    (tmp_path / "mine" / "rule.py").write_text(
        "import sys\n\nfrom helper_of_a_rule import MonoForward\n\nsys.path.insert(0, 'of the file itself')\n\n\n"
        "class Mine(MonoForward):\n    pass\n"
    )
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = list(sys.path)
    assert rules.rule(f"{tmp_path / 'mine' / 'rule.py'}:Mine").__name__ == "Mine"
    assert sys.path == ["of the file itself", *before]


def test_a_study_wants_names(arrays, tmp_path):
    for algos, data in (([Mine], "mnist"), (["mono-forward"], arrays)):
        with pytest.raises(bpfree.InputError, match="has no name under which a process of its own finds it"):
            compare(algos, data=data, out=tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_a_model_that_is_not_what_was_written_is_refused(trained, tmp_path):
    out = shutil.copytree(trained[0], tmp_path / "run")
    content = bytearray((out / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (out / "model.safetensors").write_bytes(content)
    with pytest.raises(bpfree.InputError, match=r"model\.safetensors is not what was written"):
        bpfree.load(out)


def test_a_rule_file_that_has_changed_since_is_told(tmp_path):
    file = tmp_path / "rule.py"
    file.write_text("from bpfree.rules.mono_forward import MonoForward\nclass Mine(MonoForward):\n    pass\n")
    bpfree.train(str(file), f"npz:{DIGITS}", out=tmp_path / "run", **TINY)
    file.write_text(file.read_text() + "# something else\n")
    with pytest.warns(UserWarning, match="has changed since"):
        bpfree.load(tmp_path / "run")


def test_a_finished_run_that_was_moved_is_read_where_it_is(trained, tmp_path, arrays):
    out = shutil.copytree(trained[0], tmp_path / "moved")
    assert bpfree.train(Mine, arrays, resume=out)["folder"] == str(out)


@pytest.mark.parametrize("split", ["random", "speakers"])
def test_a_model_of_vowels_is_judged_on_its_own_test_part(split, tmp_path):
    """The test part follows from the run's seed, which the configuration does not repeat."""
    record = bpfree.train("mono-forward", "vowels", out=tmp_path / "run", seed=3, split=split, **TINY)
    model = bpfree.load(tmp_path / "run")
    assert evaluate(model, "vowels", {})["test"] == record["result"]["test"]
    with pytest.raises(bpfree.InputError, match="is evaluated on its own test part: leave split_seed out"):
        evaluate(model, "vowels", {"split_seed": 4})
