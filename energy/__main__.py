"""``python -m energy`` lists the energy sensors here; ``python -m energy run -- CMD`` meters any command."""

import json
import subprocess
import sys
from typing import Annotated, Any, cast

import typer

from energy.carbon import co2e, intensity
from energy.idle import idle_power
from energy.labels import EnergyError, show
from energy.meter import Meter

app = typer.Typer(add_completion=False, help=__doc__, rich_markup_mode=None)
_UsageError = cast(type[typer.BadParameter], typer.BadParameter.__base__)  # of typer's own click, or of click
Backend = Annotated[str, typer.Option(help="auto, nvml, nvml-sampled, rapl, codecarbon or none")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON and nothing else")]


@app.callback(invoke_without_command=True)
def doctor(
    context: typer.Context,
    backend: Backend = "auto",
    as_json: AsJson = False,
    idle_s: Annotated[float, typer.Option(min=0.0, help="measure idle power for this many seconds")] = 0.0,
) -> None:
    """Show what can be measured on this machine, and why the rest cannot."""
    if context.invoked_subcommand:
        return
    with Meter(backend) as meter:
        idle = idle_power(meter, idle_s) if idle_s else None
    report = meter.describe() | {"idle": idle}
    typer.echo(json.dumps(report, indent=1) if as_json else _described(report))


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    command: Annotated[list[str], typer.Argument(help="the command and its arguments, after --")],
    backend: Backend = "auto",
    align: Annotated[bool, typer.Option(help="start and end on a counter tick")] = False,
    where: Annotated[str, typer.Option("--co2", help="country (FRA) or g CO2e per kWh, for a derived CO2e")] = "",
    as_json: AsJson = False,
) -> None:
    """Run a command, then print the energy that it took; its exit code is passed on."""
    at = intensity(where) if where else None
    with Meter(backend) as meter:
        waited_s = meter.align() if align else 0.0
        with meter.window("run"):
            try:
                code = subprocess.call(command)
            except OSError as error:
                raise EnergyError(f"cannot run {command[0]}: {error.strerror or error}") from error
            tail_s = meter.align() if align else 0.0
    reading = meter.readings()["run"]
    reading |= {"exit_code": code, "aligned": align, "wait_s": waited_s, "tail_s": tail_s}
    reading["co2e"] = co2e(reading["total_j"], at) if at else None
    print(json.dumps(reading, indent=1) if as_json else _reported(reading), file=sys.stdout if as_json else sys.stderr)
    raise typer.Exit(code if code >= 0 else 128 - code)


def _described(report: dict[str, Any]) -> str:
    lines = []
    for name, part in report["components"].items():
        lines.append(f"{name:5} {part['method']:16} {part['source'] or part['reason']}")
        lines += [f"{'':22} not better because: {reason}" for reason in part["refused"]]
        if part["tick_ms"] is not None:
            lines.append(
                f"{'':22} the value moves every {part['tick_ms']:.3g} ms: a window errs by less than one such step"
            )
    lines += [f"{name:5} {'none':16} {reason}" for name, reason in report["notes"].items()]
    if report["idle"]:
        watts = report["idle"]["total_w"]
        lines.append(f"idle  {report['idle']['method']:16} " + ("unavailable" if watts is None else f"{watts:.3g} W"))
    return "\n".join(lines)


def _reported(reading: dict[str, Any]) -> str:
    lines = [
        f"energy  {show(reading['total_j'], reading['method'])} in {reading['seconds']:.2f} s"
        f" ({reading['cpu_seconds']:.2f} s of CPU time)"
    ]
    for name, part in reading["components"].items():
        bound = "" if part["err_bound"] is None else f", edges ±{part['err_bound']:.1%}"
        lines.append(f"  {name:5} {show(part['energy_j'], part['method'])}  {part['reason'] or part['source']}{bound}")
    if reading["co2e"]:
        carbon = reading["co2e"]
        grams = "unavailable" if carbon["kg"] is None else f"{1e3 * carbon['kg']:.2g} g"
        basis = f"{carbon['g_per_kwh']:g} g/kWh, {carbon['source']}, {carbon['year'] or 'no year'}"
        lines.append(f"CO2e    {grams} (derived: {basis})")
    if reading["aligned"]:
        lines.append(
            f"aligned to counter ticks: waited {reading['wait_s']:.3f} s before and {reading['tail_s']:.3f} s after"
        )
    return "\n".join([*lines, *(f"warning: {text}" for text in reading["warnings"])])


def main() -> int:
    """Run the command line; returns its exit code, 2 with one line for bad input."""
    try:
        return app(standalone_mode=False) or 0
    except typer.Abort:
        return 130
    except EnergyError as error:
        line = str(error)
    except _UsageError as error:
        line = error.format_message()
    print(f"energy: {line}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
