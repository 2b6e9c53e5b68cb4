"""The search: validation data alone, trials shared by several workers, none lost when one is killed."""

import importlib.util
import json
import math
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import forked
import optuna
import postgres
import pytest
import torch
import yaml
from small import tiny

from bpfree import InputError
from bpfree.cli.output import studies
from bpfree.config.settings import Option, options, setting, settings
from bpfree.data.sources import TensorSource
from bpfree.runs.plan import plan
from bpfree.studies import arms, sampler, space, trials, tune
from bpfree.studies import summary as summaries
from bpfree.studies.options import TuneOptions
from bpfree.studies.storage import open_search
from bpfree.training.data import Data

BASE = {"hidden": (12,), "epochs": 2, "batch_size": 8, "device": "cpu", "threads": 1, "meter": "none"}
PATIENT = {"heartbeat_s": 1, "grace_s": 3}


def summary_in(out: Path) -> dict:
    return json.loads((out / "tune.json").read_text())


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    out = tmp_path_factory.mktemp("search") / "out"
    return out, tune.tune("mono-forward", tiny(), trials=5, out=out, prune=False, **BASE)


def test_best_is_the_trial_with_the_highest_validation_metric(searched):
    _, summary = searched
    values = [trial["val"] for trial in summary["found"]]
    assert summary["best"]["val"] == max(values)
    assert summary["found"][summary["best"]["number"]]["params"] == summary["best"]["params"]


def test_every_value_lies_in_the_range_that_its_setting_declares(searched):
    _, summary = searched
    assert set(summary["space"]) == {"optimizer", "lr", "weight_decay"}  # the batch size is given
    for trial in summary["found"]:
        assert trial["params"]["optimizer"] in ("adam", "sgd")
        assert 1e-4 <= trial["params"]["lr"] <= 1e-1
        assert 1e-6 <= trial["params"]["weight_decay"] <= 1e-2


def test_best_file_is_the_configuration_of_the_best_trial(searched):
    out, summary = searched
    config = yaml.safe_load((out / "best.yaml").read_text())
    assert config["algo"] == "mono-forward"
    assert config["hidden"] == [12]
    assert {name: config[name] for name in summary["space"]} == summary["best"]["params"]


def test_best_trial_is_printed_as_an_arm_of_a_comparison(searched, capsys):
    """The printed flags, given to compare, are the settings that were found; the batch size belongs to all arms."""
    _, summary = searched
    params = {**summary["best"]["params"], "batch_size": 32}
    fixed = {"data": "mnist", "net": "mlp", "hidden": [12], "device": "cpu"}
    arm, *flags = studies.as_arm("mono-forward", params, fixed).removeprefix("bpfree compare --algos ").split()
    common = dict(flag.removeprefix("--").replace("-", "_").split("=") for flag in flags)
    assert common == {"data": "mnist", "net": "mlp", "hidden": "12", "device": "cpu", "batch_size": "32"}
    (best_arm, *_), _, _ = arms.build_arms([arm], common.pop("data"), common.pop("net"), common)
    config = best_arm.plan.config
    assert {name: config[name] for name in params} == params
    assert config["hidden"] == [12]
    assert summary["given"].items() >= {"net": "mlp", "hidden": [12], "epochs": 2}.items()
    studies.print_search(summary)
    assert "compare with them" in capsys.readouterr().out


def test_cost_is_the_sum_over_all_trials(searched):
    _, summary = searched
    assert summary["cost"]["trials"] == 5
    assert summary["cost"]["data_passes"] == 5 * BASE["epochs"]
    parts = [trial["cost"]["train_s"] for trial in summary["found"]]
    assert summary["cost"]["train_s"] == pytest.approx(sum(parts), rel=1e-12)
    assert summary["cost"]["energy_j"] is None  # nothing was metered: not known, not 0
    assert summary["cost"]["method"] == "unavailable"


