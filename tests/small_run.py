"""A run of seconds: an experiment in a space as small as can be, and its table."""

from nas_jax import config
from nas_jax.latency import tables
from nas_jax.latency.tables import PROVENANCE
from nas_jax.spaces import builders

SPACE = config.SpaceConfig(
    name="small",
    input_size=8,
    input_channels=1,
    classes=10,
    stem_channels=8,
    stem_stride=1,
    first_block_channels=None,
    stage_widths=(8,),
    cells=(2,),
    strides=(1,),
    candidates=("mb3_k3", "mb6_k3", "zero"),
    head_channels=16,
)
EXPERIMENT = config.Experiment(
    name="small",
    seed=3,
    random_networks=1,
    space=SPACE,
    data=config.DataConfig(train_weights=40, train_alphas=40, valid=20, test=50),
    latency=config.LatencyConfig(batch=4, repeats=3, loop_ms=0.1),
    search=config.SearchConfig(
        warmup_epochs=1,
        joint_epochs=2,
        arch_start_epoch=0,
        arch_every=1,
        batch=20,
        arch_batch=20,
        watch_every_epochs=2,
        arch_lr=0.1,
        target_ratio=0.7,
    ),
    train=config.TrainConfig(epochs=2, batch=40),
)
FILE = f"""
from nas_jax.config import *

def get_config():
    return {EXPERIMENT!r}
"""
ENTRY = dict.fromkeys(("mean_ms", "std_ms", "median_ms", "q25_ms", "q75_ms"), 0.1)


def write(home):
    """`small.py` and `table.json` in a folder; the first words of a search of them."""
    (home / "small.py").write_text(FILE)
    parts = tables.required_parts(builders.mobile(SPACE))
    entries = {
        part.key: tables.Entry(**ENTRY | {"mean_ms": 0.1 + index / 10}, count=2)
        for index, part in enumerate(parts)
    }
    names = {str: "made up", int: 1}
    provenance = {key: names[kind] for key, kind in PROVENANCE.items()}
    provenance["method"] = "operations"
    tables.save(tables.LatencyTable(entries, provenance), home / "table.json")
    return ["search", str(home / "small.py"), "--latency.table", f"{home}/table.json"]
