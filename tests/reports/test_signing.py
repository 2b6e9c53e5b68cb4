"""bpfree.reports.signing: a signature by an ssh key made for the test."""

import json
import shutil
import subprocess

import pytest
import sound
import study_doubles as doubles

from bpfree.errors import InputError
from bpfree.reports import report, signing

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="no ssh-keygen here: apt-get install openssh-client"
)


@pytest.fixture
def signed(tmp_path):
    """A study with a signed report, the file of those who may sign, and a key that is not in it."""
    for name in ("mine", "stranger"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)]
        subprocess.run(command, check=True)
    signers = tmp_path / "signers"
    signers.write_text(f"ada@example.org {(tmp_path / 'mine.pub').read_text()}")
    doubles.write(tmp_path / "study", sound.ARMS, sound.record, sound.SEEDS)
    report.report([tmp_path / "study"])
    signing.sign(tmp_path / "study", tmp_path / "mine")
    return tmp_path / "study", signers, tmp_path / "stranger"


def test_a_signed_report_names_its_signer(signed):
    folder, signers, _ = signed
    assert signing.verify(folder, signers, [folder]) == "ada@example.org"


def test_a_second_signature_replaces_the_first(signed):
    folder, signers, stranger = signed
    signing.sign(folder, stranger)
    with pytest.raises(InputError, match=r"nobody in .*signers signed"):
        signing.verify(folder, signers, [folder])


def test_a_report_that_was_edited_does_not_fit(signed):
    folder, signers, _ = signed
    path = folder / "report.json"
    path.write_text(path.read_text().replace('"quick": false', '"quick": true'))
    with pytest.raises(InputError, match="it was changed after it was signed"):
        signing.verify(folder, signers, [folder])


def test_a_run_that_was_made_again_is_not_the_one_that_was_signed(signed):
    """With a hash that fits: a checksum cannot see it, the signature does."""
    folder, signers, _ = signed
    better = sound.record("mine", 3)
    better["result"]["test"] = 0.999
    doubles.record.write(better, folder / "runs" / "mine-s3" / "run.json")
    with pytest.raises(InputError, match="1 of the runs are not those that were signed: the first is mine, seed 3"):
        signing.verify(folder, signers, [folder])


def test_a_study_that_asks_something_else_is_not_the_one_that_was_signed(signed):
    folder, signers, _ = signed
    plan = json.loads((folder / "study.json").read_text())
    (folder / "study.json").write_text(json.dumps({**plan, "margin_pp": 5.0}))
    with pytest.raises(InputError, match="its margin_pp changed"):
        signing.verify(folder, signers, [folder])


def test_what_is_missing_is_named_in_one_line(signed, tmp_path):
    folder, signers, _ = signed
    for call, words in (
        (lambda: signing.sign(tmp_path, tmp_path / "mine"), "there is nothing to sign"),
        (lambda: signing.sign(folder, tmp_path / "nowhere"), "give a private ssh key"),
        (lambda: signing.sign(folder, signers), "cannot sign with"),
        (lambda: signing.verify(folder, tmp_path / "nobody", [folder]), "a file of allowed signers"),
    ):
        with pytest.raises(InputError, match=words) as error:
            call()
        assert "\n" not in str(error.value)
