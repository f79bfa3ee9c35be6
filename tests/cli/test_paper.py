"""The verb `paper` without a table: what there is."""

import json

from nas_jax.cli.main import main
from nas_jax.cli.paper import Name


def test_without_a_name_every_table_and_figure_is_listed(capsys):
    assert main(["paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if ": " in line[:30] and line[0] != " "]
    names = [line.split()[0] for line in heads]
    assert sorted(set(names) - {"-"}) == sorted(Name.__args__)
    assert names.count("-") == 4
    assert max(map(len, lines)) <= 100
    at = lines.index("cifar10          table: CIFAR-10 test error")
    assert lines[at + 1] == "  here           params (1)"
    assert lines[at + 2] == "  missing        error % (1): not yet run"
    assert lines[at + 3].startswith("  takes          a GPU and CIFAR-10: 96 GPU hours")
    assert lines[at + 4].startswith(" " * 17 + "paper")


def test_the_same_as_json(capsys):
    assert main(["paper", "--json"]) == 0
    items = json.loads(capsys.readouterr().out)["contents"]
    assert len(items) == 12
    assert items[3] == {
        "name": "cifar10",
        "paper": "table",
        "title": "CIFAR-10 test error",
        "here": "params (1)",
        "missing": "error % (1): not yet run",
        "takes": items[3]["takes"],
    }
    assert items[0]["paper"] == "Figure 1"
