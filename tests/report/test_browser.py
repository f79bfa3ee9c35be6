"""The report in a real browser, at the widths of a phone and of a desktop."""

import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest

from nas_jax import report
from tests.report.made_up_run import make_run, make_targets_run


def _chromium(tmp_path: Path, page: Path, *flags: str) -> str:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no 'chromium' on this machine: the page was not seen by a browser")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"]
    command += ["--no-first-run", "--disable-background-networking", "--disable-sync"]
    command += ["--disable-component-update", "--hide-scrollbars"]
    command += [f"--user-data-dir={tmp_path / 'profile'}"]
    command += [*flags, page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shutil.rmtree(tmp_path / "profile", ignore_errors=True)
    if "--enable-logging=stderr" in flags:
        return "".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    return done.stdout


def _framed(report_file: Path, width: int) -> Path:
    """A page that shows the report `width` wide and takes its measure.

    A browser window cannot be as narrow as a phone, a frame can. The copy in the frame
    reports its width and all that it fetched to the outer page's title.
    """
    probe = """<script>addEventListener('load', () => parent.postMessage(
    document.documentElement.scrollWidth + ' ' + innerWidth + ' '
    + performance.getEntriesByType('resource').length, '*'))</script>"""
    run = report_file.parent
    document = report_file.read_text(encoding="utf-8")
    # what is folded away has a width as well
    document = document.replace("<details>", "<details open>")
    # without the policy, which would stop the probe as well
    document = re.sub(r"<meta http-equiv[^>]*>", "", document)
    (run / "probe.html").write_text(document.replace("</body>", f"{probe}</body>"))
    frame = run / "frame.html"
    frame.write_text(
        "<!doctype html><title>none</title><body style='margin:0'><script>"
        "addEventListener('message', e => { document.title = e.data })</script>"
        f"<iframe src='probe.html' style='border:0;width:{width}px;height:3000px'>"
        "</iframe></body>"
    )
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("flags", [(), ("--force-dark-mode",)], ids=["light", "dark"])
def test_page_in_a_browser(tmp_path, width, flags):
    frame = _framed(report.write(make_run(tmp_path / "run")), width)
    dom = _chromium(tmp_path, frame, *flags, "--virtual-time-budget=5000", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None
    # nothing sticks out to the side, nothing was fetched
    assert title[1] == f"{width} {width} 0"
    picture = tmp_path / "page.png"
    size = f"--window-size={max(width, 500)},2000"
    _chromium(tmp_path, frame, *flags, size, f"--screenshot={picture}")
    pixels = matplotlib.image.imread(picture)[:, :width, :3]
    assert pixels.shape[1] == width
    brightness = pixels.mean()
    assert brightness < 0.35 if flags else brightness > 0.8
    # ink in every fifth of the page
    for part in np.array_split(pixels, 5):
        assert part.std() > 0.02


def _targets(folder: Path) -> Path:
    return report.write(make_targets_run(folder / "curve"))


def _several(folder: Path) -> Path:
    runs = [make_run(folder / name, seed=seed) for seed, name in enumerate("abc")]
    return report.write_several(runs, folder / "several.html")


def _watched(folder: Path) -> Path:
    return report.write(make_run(folder / "run"), refresh_s=3600)


@pytest.mark.slow
@pytest.mark.parametrize("make", [_targets, _several, _watched])
def test_other_pages_fit_a_phone_and_fetch_nothing(tmp_path, make):
    frame = _framed(make(tmp_path), 390)
    dom = _chromium(tmp_path, frame, "--virtual-time-budget=5000", "--dump-dom")
    title = re.search(r"<title>(.*?)</title>", dom)
    assert title is not None and title[1] == "390 390 0"


@pytest.mark.slow
@pytest.mark.parametrize("make", [_targets, _several, _watched])
def test_console_stays_empty(tmp_path, make):
    page = make(tmp_path)
    logging = ("--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom")
    frame = page.with_name("frame.html")
    frame.write_text(f"<iframe src='{page.name}' style='width:390px'></iframe>")
    assert _chromium(tmp_path, page, *logging) == ""
    assert _chromium(tmp_path, frame, *logging) == ""
    # the policy of the page forbids scripts, and a browser says so
    hostile = page.read_text(encoding="utf-8").replace("</main>", "<script>1</script>")
    page.write_text(hostile)
    assert "violates" in _chromium(tmp_path, page, *logging)
