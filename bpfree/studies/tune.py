"""Search: good settings for one rule on one data set, by validation data alone.

Optuna proposes values from the ranges that the settings declare (``setting(search=…)``): first points that fill the
ranges evenly and are the same for all rules that share a range, then TPE (`bpfree.studies.sampler`). A trial is one
training without its test part, which is cut off before anything begins; its value is the best validation metric
(`bpfree.studies.trials`). Trials live in a database (`bpfree.studies.storage`), so that several workers share one
search; ``tune.json``, ``best.yaml`` and plots (`bpfree.studies.summary`) are views of it.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bpfree.config.settings import build
from bpfree.config.user_files import short_name
from bpfree.errors import InputError
from bpfree.runs.plan import new_folder, plan
from bpfree.studies.options import TUNE, TuneOptions
from bpfree.studies.space import search_space
from bpfree.studies.storage import claim, open_search, without_password
from bpfree.studies.summary import summarize, write_summary
from bpfree.studies.trials import SearchWorker, without_test

if TYPE_CHECKING:
    from bpfree.training.trainer import Trainer

TRIALS = "trials.db"  # the storage, where none is named


def tune(
    algo: "str | type[Trainer]",
    data: Any = None,
    *,
    trials: int = TUNE.trials,
    net: str | None = None,
    search: Sequence[str] | None = None,
    storage: str | None = TUNE.storage,
    name: str | None = TUNE.name,
    out: str | os.PathLike[str] | None = None,
    prune: bool = TUNE.prune,
    meter: str = TUNE.meter,
    heartbeat_s: int = TUNE.heartbeat_s,
    grace_s: int = TUNE.grace_s,
    say: Callable[[str], None] = lambda line: None,
    **settings: Any,
) -> dict[str, Any]:
    """Search until ``trials`` trials are complete, or go on with a search.

    Args:
        algo: as for `bpfree.train`.
        data: as for `bpfree.train`.
        trials: complete ones that end the search, over all workers.
        net: as for `bpfree.train`.
        search: names of the settings to search; None: all that declare a range.
        storage: database URL; None: a file in ``out``.
        name: of the search within the storage, which workers share; None: the folder's name.
        out: folder of the summary; None: ``runs/tune-<algo>-<id>``.
        prune: give up a trial whose validation metric stays below the median of the earlier ones.
        meter: as for `bpfree.train`.
        heartbeat_s: seconds between a worker's signs of life.
        grace_s: seconds without one after which a worker counts as dead.
        say: called with a line after each trial.
        **settings: as for `bpfree.train`; a setting with a value is not searched.

    Returns:
        The summary (``tune.json``).

    Raises:
        InputError: an option out of range, a setting that cannot be searched, a storage that is not there, a search of
            that name with other settings.
    """
    values = {"trials": trials, "storage": storage, "name": name, "prune": prune, "meter": meter}
    options: TuneOptions = build(TuneOptions, {**values, "heartbeat_s": heartbeat_s, "grace_s": grace_s})
    base = plan(algo, data, net, settings)
    folder = Path(out) if out else new_folder("tune", short_name(base.algo))
    base, sealed = base.settled(without_test(base.load_data()))
    space = search_space(base, sealed.spec, settings, search)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {folder}: {error.strerror}") from None
    url = options.storage or f"sqlite:///{folder / TRIALS}"
    try:
        shared = open_search(url, options.name or folder.name, options, maximize=sealed.spec.maximize)
        claim(shared, url, base, sealed.spec, space)
    except InputError:
        if made:
            folder.rmdir()
        raise
    status = SearchWorker(shared, base, sealed, space, options, say).go()
    summary = summarize(shared, base, space, [*settings], options.trials)
    summary |= {"storage": without_password(url), "status": status, "folder": str(folder)}
    write_summary(summary, shared, folder)
    return summary