def test_plots_are_drawn(searched):
    out, _ = searched
    drawn = {path.stem for path in (out / "plots").iterdir()}
    assert {"history", "slices", "intermediate", "parallel"} <= drawn
    assert all("<svg" in path.read_text() for path in (out / "plots").iterdir())


def test_going_on_keeps_the_trials_and_adds_the_missing(searched):
    out, summary = searched
    more = tune.tune("mono-forward", tiny(), trials=6, out=out, prune=False, **BASE)
    assert more["found"][:5] == summary["found"]
    assert len(more["found"]) == 6


def test_other_settings_under_the_same_name_are_refused(searched):
    out, _ = searched
    with pytest.raises(InputError, match="was started with other settings"):
        tune.tune("mono-forward", tiny(), trials=6, out=out, prune=False, **{**BASE, "epochs": 3})


def test_search_is_repeatable(searched, tmp_path):
    _, summary = searched
    again = tune.tune("mono-forward", tiny(), trials=3, out=tmp_path / "out", name="out", prune=False, **BASE)
    assert [t["params"] for t in again["found"]] == [t["params"] for t in summary["found"][:3]]


def test_rules_are_searched_at_the_same_points_and_these_fill_the_range(tmp_path):
    """One in each tenth of the range, whatever else is searched, and also when the search was stopped on the way."""
    rates = []
    for algo, names in (("mono-forward", ["lr"]), ("backprop", ["weight_decay", "lr"])):
        summary = tune.tune(algo, tiny(), trials=10, search=names, out=tmp_path / algo, prune=False, **BASE)
        rates.append([trial["params"]["lr"] for trial in summary["found"]])
    assert rates[0] == rates[1]
    assert sorted(int(10 * (math.log10(rate) + 4) / 3) for rate in rates[0]) == list(range(10))


def test_a_stopped_trial_is_tried_again_with_its_values(tmp_path, monkeypatch):
    """So that a search that was cut visits the same points."""
    whole = tune.tune("mono-forward", tiny(), trials=3, search=["lr"], out=tmp_path / "whole", prune=False, **BASE)
    watch, steps = trials.ReportToOptuna.on_epoch, []

    def stop(self, loop):
        steps.append(loop)
        if len(steps) == 3:  # the first of the second trial's two epochs
            loop.stop("a signal")
        watch(self, loop)

    cut = {"trials": 3, "search": ["lr"], "out": tmp_path / "cut", "prune": False, **BASE}
    monkeypatch.setattr(trials.ReportToOptuna, "on_epoch", stop)
    assert tune.tune("mono-forward", tiny(), **cut)["status"] == "stopped"
    monkeypatch.undo()
    complete = [t for t in tune.tune("mono-forward", tiny(), **cut)["found"] if t["state"] == "complete"]
    assert [t["params"] for t in complete] == [t["params"] for t in whole["found"]]


def unhandled(number: int, frame: object) -> None:
    raise AssertionError(f"no search handled {signal.Signals(number).name}")


