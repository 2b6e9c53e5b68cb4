"""Records from elsewhere: the parts that the schema leaves open, checked before a report reads them."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator

from bpfree.errors import InputError
from bpfree.runs.schema import Open

Stretches = list[tuple[float, float]]


class Entry(Open):
    """One epoch of a history."""

    epoch: int
    phase: str | None = None
    val: float | None = None
    train_s: float
    train_j: dict[str, float | None] | None = None


class Described(Open):
    """One component in the description of a meter."""

    method: str
    source: str
    boundary: str = ""
    uncertainty: str = ""
    reason: str = ""
    refused: list[str] = []
    devices: list[str] = []
    start: dict[str, Any] | None = None
    during: dict[str, Any] | None = None


class Meter(Open):
    """Description of a meter."""

    components: dict[str, Described] = {}


class Metered(Open):
    """A window's stretches of time."""

    boot: str | None = None
    intervals: Stretches = []
    earlier_boots: dict[str, Stretches] = {}


class Loaded(Open):
    """A data set with its rows."""

    rows: dict[str, int] | None = None


class Emissions(Open):
    """Emissions derived from an energy."""

    kg: float | None = None
    energy_j: float = Field(0.0, ge=0)
    pue: float = Field(1.0, ge=0)
    g_per_kwh: float = Field(0.0, ge=0)


class Code(Open):
    """Hashes of the code that made a run, and of the study that it was made for."""

    rooms_sha256: dict[str, str] = {}
    definition_sha256: str | None = None


class Beside(Open):
    """Metrics beside the one that a model was selected by."""

    balanced_accuracy: float | None = None
    majority_share: float | None = None
    confusion: list[list[Annotated[int, Field(ge=0, le=2**53)]]] | None = None

    @field_validator("confusion")
    @classmethod
    def _is_square(cls, counts: list[list[int]] | None) -> list[list[int]] | None:
        if counts is not None and any(len(row) != len(counts) for row in counts):
            raise ValueError("a confusion matrix has as many columns as rows")
        return counts


class Readable(Open):
    """The open parts of a record that reports read."""

    history: list[Entry]
    meter: Meter
    energy: dict[str, Metered]
    data: Loaded
    co2e: Emissions | None = None
    extensions: dict[str, Any] = {}


def readable(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """A record as it came, of which the parts that reports read have been checked.

    Args:
        record: that fits its schema.
        path: of its file, for the message.

    Raises:
        InputError: a part that no report can read.
    """
    try:
        Readable.model_validate(record)
        for name in ("provenance", "study"):
            Code.model_validate(record["extensions"].get(name, {}))
        Beside.model_validate(record["extensions"].get("metrics", {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"the record {path} cannot be reported: {where}: {first['msg']}") from error
    return record
