"""The verb `paper` without a table: what there is."""

import json

from nas_jax.cli.main import main
from nas_jax.cli.paper import Name
from nas_jax.paper import tables


def test_without_a_name_every_table_is_listed(capsys):
    assert main(["paper"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names[0] == "table"
    assert sorted(names[1:]) == sorted(Name.__args__)
    assert "not yet run" in lines[1]
    assert main(["paper", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["tables"]) == len(lines)


def test_missing_figures_are_counted():
    counted = {name: here for name, _, here in tables.contents()}
    shown = tables.cifar10().rows
    missing = sum(cell == tables.NOT_RUN for row in shown for cell in row)
    assert missing == 1 and counted["cifar10"] == "1 figure not yet run"
