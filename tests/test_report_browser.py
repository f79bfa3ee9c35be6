"""The report in a real browser, at the widths of a phone and of a desktop."""

import re
import shutil
import subprocess
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from made_up_run import make_run

from nas_jax import report


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
    return done.stdout


def _framed(run: Path, width: int) -> Path:
    """A page that shows the report `width` wide and takes its measure.

    A browser window cannot be as narrow as a phone, a frame can. The copy in the frame
    reports its width and all that it fetched to the outer page's title.
    """
    probe = """<script>addEventListener('load', () => parent.postMessage(
    document.documentElement.scrollWidth + ' ' + innerWidth + ' '
    + performance.getEntriesByType('resource').length, '*'))</script>"""
    document = (run / "report.html").read_text(encoding="utf-8")
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
    run = make_run(tmp_path / "run")
    report.write(run)
    frame = _framed(run, width)
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