@pytest.fixture
def outer() -> Iterator[None]:
    """Handlers of the caller of a search, which make a test fail rather than end."""
    before = {number: signal.signal(number, unhandled) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signal_between_two_trials_ends_the_search_with_its_summary(outer, tmp_path):
    out = tmp_path / "out"
    interrupt = lambda line: signal.raise_signal(signal.SIGINT)  # noqa: E731
    cut = tune.tune("mono-forward", tiny(), trials=3, out=out, prune=False, say=interrupt, **BASE)
    assert cut["status"] == summary_in(out)["status"] == "stopped"
    assert [trial["state"] for trial in cut["found"]] == ["complete"]
    assert signal.getsignal(signal.SIGINT) is unhandled


def test_signal_before_a_trial_trains_ends_it_there(outer, tmp_path, monkeypatch):
    def interrupted(trial: optuna.Trial, option: Option) -> object:
        signal.raise_signal(signal.SIGTERM)
        return space.suggest(trial, option)

    monkeypatch.setattr(trials, "suggest", interrupted)
    cut = tune.tune("mono-forward", tiny(), trials=3, search=["lr"], out=tmp_path / "out", prune=False, **BASE)
    first, again = cut["found"]
    assert (cut["status"], first["state"], again["state"]) == ("stopped", "fail", "waiting")
    assert first["cost"]["data_passes"] == 0


def test_signal_while_others_train_ends_the_wait(outer, tmp_path, monkeypatch):
    """The other worker is a trial that is said to be running, and never ends."""
    values = {"trials": 2, "out": tmp_path / "out", "prune": False, **BASE}
    tune.tune("mono-forward", tiny(), **{**values, "trials": 1})
    optuna.load_study(study_name="out", storage=f"sqlite:///{tmp_path}/out/trials.db").ask()
    clock = SimpleNamespace(sleep=lambda seconds: signal.raise_signal(signal.SIGINT), perf_counter=time.perf_counter)
    monkeypatch.setattr(trials, "time", clock)
    assert tune.tune("mono-forward", tiny(), **values)["status"] == "stopped"
    assert summary_in(tmp_path / "out")["status"] == "stopped"


@pytest.mark.parametrize(
    ("distribution", "expected"),
    [
        (optuna.distributions.FloatDistribution(1e-4, 1.0, log=True), [1e-4, 1e-2, 1.0]),
        (optuna.distributions.FloatDistribution(2.0, 4.0), [2.0, 3.0, 4.0]),
        (optuna.distributions.IntDistribution(1, 5), [1, 3, 5]),
        (optuna.distributions.CategoricalDistribution(["a", "b", "c"]), ["a", "b", "c"]),
    ],
)
def test_share_of_a_range_is_the_value_below_which_it_lies(distribution, expected):
    assert [sampler.value_at(share, distribution) for share in (0.0, 0.5, 1 - 1e-12)] == pytest.approx(expected)


def test_search_never_sees_the_test_part(tmp_path, monkeypatch):
    """With another test part, and with one that cannot be read, every trial is the same."""

    class Untouchable(TensorSource):
        def batches(self, *args, **options):
            raise AssertionError("test data in a search")

        def to(self, device, resident_mb):
            raise AssertionError("test data in a search")

    seen = []
    original = trials.Loop.__init__
    monkeypatch.setattr(
        trials.Loop,
        "__init__",
        lambda self, trainer, data, **o: (seen.append(data.test), original(self, trainer, data, **o))[1],
    )
    data = tiny()
    trap = Data(data.spec, data.train, data.val, Untouchable(data.test.x, (data.test.y + 1) % 10))
    values = [
        [t["val"] for t in tune.tune("mono-forward", part, trials=2, out=tmp_path / n, name="x", **BASE)["found"]]
        for n, part in (("a", data), ("b", trap))
    ]
    assert values[0] == values[1]
    assert seen == [None] * 4


def test_trial_below_the_median_is_pruned(tmp_path, monkeypatch):
    """Validation metrics are scripted: the first five trials are good, the sixth is bad from its first epoch on."""
    trial = {"number": -1}
    original = trials.Loop.__init__

    def begin(self, *args, **options):
        trial["number"] += 1
        original(self, *args, **options)

    monkeypatch.setattr(trials.Loop, "__init__", begin)
    monkeypatch.setattr(trials.Loop, "evaluate", lambda self, source: 0.9 if trial["number"] < 5 else 0.1)
    summary = tune.tune("mono-forward", tiny(), trials=6, out=tmp_path / "out", **{**BASE, "epochs": 4})
    assert [t["state"] for t in summary["found"]] == ["complete"] * 5 + ["pruned"]
    assert summary["found"][5]["cost"]["data_passes"] == 1
    assert summary["cost"]["pruned"] == 1


def test_diverged_trial_counts_and_says_why(tmp_path):
    summary = tune.tune(
        "mono-forward", tiny(), trials=1, search=["weight_decay"], out=tmp_path / "out", lr=1e30, **BASE
    )
    assert summary["best"] is None
    assert summary["found"][0]["state"] == "pruned"
    assert "try a smaller --lr" in summary["found"][0]["ended"]
    assert not (tmp_path / "out" / "best.yaml").exists()


def test_ranges_become_the_distributions_they_say():
    @settings
    class Some:
        width: int = setting(8, "an int", search=(4, 64, "log"))
        rate: float = setting(0.5, "a float", search=(0.0, 1.0))
        kind: str = setting("a", "two choices", search=("a", "b"))
        count: int = setting(1, "three choices", search=[1, 2, 5])

    trial = optuna.create_study().ask()
    for option in options(Some):
        space.suggest(trial, option)
    made = trial.distributions
    assert made["width"] == optuna.distributions.IntDistribution(4, 64, log=True)
    assert made["rate"] == optuna.distributions.FloatDistribution(0.0, 1.0)
    assert made["kind"] == optuna.distributions.CategoricalDistribution(("a", "b"))
    assert made["count"] == optuna.distributions.CategoricalDistribution((1, 2, 5))


def test_nothing_is_searched_for_an_optimizer_that_never_steps(tmp_path):
    """A reservoir solves for its readout: of all settings with a range only the ridge changes anything."""
    arguments = {"data": "vowels", "epochs": 1, "threads": 1, "device": "cpu", "meter": "none"}
    summary = tune.tune("reservoir", trials=1, out=tmp_path / "out", **arguments)
    assert set(summary["space"]) == {"ridge"}
    with pytest.raises(InputError, match="lr has no effect to search for: reservoir solves for what it learns here"):
        tune.tune("reservoir", trials=1, search=["lr"], out=tmp_path / "other", **arguments)
    assert not (tmp_path / "other").exists()


def test_setting_without_effect_is_not_searched():
    plain, deep = (plan("backprop", "mnist", "mlp", {"deep_supervision": on}) for on in (False, True))
    assert "auxiliary_weight" not in space.searchable(plain.rule_settings)
    assert "auxiliary_weight" in space.searchable(deep.rule_settings)


BAD = {
    "no trial": ({"trials": 0}, "trials = 0 is not valid: expected >= 1 (trials, over all workers)"),
    "no range": ({"search": ["momentum"]}, "momentum declares no range to search"),
    "unknown": ({"search": ["lrr"]}, "unknown setting 'lrr': did you mean lr"),
    "given and searched": ({"search": ["lr"], "lr": 0.1}, "lr is given as 0.1 and cannot be searched as well"),
    "no folder": ({"storage": "sqlite:////nowhere/at/all.db"}, "cannot open the storage sqlite:////nowhere/at/all.db"),
    "no URL": ({"storage": "somewhere"}, "cannot open the storage somewhere"),
    "no driver": ({"storage": "oracle://me@here/x"}, "needs a driver that is not installed"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_line_and_writes_nothing(case, tmp_path):
    values, message = BAD[case]
    with pytest.raises(InputError) as caught:
        tune.tune("mono-forward", tiny(), out=tmp_path / "out", **{**BASE, **values})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


# Several workers ------------------------------------------------------------------------------------------------------


def need_postgres() -> None:
    if postgres.programs() is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the PostgreSQL driver is not installed: pip install psycopg[binary]")


@pytest.fixture(params=["file", "postgresql"])
def storage(request, tmp_path):
    if request.param == "file":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    need_postgres()
    with postgres.server() as url:
        yield url


def work(out: str, storage: str, hang: bool, pipe) -> None:
    """A worker in a process of its own; it tells of every epoch, and one that hangs never comes back from its first."""
    torch.set_num_threads(1)
    report = trials.ReportToOptuna.on_epoch

    def on_epoch(self, loop) -> None:
        report(self, loop)
        pipe.send(self.trial.number)
        if hang:
            time.sleep(600)

    trials.ReportToOptuna.on_epoch = on_epoch
    tune.tune("mono-forward", tiny(), trials=4, storage=storage, name="shared", out=out, prune=False, **BASE, **PATIENT)


def test_workers_share_the_trials_and_none_is_lost_when_one_is_killed(storage, tmp_path):
    context = forked.context()
    receivers, workers = [], []
    for name, hang in (("a", True), ("b", False)):
        receive, send = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(str(tmp_path / name), storage, hang, send))
        worker.start()
        send.close()
        receivers.append(receive)
        workers.append(worker)
        assert receive.poll(120)  # both are in a trial, at the same time
    killed = receivers[0].recv()
    workers[0].kill()
    workers[1].join(120)
    assert workers[1].exitcode == 0
    made = summary_in(tmp_path / "b")["found"]
    assert Counter(trial["state"] for trial in made) == {"complete": 4, "fail": 1}
    lost = made[killed]
    (again,) = [trial for trial in made if trial["retry_of"] == killed]
    assert (lost["state"], again["state"]) == ("fail", "complete")
    assert again["params"] == lost["params"]
    assert summary_in(tmp_path / "b")["cost"]["lost"] == 1


def join(url: str, together, lines) -> None:
    """A worker that opens the storage with others, and makes two trials there."""
    together.wait()
    try:
        shared = open_search(url, "shared", TuneOptions(), maximize=True)
        shared.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
        lines.put("")
    except BaseException as error:
        lines.put(f"{type(error).__name__}: {error}")


def test_workers_that_start_together_on_a_new_file_all_work(tmp_path):
    context = forked.context()
    together, lines = context.Barrier(6), context.Queue()
    url = f"sqlite:///{tmp_path}/shared.db"
    workers = [context.Process(target=join, args=(url, together, lines)) for _ in range(6)]
    for worker in workers:
        worker.start()
    assert [lines.get(timeout=240) for _ in workers] == [""] * 6
    for worker in workers:
        worker.join()
    made = open_search(url, "shared", TuneOptions(), maximize=True).trials
    assert Counter(trial.state for trial in made) == {optuna.trial.TrialState.COMPLETE: 12}


def test_lock_that_is_held_for_seconds_is_waited_for(tmp_path):
    """Longer than the 5 s of Python's sqlite3, both when the file is opened and when a trial is written."""
    url = f"sqlite:///{tmp_path}/shared.db"
    shared = open_search(url, "shared", TuneOptions(), maximize=True)
    holder = sqlite3.connect(tmp_path / "shared.db", isolation_level=None, check_same_thread=False)
    for work in (lambda: open_search(url, "shared", TuneOptions(), maximize=True), shared.ask):
        holder.execute("BEGIN EXCLUSIVE")
        timer = threading.Timer(6, holder.execute, ["COMMIT"])
        timer.start()
        work()
        timer.join()
    assert len(shared.trials) == 1


def test_trial_of_a_worker_that_was_one_too_many_is_not_lost(tmp_path):
    """Two workers take the last place; the later one gives its trial up before it trains."""
    tune.tune("mono-forward", tiny(), trials=1, out=tmp_path / "out", **BASE)
    shared = open_search(f"sqlite:///{tmp_path}/out/trials.db", "out", TuneOptions(), maximize=True)
    base = plan("mono-forward", "mnist", "mlp", {})
    worker = trials.SearchWorker(shared, base, tiny(), {}, TuneOptions(trials=1), lambda line: None)
    shared.optimize(worker._trial, n_trials=1, catch=(trials._GivenUp,))
    made = summaries.summarize(shared, base, {}, [], 1)
    assert [trial["ended"] for trial in made["found"]] == [None, "superfluous"]
    assert (made["cost"]["trials"], made["cost"]["lost"]) == (1, 0)


def test_storage_that_is_not_there_gets_one_line_without_the_password(tmp_path):
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("the PostgreSQL driver is not installed: pip install psycopg[binary]")
    url = "postgresql+psycopg://me:secret@127.0.0.1:9/none"
    with pytest.raises(InputError) as caught:
        tune.tune("mono-forward", tiny(), out=tmp_path / "out", storage=url, **BASE)
    assert "cannot open the storage postgresql+psycopg://me:***@127.0.0.1:9/none" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
