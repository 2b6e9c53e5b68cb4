"""``bpfree report`` and ``bpfree reproduce``: finished runs compared, and a published figure run again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from bpfree.cli.commands import options


def reproduce(
    context: typer.Context,
    recipe: Annotated[str, typer.Argument(help="name of a recipe (bpfree list shows them), or a YAML file")],
    out: Annotated[
        Path | None,
        typer.Option(help="folder of the runs  [default: runs/reproduce/<recipe>, or <recipe>-changed-<hash>]"),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="how many, such as 5, or which: 0,1,2  [default: the recipe's]")
    ] = None,
    set_: options.Set = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    meter: options.Meter = "auto",
) -> None:
    """Run a recipe for each of its seeds and compare the result with its target. Finished seeds are not run again.

    Settings given as flags change the recipe, and its target no longer applies.
    """
    from bpfree.cli.output import closing
    from bpfree.config import flags
    from bpfree.runs import recipes

    changes = {**flags.pairs(set_ or ()), **options.setting_flags(context, recipes.load(recipe).config)}
    callbacks, command = options.progress_callbacks(quiet or as_json), options.command_line()
    summary = recipes.reproduce(
        recipe, out, seeds=seeds, changes=changes, meter=meter, callbacks=callbacks, command=command
    )
    print(json.dumps(summary, indent=1)) if as_json else closing.print_recipe(summary)
    raise typer.Exit({"stopped": 130, "missed": 1}.get(summary["verdict"], 0))


def report(
    folders: Annotated[list[Path], typer.Argument(help="a study, runs, or folders that hold runs")],
    out: Annotated[Path | None, typer.Option(help="output folder  [default: the study's folder, or report]")] = None,
    co2: Annotated[str, typer.Option(help="country (FRA) or g CO2e per kWh, for a derived CO2e")] = "",
    pue: Annotated[float, typer.Option(min=1.0, help="power of the whole building over that of its computers")] = 1.0,
    draft: Annotated[bool, typer.Option("--draft", help="accept energies of a test double, marked so")] = False,
    allow_faults: Annotated[
        bool,
        typer.Option("--allow-faults", help="end with code 0 where a fault voids a claim, too; no sentence changes"),
    ] = False,
    sign: Annotated[Path | None, typer.Option(help="private ssh key: sign the report, into report.json.sig")] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="file of allowed signers: check the signed report of these folders, and write nothing"),
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Compare finished runs: verdicts with intervals, tables and charts in one HTML file.

    Ends with code 1 when a claim that was asked for cannot be made because of a fault.
    """
    from bpfree.cli.output import studies
    from bpfree.reports import signing
    from bpfree.reports.report import report, report_folder

    if verify is not None:
        folder = report_folder(folders, out)
        print(f"{folder / signing.REPORT}: signed by {signing.verify(folder, verify, folders)}; its runs are these")
        return
    results, files = report(folders, out, co2, draft, pue)
    signatures = [signing.sign(files[0].parent, sign)] if sign is not None else []
    print(json.dumps(results, indent=1)) if as_json else studies.print_report(results, [*files, *signatures])
    raise typer.Exit(1 if results["blocked"] and not allow_faults else 0)
