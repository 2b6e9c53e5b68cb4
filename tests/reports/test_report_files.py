"""Files of a report: all drawn from report.json alone, labelled, escaped, complete."""

import csv
import json

import pytest
import study_doubles as doubles
from study_doubles import report_of

from bpfree.errors import InputError
from bpfree.reports import study
from bpfree.reports.build import build
from bpfree.reports.render import render

FILES = {"report.json", "report.html", "report.md", "results.csv", "comparisons.csv", "runs.csv", "results.tex"}
TABLES = ("report.html", "report.md", "results.csv", "comparisons.csv", "runs.csv", "results.tex")


def test_every_file_is_drawn_from_the_json_alone(tmp_path):
    first = render(report_of(tmp_path / "study", doubles.run), tmp_path / "one")
    assert {path.name for path in first} == FILES
    again = render(json.loads((tmp_path / "one" / "report.json").read_text()), tmp_path / "two")
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_the_same_runs_give_the_same_report(tmp_path):
    report_of(tmp_path, doubles.run)
    assert build(study.load(tmp_path)) == build(study.load(tmp_path))


def test_a_quick_study_says_so_in_every_table(tmp_path):
    render(report_of(tmp_path, doubles.run, quick=True), tmp_path)
    for name in TABLES:
        assert "udget reached, not converged" in (tmp_path / name).read_text(), name


def test_a_fake_meter_is_refused_and_a_draft_says_so_in_every_table(tmp_path):
    report = report_of(tmp_path / "study", lambda a, s: doubles.run(a, s, fake=True))
    with pytest.raises(InputError, match=r"cannot be published: energy in it comes from a fake device"):
        render(report, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    render(report, tmp_path / "out", draft=True)
    for name in TABLES:
        assert "DRAFT: energy from a test double" in (tmp_path / "out" / name).read_text(), name


def test_csv_holds_every_run_and_comparison_at_full_precision(tmp_path):
    report = report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=10 + s / 7))
    render(report, tmp_path)
    rows = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert [float(row["train_s"]) for row in rows if row["arm"] == "mine"] == [10 + s / 7 for s in range(3)]
    made = list(csv.DictReader((tmp_path / "comparisons.csv").open()))
    assert len(made) == len(report["comparisons"])
    results = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert {row["method"] for row in results if row["measure"] == "energy_j"} == {"measured:counter"}


def test_latex_escapes_what_latex_would_read(tmp_path):
    arms = {"mine": {}, "backprop:deep_supervision=true": {"role": "twin"}}
    render(report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s), arms=arms, name="50 % of R&D"), tmp_path)
    text = (tmp_path / "results.tex").read_text()
    assert "backprop:deep\\_supervision=true" in text
    assert "50 \\% of R\\&D" in text
    assert text.count("\\begin{table}") == text.count("\\end{table}") == 1


@pytest.mark.parametrize("name", ["</script><script>alert(1)</script>", '"><img src=x>'])
def test_names_are_text_and_never_markup(tmp_path, name):
    render(report_of(tmp_path, doubles.run, name=name, question=name), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert name not in text
    assert "<img" not in text


def test_another_schema_is_refused(tmp_path):
    report = report_of(tmp_path, doubles.run)
    with pytest.raises(InputError, match="'bpfree-report/9'; this version draws 'bpfree-report/2'"):
        render({**report, "schema": "bpfree-report/9"}, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    report = report_of(tmp_path, doubles.run)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write into .*file"):
        render(report, tmp_path / "file")


BAD = "=HYPERLINK(1)\n\\input{x} |<b>[a](b)`"


def test_no_cell_of_a_csv_is_a_formula_and_none_of_latex_or_markdown_a_line_or_markup(tmp_path):
    """A rule named to run in a spreadsheet, to leave LaTeX's comment, and to be a link and HTML in Markdown."""
    arms = {BAD: {}, "-1+1": {"role": "twin"}}
    render(report_of(tmp_path, lambda a, s: doubles.run(a, s, train_s=9 + s), arms=arms, name=BAD), tmp_path)
    for name in ("results.csv", "comparisons.csv", "runs.csv"):
        rows = list(csv.reader((tmp_path / name).open(newline="")))
        cells = [cell for row in rows[1:] for cell in row if not _is_number(cell)]
        assert not [cell for cell in cells if cell[:1] in ("=", "+", "-", "@")], name
        assert any(cell == "'" + BAD for cell in cells), name
    tex, markdown = (tmp_path / "results.tex").read_text(), (tmp_path / "report.md").read_text()
    assert "\n\\input" not in tex
    assert "\\textbackslash{}input\\{x\\}" in tex
    assert tex.startswith("% =HYPERLINK(1) \\input{x}")
    assert markdown.splitlines()[0] == "# =HYPERLINK(1) \\\\input{x} \\|&lt;b&gt;\\[a\\](b)\\`"
    assert "<b>" not in markdown


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
