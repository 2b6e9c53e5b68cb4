"""Data and nets of one's own: FILE.py:function in training, resuming, prediction, search and comparison; in memory."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bpfree
from bpfree.data import as_data, reader_of
from bpfree.runs.model import evaluate

X = np.random.default_rng(0).random((96, 6), dtype=np.float32)
Y = (X.sum(1) > 3).astype(int)
OWN = """
import numpy as np
from torch import nn
from torch.utils.data import Dataset, TensorDataset
from bpfree.config.settings import setting, settings
from bpfree.data.reader import Reader, from_arrays

X = np.random.default_rng(0).random((96, 6), dtype=np.float32)
Y = (X.sum(1) > 3).astype(int)

def arrays():
    return X[:72], Y[:72], X[72:], Y[72:]

class Set(Dataset):
    def __len__(self):
        return 72
    def __getitem__(self, row):
        return X[row], Y[row]

class Mine(Reader):
    def read(self, settings):
        return from_arrays(self.name, "made up", *arrays())

def nothing():
    pass

def broken():
    raise ValueError("no\\nluck")

@settings
class Settings:
    width: int = setting(7, "width of the hidden layer", ge=1)

def blocks(spec):
    return nn.Sequential(nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, spec.classes))

def sized(spec, settings, hidden_only):
    hidden = nn.Sequential(nn.Linear(6, settings.width), nn.ReLU())
    return [hidden] if hidden_only else [hidden, nn.Linear(settings.width, spec.classes)]

def strange(spec):
    return nn.Linear(6, 2)
