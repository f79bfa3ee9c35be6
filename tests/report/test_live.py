"""The report of a run that goes on: written when there is more, until it has ended."""

from pathlib import Path

import pytest

from nas_jax import cli, report
from nas_jax.cli import report as report_verb
from nas_jax.report import live
from tests.report.made_up_run import make_run

REFRESH = '<meta http-equiv="refresh"'


class Pages:
    """Stands for the report: notes what each page was asked to do."""

    def __init__(self) -> None:
        self.refreshes: list[int | None] = []

    def write(self, refresh_s: int | None) -> Path:
        self.refreshes.append(refresh_s)
        return Path("report.html")


def grow(folder: Path) -> None:
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("{}\n")


def test_page_is_written_when_metrics_have_grown_until_the_run_has_finished(tmp_path):
    own = tmp_path / "targets" / "0.5"
    own.mkdir(parents=True)
    happens = [
        lambda: None,
        lambda: grow(tmp_path),
        lambda: None,
        lambda: grow(own),
        lambda: (tmp_path / "result.json").touch(),
    ]
    pages = Pages()
    written = list(live.follow(tmp_path, pages.write, lambda: happens.pop(0)()))
    # at first, twice when something had grown, and at last without a refresh
    assert pages.refreshes == [live.REFRESH_S] * 3 + [None]
    assert len(written) == 4 and not happens


def test_finished_run_is_written_once(tmp_path):
    (tmp_path / "result.json").touch()
    pages = Pages()
    assert len(list(live.follow(tmp_path, pages.write, pytest.fail))) == 1
    assert pages.refreshes == [None]


def test_interrupt_leaves_a_page_that_stands_still(tmp_path):
    def interrupt() -> None:
        raise KeyboardInterrupt

    pages = Pages()
    with pytest.raises(KeyboardInterrupt):
        list(live.follow(tmp_path, pages.write, interrupt))
    assert pages.refreshes == [live.REFRESH_S, None]


def test_an_error_of_the_report_is_not_written_over(tmp_path):
    def write(refresh_s: int | None) -> Path:
        raise ValueError("metrics.jsonl line 2")

    with pytest.raises(ValueError, match="line 2"):
        list(live.follow(tmp_path, write, pytest.fail))


def test_command_watches_until_the_result_is_there(tmp_path, monkeypatch, capsys):
    run = make_run(tmp_path / "run", epochs=(1, 1))
    result = (run / "result.json").read_bytes()
    (run / "result.json").unlink()
    seen = []

    def wait(seconds: float) -> None:
        seen.append((run / "report.html").read_text(encoding="utf-8"))
        (run / "result.json").write_bytes(result)

    monkeypatch.setattr(report_verb.time, "sleep", wait)
    assert cli.main(["report", str(run), "--watch"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(run / "report.html")]
    (while_running,) = seen
    assert f'{REFRESH} content="{live.REFRESH_S}">' in while_running
    assert "result.json is missing" in while_running
    finished = (run / "report.html").read_text(encoding="utf-8")
    assert REFRESH not in finished and "97.3" in finished
    assert report.write(run).read_text(encoding="utf-8") == finished


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "--watch", "--out", "x.html"], "--watch: expected one run, got 2"),
        (["a", "b"], "expected --out FILE.html for a page about 2 runs, got none"),
        (["a", "b", "--tensorboard", "d"], "--tensorboard: expected one run, got 2"),
        (["a", "--tensorboard", "d", "--watch"], "expected neither --watch nor --out"),
        (["a", "--out", "taken"], "--out taken: expected a new file"),
    ],
)
def test_flags_that_do_not_fit(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("taken").touch()
    assert cli.main(["report", *words]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
