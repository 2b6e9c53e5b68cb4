"""Signatures of a report, by the user's ssh key: what checksums cannot show, an edit with intent, a signature does.

``ssh-keygen -Y`` signs ``report.json``, which names the hash of every run's record, and what the study asked. The
signature, ``report.json.sig``, holds for these; `verify` checks it, and that the folders still hold the same runs.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bpfree.errors import InputError
from bpfree.reports.gathering import collect
from bpfree.training.files import read_json

NAMESPACE = "bpfree-report"
REPORT, SIGNATURE = "report.json", "report.json.sig"
ASKED = ("arms", "seeds", "quick", "margin_pp", "target")  # of a study, which its report states as well


def sign(folder: str | os.PathLike[str], key: str | os.PathLike[str]) -> Path:
    """Sign the report in a folder; an earlier signature is replaced.

    Args:
        folder: that holds ``report.json``.
        key: private ssh key, or a public one whose private one an ssh agent holds.

    Returns:
        The path of the signature.

    Raises:
        InputError: no report, no such key, or ssh-keygen cannot sign with it.
    """
    report, signature = Path(folder) / REPORT, Path(folder) / SIGNATURE
    if not report.exists():
        raise InputError(f"{report} does not exist: there is nothing to sign")
    if not Path(key).is_file():
        raise InputError(f"{key} is no file: give a private ssh key, such as ~/.ssh/id_ed25519")
    signature.unlink(missing_ok=True)  # ssh-keygen would ask before it writes over one
    _keygen("sign", "-f", key, "-n", NAMESPACE, report, refused=f"cannot sign with {key}")
    return signature


def verify(
    folder: str | os.PathLike[str], signers: str | os.PathLike[str], paths: Sequence[str | os.PathLike[str]]
) -> str:
    """Check the signature of the report in a folder, and that the runs are those that were signed.

    Args:
        folder: that holds ``report.json`` and ``report.json.sig``.
        signers: file of allowed signers, a line ``NAME KEYTYPE KEY`` each, as ssh-keygen reads it.
        paths: folders of the studies and runs that the report is of.

    Returns:
        The name of the signer.

    Raises:
        InputError: no signature, one that does not fit the report or of nobody in ``signers``, or other runs.
    """
    report, signature = Path(folder) / REPORT, Path(folder) / SIGNATURE
    for needed in (report, signature, Path(signers)):
        if not needed.is_file():
            raise InputError(f"{needed} does not exist: a signed report and a file of allowed signers are needed")
    known = _keygen("find-principals", "-s", signature, "-f", signers, refused=f"nobody in {signers} signed {report}")
    name = known.splitlines()[0]
    _keygen(
        *("verify", "-f", signers, "-I", name, "-n", NAMESPACE, "-s", signature),
        stdin=report,
        refused=f"the signature does not fit {report}: it was changed after it was signed",
    )
    _refuse_others(read_json(report, "report"), paths)
    return name


def _refuse_others(report: Mapping[str, Any], paths: Sequence[str | os.PathLike[str]]) -> None:
    """InputError where the runs in the folders, or what their study asks, are not those of a report."""
    study = collect(paths)
    signed = {(run["arm"], run["seed"], run["budget"]): run["record_sha256"] for run in report["runs"]}
    now = {(run.arm, run.seed, run.budget): (run.record or {}).get("record_sha256") for run in study.runs}
    other = [key for key in {**signed, **now} if signed.get(key) != now.get(key)]
    if other:
        arm, seed, budget = other[0]
        raise InputError(
            f"{len(other)} of the runs are not those that were signed: the first is {arm}, seed {seed}, {budget}"
        )
    for key in ASKED:
        was, value = report[key], study.plan[key]
        if key == "arms":
            was, value = ([[arm["name"], arm["settings"], arm["search"]] for arm in arms] for arms in (was, value))
        if was != value:
            raise InputError(f"the study is not the one whose report was signed: its {key} changed")


def _keygen(action: str, *arguments: object, refused: str, stdin: Path | None = None) -> str:
    """The output of ``ssh-keygen -Y``; InputError, beginning with ``refused``, where it fails."""
    program = shutil.which("ssh-keygen")
    if program is None:
        raise InputError("ssh-keygen is not installed: signatures need OpenSSH 8.2 or later")
    content = stdin.read_bytes() if stdin else b""
    done = subprocess.run(
        [program, "-Y", action, *map(str, arguments)], input=content, capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise InputError(refused + (f" (ssh-keygen: {said[-1]})" if said else ""))
    return done.stdout.decode(errors="replace").strip()