"""
SMALL = {"epochs": 2, "batch_size": 16, "meter": "none", "device": "cpu", "threads": 1}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def blocks() -> list[nn.Module]:
    torch.manual_seed(1)
    return [nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 2)]


def test_a_function_a_dataset_and_a_reader_of_a_file_are_the_arrays_that_they_hold(own, tmp_path):
    arrays = (X[:72], Y[:72], X[72:], Y[72:])
    doors = {"memory": arrays, **{name: f"{own}:{name}" for name in ("arrays", "Mine")}}
    records = {
        door: bpfree.train("mono-forward", data, hidden=(5,), out=tmp_path / door, **SMALL)
        for door, data in doors.items()
    }
    assert len({record["model_sha256"] for record in records.values()}) == 1
    assert len({record["data"]["sha256"] for record in records.values()}) == 1
    alone = bpfree.train("mono-forward", f"{own}:Set", hidden=(5,), out=tmp_path / "set", **SMALL)
    pair = bpfree.train("mono-forward", (X[:72], Y[:72]), hidden=(5,), out=tmp_path / "pair", **SMALL)
    assert alone["model_sha256"] == pair["model_sha256"]


def test_path_and_hash_are_in_the_record(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = bpfree.train("mono-forward", "own.py:arrays", net="own.py:blocks", out=tmp_path / "run", **SMALL)
    sha256 = hashlib.sha256(own.read_bytes()).hexdigest()
    assert record["extensions"]["files"] == {
        "data": {"file": f"{own}:arrays", "sha256": sha256},
        "net": {"file": f"{own}:blocks", "sha256": sha256},
    }
    assert (record["config"]["data"], record["config"]["net"]) == (f"{own}:arrays", f"{own}:blocks")


class Stop:
    def on_batch(self, loop):
        if loop.cursor.steps == 3:
            loop.stop("enough")


def test_a_run_resumes_from_another_folder_and_refuses_a_changed_file(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = bpfree.train("backprop", "own.py:arrays", net="own.py:blocks", out="whole", **SMALL)
    for name in ("run", "other"):
        bpfree.train("backprop", "own.py:arrays", net="own.py:blocks", out=name, callbacks=[Stop()], **SMALL)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    again = bpfree.train(resume="../run", data="../own.py:arrays", net="../own.py:blocks", meter="none")
    assert again["model_sha256"] == whole["model_sha256"]
    own.write_text(OWN + "\n# changed\n")
    with pytest.raises(bpfree.InputError, match=r"the data .*own\.py:arrays is not what \.\./other was started with"):
        bpfree.train(resume="../other", meter="none")


def test_a_run_is_loaded_without_its_data_file_and_evaluated_on_one(own, tmp_path):
    bpfree.train("backprop", f"{own}:arrays", hidden=(5,), out=tmp_path / "run", **SMALL)
    expected = evaluate(bpfree.load(tmp_path / "run"), f"{own}:arrays", {})
    scores = bpfree.load(tmp_path / "run").predict(X[72:])
    assert expected["test"] == pytest.approx((scores.argmax(1).numpy() == Y[72:]).mean())
    own.unlink()
    assert torch.equal(bpfree.load(tmp_path / "run").predict(X[72:]), scores)


def test_a_changed_net_file_is_told_at_loading(own, tmp_path):
    bpfree.train("backprop", (X, Y), net=f"{own}:blocks", out=tmp_path / "run", **SMALL)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bpfree.load(tmp_path / "run")
    own.write_text(OWN + "\n# changed\n")
    with pytest.warns(UserWarning, match="the net file .* has changed since"):
        bpfree.load(tmp_path / "run")


def test_a_net_of_ones_own_has_settings_and_knows_of_heads(own):
    from bpfree import nets
    from bpfree.training.data import Spec

    spec = Spec("mine", (6,), 2, None, "classification", "accuracy", True, "", "")
    build, settings = nets.net(f"{own}:sized")
    both, hidden = (build(spec, settings=settings(width=9), hidden_only=only) for only in (False, True))
    assert [both[0][0].out_features, both[1].in_features, len(hidden)] == [9, 9, 1]
    build, settings = nets.net(f"{own}:blocks")
    assert len(build(spec, settings=settings(), hidden_only=True)) == 2


BAD = {
    "nothing": ({"data": "nothing"}, "returns nothing: it must return data, such as (x, y)"),
    "broken": ({"data": "broken"}, "cannot be made: ValueError: no luck"),
    "no data": ({"data": "Settings"}, "is not a Reader: subclass bpfree.data.reader.Reader or write a function"),
    "misspelt": ({"data": "array"}, "unknown function in"),
    "no file": ({"data": "../gone.py:arrays"}, "does not exist: give FILE.py:function"),
    "no blocks": ({"data": "arrays", "net": "strange"}, "returns a Linear: it must return a list of modules"),
    "no function": ({"data": "arrays", "net": "X"}, "is no function: write FILE.py:function"),
    "misspelt net": ({"data": "arrays", "net": "block"}, "did you mean blocks"),
    "unknown setting": ({"data": "arrays", "net": "blocks", "width": 3}, "unknown setting 'width'"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_holds_something_else_is_one_line(own, tmp_path, case):
    values, message = BAD[case]
    named = {key: f"{own}:{value}" if key in ("data", "net") else value for key, value in values.items()}
    named["data"] = named["data"].replace(f"{own}:../gone.py", str(tmp_path / "gone.py"))
    with pytest.raises(bpfree.InputError) as error:
        bpfree.train("mono-forward", out=tmp_path / "run", **{**SMALL, **named})
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


def test_blocks_in_memory_are_trained_as_a_copy(tmp_path):
    mine = blocks()
    before = [p.clone() for block in mine for p in block.parameters()]
    record = bpfree.train("backprop", (X, Y), net=mine, out=tmp_path / "run", **SMALL)
    assert all(torch.equal(a, b) for a, b in zip(before, (p for block in mine for p in block.parameters())))
    assert record["config"]["net"] == "given in memory: list"
    assert record["extensions"]["files"]["net"]["file"] == "given in memory: list"
    assert any("a copy of them is trained" in note for note in record["extensions"]["notes"]["net"])
    from bpfree.rules import rule

    trainer = rule("backprop")(blocks(), epochs=2, batch_size=16)
    trainer.fit(X, Y, device="cpu", threads=1)
    loaded = bpfree.load(tmp_path / "run", net=blocks())
    assert torch.equal(loaded.trainer.blocks[0][0].weight, trainer.blocks[0][0].weight)


def test_a_run_on_blocks_in_memory_needs_them_again(tmp_path):
    data = (X[:72], Y[:72], X[72:], Y[72:])
    whole = bpfree.train("backprop", data, net=blocks(), out=tmp_path / "whole", **SMALL)
    bpfree.train("backprop", data, net=blocks(), out=tmp_path / "run", callbacks=[Stop()], **SMALL)
    with pytest.raises(bpfree.InputError, match=r"net given in memory: list: give the same from Python"):
        bpfree.train(resume=tmp_path / "run", data=data)
    with pytest.raises(bpfree.InputError, match=r"give blocks like them, bpfree\.load\(…, net=blocks\)"):
        bpfree.load(tmp_path / "run")
    other = blocks()
    other[1].bias.data += 1
    with pytest.raises(bpfree.InputError, match="the net given in memory: list is not what"):
        bpfree.train(resume=tmp_path / "run", data=data, net=other, meter="none")
    again = bpfree.train(resume=tmp_path / "run", data=data, net=blocks(), meter="none")
    assert again["model_sha256"] == whole["model_sha256"]


@pytest.mark.parametrize("net", [nn.Linear(6, 2), [], ["mlp"], 3], ids=["a module", "empty", "names", "a number"])
def test_a_net_that_is_no_list_of_blocks_is_refused(net):
    with pytest.raises(bpfree.InputError, match="give a name, a list of modules, or an"):
        bpfree.train("backprop", (X, Y), net=net, **SMALL)


def test_settings_without_effect_on_ready_data_are_refused():
    with pytest.raises(bpfree.InputError, match=r"val_fraction = 0\.3 has no effect on bpfree data"):
        bpfree.train("backprop", as_data((X, Y)), val_fraction=0.3, **SMALL)


def test_a_search_runs_on_files(own, tmp_path):
    values = {**SMALL, "epochs": 1}
    summary = bpfree.tune(
        "backprop", f"{own}:arrays", net=f"{own}:sized", trials=1, search=["lr"], out=tmp_path / "tune", **values
    )
    assert summary["status"]
    assert reader_of(f"{own}:arrays").describe()["rows"] == {"train": 60, "val": 12, "test": 24}


def test_a_comparison_runs_on_files_and_its_runs_agree(own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = {key: value for key, value in SMALL.items() if key != "threads"}
    study = bpfree.compare(
        "mono-forward",
        "own.py:arrays",
        net="own.py:blocks",
        seeds=1,
        controls="none",
        out="study",
        quick=True,
        **values,
    )
    assert study["data"] == f"{own}:arrays"
    records = [bpfree.runs.record.read(path) for path in (tmp_path / "study").rglob("run.json")]
    assert records
    assert len({record["net_key"] for record in records}) == 1
    assert all(record["status"] == "finished" for record in records)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed package that offers data and a net."""
    (tmp_path / "own_package.py").write_text(OWN)
    info = tmp_path / "own_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[bpfree.data]\nown = own_package:arrays\nset = own_package:Mine\n[bpfree.nets]\nownnet = own_package:sized\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_data_and_nets_of_another_package_have_names(plugin, tmp_path):
    for data in ("own", "set"):
        record = bpfree.train("backprop", data, net="ownnet", width=4, out=tmp_path / data, **SMALL)
        assert record["data"]["name"] == data
    with pytest.raises(bpfree.InputError, match="unknown data 'ownn': did you mean own"):
        reader_of("ownn")
