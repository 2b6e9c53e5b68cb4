"""The storage of a search: a database, any URL that Optuna's RDB storage takes, in which workers share the trials."""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import optuna
import sqlalchemy

from bpfree.config.settings import Option
from bpfree.errors import InputError
from bpfree.runs import provenance
from bpfree.runs.plan import Plan
from bpfree.studies.options import TuneOptions
from bpfree.training.data import Spec

LOCK_S = "60"  # for which a worker waits while another writes to a file of SQLite
OPENINGS, PAUSE_S = 50, 0.1  # of a database whose tables another worker makes just now
_MADE_MEANWHILE = ("already exists", "UNIQUE constraint", "duplicate key")  # as SQLite and PostgreSQL say it


def open_search(url: str, name: str, options: TuneOptions, *, maximize: bool) -> optuna.Study:
    """The search called ``name`` in a database, made unless it is there.

    Args:
        url: of the database.
        name: of the search, which workers share.
        options: of the search, of which it reads whether to prune, and the times of the heartbeat.
        maximize: direction of the validation metric.

    Raises:
        InputError: a database that cannot be opened, or whose driver is not installed.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with no_experimental_warnings():
        try:
            storage = _shared_storage(url, options)
            return optuna.create_study(
                storage=storage,
                study_name=name,
                direction="maximize" if maximize else "minimize",
                pruner=optuna.pruners.MedianPruner() if options.prune else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
        except ImportError as error:
            raise InputError(
                f"the storage {without_password(url)} needs a driver that is not installed ({error}): for PostgreSQL, "
                f"pip install 'psycopg[binary]'"
            ) from None
        except (sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError, ValueError) as error:
            why = str(error.__cause__ or error).strip().splitlines()[0]
            raise InputError(f"cannot open the storage {without_password(url)}: {why}") from None


def _shared_storage(url: str, options: TuneOptions, openings: int = OPENINGS) -> optuna.storages.RDBStorage:
    """The database, with its tables, which workers that start together all begin to make: one of them is first."""
    try:
        return optuna.storages.RDBStorage(
            _patient(url),
            heartbeat_interval=options.heartbeat_s,
            grace_period=options.grace_s,
            heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(),
        )
    except sqlalchemy.exc.DatabaseError as error:
        if openings == 1 or not any(words in str(error) for words in _MADE_MEANWHILE):
            raise
    time.sleep(PAUSE_S)
    return _shared_storage(url, options, openings - 1)


def _patient(url: str) -> str:
    """The URL under which SQLite waits for a lock; in the URL, as Alembic's connections know nothing else."""
    parts = sqlalchemy.make_url(url)
    if parts.get_backend_name() != "sqlite" or "timeout" in parts.query:
        return url
    return parts.update_query_dict({"timeout": LOCK_S}).render_as_string(hide_password=False)


def claim(search: optuna.Study, url: str, base: Plan, spec: Spec, space: Mapping[str, Option]) -> None:
    """Note in the storage what is searched, so that no worker with other settings joins.

    Args:
        search: Optuna's.
        url: of its database.
        base: plan whose settings are searched.
        spec: of its data.
        space: name -> declaration of each setting that is searched.

    Raises:
        InputError: the search was started with other settings, other data or another space.
    """
    values = {key: value for key, value in base.config.items() if key not in (*space, "data_dir")}
    ranges = {key: option.search for key, option in space.items()}
    same = provenance.sha256_of({"config": values, "data": spec.sha256, "space": ranges})
    if search.user_attrs.get("definition_sha256") not in (None, same):
        where = without_password(url)
        raise InputError(
            f"the search {search.study_name!r} in {where} was started with other settings: give another --name"
        )
    search.set_user_attr("definition_sha256", same)


def without_password(url: str) -> str:
    """The URL without its password."""
    try:
        return sqlalchemy.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.ArgumentError:
        return url.partition("@")[2] or url


@contextmanager
def no_experimental_warnings() -> Iterator[None]:
    """Leave out Optuna's warnings that heartbeats and plots are experimental."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
