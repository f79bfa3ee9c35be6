"""Networks with their weights, and the snapshots that a search goes on from."""

import functools
import shutil

import jax
import jax.numpy as jnp
import numpy as np

from fuzz.case import reader
from fuzz.networks import TINY
from nas_jax.networks import checkpoint, network
from nas_jax.runs.snapshots import Snapshots


def _network(file):
    def make(where):
        if not (where / "net").exists():
            rng = np.random.default_rng(0)
            params, batch_stats = jax.tree.map(
                lambda leaf: rng.random(leaf.shape, np.float32), network.shapes(TINY)
            )
            model = checkpoint.Model(TINY, params, batch_stats)
            checkpoint.save_model(where / "net", model)
            # the same bytes under a name that does not change
            data = next((where / "net" / "weights" / "d").iterdir())
            (where / "data").write_text(data.name)
        return [(where / "net" / file).read_bytes()]

    return make


def _read_network(where):
    checkpoint.load_model(where / "net")


for _file, _form in (
    ("architecture.json", "json"),
    ("digests.json", "json"),
    ("weights/_METADATA", "json"),
    ("weights/manifest.ocdbt", "bytes"),
):
    reader(f"network, {_file}", f"net/{_file}", _form, _network(_file))(_read_network)


STATE = {"weights": jnp.arange(6.0), "key": jax.random.key(0)}


def _snapshots(file):
    def make(where):
        if not (where / "s").exists():
            with Snapshots(where / "s", kept=2) as kept:
                kept.save(1, STATE, {"x": 1})
            shutil.copytree(where / "s", where / "whole")
        return [next((where / "s" / "1").glob(file)).read_bytes()]

    return make


def _read_snapshot(where, file):
    heard: list[str] = []
    with Snapshots(where / "s", kept=2) as kept:
        found = kept.newest(lambda notes: jax.eval_shape(lambda: STATE), heard.append)
    shutil.rmtree(where / "s")
    shutil.copytree(where / "whole", where / "s")
    if found is not None:  # what comes back is what was saved
        assert found.notes == {"x": 1}
        assert np.array_equal(found.state["weights"], STATE["weights"])
    else:
        raise ValueError("; ".join(heard))


for _file, _form in (
    ("record/metadata", "json"),
    ("state/_METADATA", "json"),
    ("state/manifest.ocdbt", "bytes"),
):
    reader(f"snapshot, {_file}", f"s/1/{_file}", _form, _snapshots(_file))(
        functools.partial(_read_snapshot, file=_file)
    )
