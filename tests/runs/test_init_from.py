"""``init_from``: a run begins with the weights of another one."""

import numpy as np
import pytest
import safetensors.torch
import torch

import bpfree
from bpfree.errors import InputError

OPTIONS = {"epochs": 1, "batch_size": 8, "device": "cpu", "meter": "none"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fine-tuning")
    rng = np.random.default_rng(0)
    np.savez(folder / "a.npz", x_train=rng.integers(0, 256, (60, 6), np.uint8), y_train=np.arange(60) % 3)
    bpfree.train("mono-forward", f"npz:{folder / 'a.npz'}", out=folder / "first", hidden=(5, 4), **OPTIONS)
    return folder


def run(folder, out, algo="mono-forward", **more):
    return bpfree.train(algo, f"npz:{folder / 'a.npz'}", out=folder / out, **OPTIONS, **more)


def weights(folder, name):
    return safetensors.torch.load_file(folder / name / "model.safetensors")


def test_a_run_that_learns_nothing_ends_with_the_weights_it_began_with(folder):
    record = run(folder, "same", hidden=(5, 4), lr=1e-30, init_from=str(folder / "first"))
    first, same = weights(folder, "first"), weights(folder, "same")
    assert first.keys() == same.keys()
    assert all(torch.equal(first[name], same[name]) for name in first)
    taken = record["extensions"]["init_from"]
    assert sorted(taken["taken"]) == sorted(first)
    assert taken["left"] == []
    assert record["extensions"]["notes"]["net"] == [f"6 of 6 tensors begin as {folder / 'first'} left them"]


def test_only_blocks_of_the_same_shape_are_taken(folder):
    record = run(folder, "wider", "backprop", hidden=(5, 7), lr=1e-30, init_from=str(folder / "first"))
    first, wider = weights(folder, "first"), weights(folder, "wider")
    assert torch.equal(first["blocks.0.1.weight"], wider["blocks.0.1.weight"])
    assert record["extensions"]["init_from"]["taken"] == ["blocks.0.1.weight", "blocks.0.1.bias"]
    assert "blocks.1.1.weight" in record["extensions"]["init_from"]["left"]


def test_a_resumed_run_does_not_need_the_first_one_again(folder, tmp_path):
    class Stop:
        def on_batch(self, loop):
            if loop.cursor.steps == 2:
                loop.stop("enough")

    source = tmp_path / "source"
    run(folder, source, hidden=(5, 4))
    stopped = run(folder, tmp_path / "run", hidden=(5, 4), init_from=str(source), callbacks=[Stop()])
    assert stopped["status"] == "stopped"
    for file in source.iterdir():
        file.unlink()
    record = bpfree.train(resume=tmp_path / "run", meter="none")
    assert record["status"] == "finished"
    assert record["extensions"]["init_from"]["folder"] == str(source)


@pytest.mark.parametrize(
    ("first", "line"),
    [("nowhere", "nowhere holds no model to begin with"), ("first", "no block of .*first has the shape")],
)
def test_a_run_without_the_same_blocks_is_refused_and_nothing_is_written(folder, tmp_path, first, line):
    with pytest.raises(InputError, match=line):
        run(folder, tmp_path / "run", hidden=(9,), init_from=str(folder / first))
    assert not (tmp_path / "run").exists()


def test_a_model_file_that_was_changed_is_refused(folder, tmp_path):
    run(folder, tmp_path / "source", hidden=(5, 4))
    file = tmp_path / "source" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="is not what was written"):
        run(folder, tmp_path / "run", hidden=(5, 4), init_from=str(tmp_path / "source"))
