"""The report in a browser: headless Chromium reads the verdicts, sorts, turns the theme, looks at it on a phone."""

import math
import os
from pathlib import Path

import browser
import numpy as np
import pytest
import study_doubles as doubles

from bpfree.reports.build import build
from bpfree.reports.render import render

pytestmark = pytest.mark.skipif(browser.PROGRAM is None, reason="no Chromium here: apt-get install chromium")

ARMS = {
    "mono-forward": {},
    "mono-forward again": {"role": "aa", "algo": "mono-forward", "twin_of": "mono-forward"},
    "forward-forward": {},
    "backprop": {"role": "twin"},
    "backprop:deep_supervision=true": {"role": "control", "algo": "backprop", "settings": {"deep_supervision": True}},
}
COSTS = dict(zip(ARMS, (0.95, 0.95, 2.0, 1.0, 1.1), strict=True))


def make(folder: Path, parts, **plan) -> dict:
    """A report on six seeds of known costs; one run of forward-forward failed."""
    rng = np.random.default_rng(5)

    def run(arm: str, seed: int) -> dict | None:
        if (arm, seed) == ("forward-forward", 3):
            return None
        train_s = 20 * COSTS[arm] * math.exp(rng.normal(0, 0.01))
        test = 0.98 - 0.02 * (arm == "forward-forward") + rng.normal(0, 0.0005)
        about = ARMS[arm]
        facts = {"test": test, "train_s": train_s, "parts": parts, "epochs": 20, "config": about.get("settings")}
        return doubles.run(about.get("algo", arm), seed, **facts)

    study = doubles.write(folder, ARMS, run, range(6), name="Forward-only rules <against> backprop & co", **plan)
    report = build(study)
    render(report, folder)
    return report


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    return folder / "report.html", make(folder, (doubles.GPU,))


@pytest.fixture(scope="module")
def estimated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("estimated")
    return folder / "report.html", make(folder, doubles.GUESS, quick=True)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser.chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Folder of the screenshots: BPFREE_PICTURES keeps them for people to look at."""
    folder = Path(os.environ.get("BPFREE_PICTURES") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


TEXTS = "[...document.querySelectorAll('{}')].map(e => e.textContent)"


@pytest.mark.parametrize("kind", ["measured", "estimated"])
def test_it_shows_every_verdict_without_an_error_or_a_request(page, request, kind):
    path, report = request.getfixturevalue(kind)
    page.errors.clear(), page.requests.clear()
    page.open(path)
    shown = "\n".join(page.run(TEXTS.format("#verdicts li")))
    assert report["verdicts"]
    assert all(line["text"] in shown for line in report["verdicts"])
    assert page.run("document.querySelector('h1').textContent") == "Forward-only rules <against> backprop & co"
    assert "the loss became NaN" in page.run("document.getElementById('failed').nextElementSibling.textContent")
    assert page.errors == []
    assert [url for url in page.requests if not url.startswith(("file:", "data:"))] == []


def test_the_numbers_inside_are_the_report(page, measured):
    page.open(measured[0])
    actual = page.run("JSON.parse(document.getElementById('report').textContent)")
    assert actual["verdicts"] == measured[1]["verdicts"]
    assert actual["runs"] == measured[1]["runs"]


def test_a_click_on_a_heading_sorts_by_number_and_again_the_other_way(page, measured):
    page.open(measured[0])
    rows = {row["arm"]: row["energy_j"]["mean"] for row in measured[1]["budgets"][0]["rows"]}
    heads = page.run(TEXTS.format("#results-0 th button"))
    column = next(k for k, text in enumerate(heads) if text == "Energy, training")
    arms = "[...document.querySelectorAll('#results-0 tbody tr')].map(r => r.cells[0].firstChild.textContent)"
    click = f"document.querySelectorAll('#results-0 th button')[{column}].click()"
    page.run(click)
    assert page.run(arms) == sorted(rows, key=rows.__getitem__)
    page.run(click)
    assert page.run(arms) == sorted(rows, key=rows.__getitem__, reverse=True)
    assert page.run(f"document.querySelectorAll('#results-0 th')[{column}].ariaSort") == "descending"


def test_a_tooltip_explains_a_column_to_keyboard_and_finger(page, measured):
    page.open(measured[0])
    page.run("document.querySelectorAll('#results-0 .tip')[1].focus()")
    assert page.run("document.getElementById('tooltip').hidden") is False
    assert "test part, once" in page.run("document.getElementById('tooltip').textContent")
    page.run("document.activeElement.blur()")
    assert page.run("document.getElementById('tooltip').hidden") is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_follows_the_readers_theme_and_the_button_turns_it(page, measured, scheme, pictures):
    def brightness() -> int:
        colour = page.run("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour[4:-1].split(","))

    page.resize(1280, 900)
    page.prefer(scheme)
    page.open(measured[0])
    before = brightness()
    assert (before > 380) == (scheme == "light")
    seen = page.picture(pictures / f"desktop-{scheme}.png")
    page.run("document.getElementById('theme').click()")
    assert (brightness() > 380) != (scheme == "light")
    assert page.picture(pictures / f"desktop-{scheme}-turned.png") != seen
    page.prefer("light")


@pytest.mark.parametrize("kind", ["measured", "estimated"])
def test_on_a_phone_only_tables_scroll_sideways_and_text_stays_readable(page, request, kind, pictures):
    path, _ = request.getfixturevalue(kind)
    page.resize(390, 844, mobile=True)
    page.open(path)
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.picture(pictures / f"phone-{kind}.png")
    sizes = page.run(
        "[...document.querySelectorAll('figure svg')]"
        ".map(s => s.getBoundingClientRect().width / s.viewBox.baseVal.width"
        " * parseFloat(getComputedStyle(s.querySelector('text')).fontSize))"
    )
    assert min(sizes) >= 9.5  # px of the smallest text in a chart
    page.resize(1280, 900)


def test_estimates_are_hatched_and_marked_and_a_quick_study_says_so_at_every_table(page, estimated, pictures):
    path, report = estimated
    page.open(path)
    page.picture(pictures / "desktop-estimated.png")
    cells = page.run(TEXTS.format("#results-0 td.est"))
    assert cells
    assert all(text.startswith("≈ ") for text in cells)
    assert page.run("getComputedStyle(document.querySelector('td.est')).backgroundImage").startswith("repeating-linear")
    assert page.run("document.querySelectorAll('rect[fill=\"url(#hatch)\"]').length") == 5 * len(ARMS)
    captions = page.run(TEXTS.format("table.results caption"))
    assert len(captions) == len(report["budgets"])
    assert all("budget reached, not converged" in text for text in captions)


def test_it_prints(page, measured, pictures):
    page.prefer("dark")
    page.open(measured[0])
    pdf = page.printed()
    (pictures / "report.pdf").write_bytes(pdf)
    page.prefer("light")
    assert pdf.startswith(b"%PDF")
    assert page.errors == []


def test_the_file_is_small_and_needs_no_other(measured):
    text = measured[0].read_text()
    assert len(text.encode()) < 1_000_000
    for reference in ("src=", "@import", "url(http", '<link rel="stylesheet"'):
        assert reference not in text
