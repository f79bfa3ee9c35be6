"""A search among several shapes, as small as can be: an experiment, data, a table."""

import dataclasses

from nas_jax import config
from nas_jax.latency import tables
from nas_jax.latency.tables import PROVENANCE
from nas_jax.networks import counts
from nas_jax.spaces import elastic
from tests.data import idx_files

SPACE = config.ElasticConfig(
    name="small",
    input_sizes=(8, 12),
    input_channels=1,
    classes=4,
    stem_widths=(8,),
    stem_stride=1,
    stage_choices=((8,), (8, 16)),
    cells=(2, 2),
    strides=(1, 2),
    candidates=("mb3_k3", "mb6_k3", "zero"),
    head_channels=16,
)


def experiment(path):
    """Of the data at `path`."""
    return config.Experiment(
        name="elastic",
        seed=3,
        space=SPACE,
        data=config.DataConfig(
            name="idx",
            path=str(path),
            train_weights=None,
            train_alphas=12,
            valid=20,
            test=None,
            shift_pixels=1,
            flip=False,
            geometry="square",
            mean=(0.5,),
            std=(0.3,),
        ),
        latency=config.LatencyConfig(batch=4, repeats=3, loop_ms=0.1),
        search=config.SearchConfig(
            warmup_epochs=2,
            joint_epochs=0,
            batch=20,
            drawn=6,
            finalists=3,
            trials=2,
            networks_per_step=2,
            max_slack=0.3,
            target_ratio=0.7,
        ),
        train=config.TrainConfig(epochs=2, batch=20),
        random_networks=1,
        scaled_networks=2,
    )


def write(home, blocks=None):
    """`elastic.py`, data and `table.json`; the first words of a search of them.

    With blocks of another family there is no supernet.
    """
    idx_files.write_set(home / "data", counts=(80, 20), shape=(10, 10))
    made = experiment(home / "data")
    if blocks is not None:
        made = dataclasses.replace(
            made,
            space=dataclasses.replace(made.space, **blocks._asdict()),
            search=dataclasses.replace(made.search, warmup_epochs=0),
        )
    (home / "elastic.py").write_text(
        f"from nas_jax.config import *\n\n\ndef get_config():\n    return {made!r}\n"
    )
    names = {str: "made up", int: 1}
    provenance = {key: names[kind] for key, kind in PROVENANCE.items()}
    provenance["method"] = "operations"
    table = tables.LatencyTable(
        {
            part.key: tables.Entry(ms, 0.1 * ms, ms, ms, ms, count=2)
            for part in tables.required_parts(elastic.build(made.space))
            for ms in [1e-5 * (1000 + counts.macs(part))]
        },
        provenance,
    )
    tables.save(table, home / "table.json")
    return ["search", str(home / "elastic.py"), "--latency.table", f"{home}/table.json"]
