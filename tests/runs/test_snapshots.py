"""States on disk: what comes back is what was saved, or the one before it."""

import gc
import json
import resource
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.runs import run_folder, snapshots, stopping
from nas_jax.runs.snapshots import Snapshots

NOTES = {"collected": [{"loss": 0.1 + 0.2}, {"loss": float(np.float32(0.1))}]}


def state(step=0, size=4):
    numbers = np.random.default_rng(step).normal(size=(size, 3))
    return {
        "params": (jnp.asarray(numbers, jnp.float32), jnp.int32(step)),
        "key": jax.random.key(step),
        "baseline": jnp.full((), jnp.nan),
    }


def shapes(notes):
    return jax.eval_shape(state)


def bits(tree):
    plain = jax.tree.map(
        lambda leaf: (
            jax.random.key_data(leaf)
            if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
            else leaf
        ),
        tree,
    )
    return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(plain)]


@pytest.fixture
def folder(tmp_path):
    """Snapshots of steps 1 to 3."""
    with Snapshots(tmp_path / "search", kept=3) as kept:
        for step in (1, 2, 3):
            kept.save(step, state(step), NOTES | {"step": step})
    return tmp_path / "search"


def read(folder, like=shapes):
    heard = []
    with Snapshots(folder, kept=3) as kept:
        return kept.newest(like, heard.append), heard


def test_newest_comes_back_bit_by_bit(folder):
    found, heard = read(folder)
    assert (found.step, heard) == (3, [])
    assert bits(found.state) == bits(state(3))
    assert jax.tree.structure(found.state) == jax.tree.structure(state())
    assert found.notes == NOTES | {"step": 3}


def test_folder_without_snapshots_gives_none(tmp_path):
    assert read(tmp_path / "none") == (None, [])
    assert list(tmp_path.iterdir()) == []


def test_newest_and_the_best_are_kept(tmp_path):
    for steps in ((1, 2, 3), (4, 5)):  # a second process knows what the first saved
        with Snapshots(tmp_path, kept=2) as kept:
            for step in steps:
                accuracy = {1: 0.3, 2: 0.9, 3: None, 4: 0.5, 5: 0.1}[step]
                kept.save(step, state(step), NOTES, accuracy)
    assert snapshots.steps(tmp_path) == [2, 4, 5]


def test_step_that_is_there_is_not_saved_again(folder):
    with Snapshots(folder, kept=3) as kept:
        kept.save(3, state(7), NOTES)
    assert bits(read(folder)[0].state) == bits(state(3))


def test_saved_state_is_a_copy(tmp_path):
    own = np.zeros(3, np.float32)
    with Snapshots(tmp_path, kept=1) as kept:
        kept.save(1, {"own": own}, NOTES)
        own += 1
    found, _ = read(tmp_path, lambda notes: {"own": jax.ShapeDtypeStruct((3,), "f4")})
    np.testing.assert_array_equal(found.state["own"], np.zeros(3))


# Orbax closes its event loop while reads beside the one that failed are under way
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_flipped_bit_anywhere_gives_the_same_or_the_one_before(folder):
    files = [path for path in (folder / "3").rglob("*") if path.stat().st_size]
    files = [path for path in files if path.is_file()]
    passed_over = 0
    for path in files:
        content = path.read_bytes()
        flipped = bytearray(content)
        flipped[len(content) // 2] ^= 4
        path.write_bytes(flipped)
        found, heard = read(folder)
        assert bits(found.state) == bits(state(found.step))
        if found.step == 2:
            passed_over += 1
            (line,) = heard
            assert line.startswith("checkpoint of step 3 is damaged (")
            assert "\n" not in line
            (folder / "damaged-3").rename(folder / "3")
        path.write_bytes(content)
    assert 0 < passed_over < len(files)
    assert read(folder)[0].step == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_step_of_a_damaged_one_is_saved_again(folder):
    (folder / "3" / "state" / "manifest.ocdbt").write_bytes(b"")
    with Snapshots(folder, kept=3) as kept:
        assert kept.newest(shapes, lambda line: None).step == 2
        kept.save(3, state(8), NOTES)
    assert bits(read(folder)[0].state) == bits(state(8))


def test_notes_that_were_changed_are_damage(folder):
    path = folder / "3" / "record" / "metadata"
    document = json.loads(path.read_text())
    document["notes"]["step"] = 4
    path.write_text(json.dumps(document))
    found, heard = read(folder)
    assert found.step == 2
    assert "its notes differ from their digest" in heard[0]


def test_nothing_whole_is_told_of(folder):
    for step in (1, 2, 3):
        (folder / str(step) / "record" / "metadata").write_text("{")
    found, heard = read(folder)
    assert found is None
    assert heard[-1] == "no whole checkpoint is left: it begins anew"
    assert len(heard) == 4


def test_state_of_something_else_is_refused(folder):
    with pytest.raises(ValueError, match="expected the 1 arrays of this run's"):
        read(folder, lambda notes: {"other": jax.ShapeDtypeStruct((), "f4")})
    assert snapshots.steps(folder) == [1, 2, 3]


# a writer of Orbax's that fails late finds its event loop closed
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_full_disk_is_told_in_a_line_and_the_last_whole_one_stays(folder):
    """Writing beyond a limit of the process fails as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with (
        pytest.raises(ValueError) as caught,
        Snapshots(folder, kept=3) as kept,
    ):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
            kept.save(4, state(4, size=100_000), NOTES)
            kept.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    line = str(caught.value)
    assert line.startswith(f"{folder}: a checkpoint cannot be written (")
    assert line.endswith("; that of step 3 is whole; make room")
    assert "\n" not in line
    assert bits(read(folder)[0].state) == bits(state(3))
    with Snapshots(folder, kept=3) as kept:  # there is room again
        kept.save(4, state(4), NOTES)
    assert read(folder)[0].step == 4
    gc.collect()  # what the failed writers left behind is seen here, not elsewhere


# --- one process at a time, until it is told to stop ---------------------------------


def test_second_process_on_a_folder_is_refused(tmp_path):
    with run_folder.held(tmp_path):
        number = (tmp_path / "lock").read_text().strip()
        with (
            pytest.raises(ValueError, match=f"nobody works on, process {number} does"),
            run_folder.held(tmp_path),
        ):
            pass
        assert (tmp_path / "lock").read_text().strip() == number
    with run_folder.held(tmp_path):
        pass


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_wish_to_stop_waits_while_steps_are_taken(name, code):
    number, done = signal.Signals[name], []
    before = signal.getsignal(number)
    with (
        stopping.Stop().listening() as stop,
        pytest.raises(stopping.Stopped) as caught,
        stop.held(),
    ):
        stop.obey()
        signal.raise_signal(number)
        done.append(stop.is_asked)
        stop.obey()
        done.append("not reached")
    assert done == [True]
    assert caught.value.exit_code == code
    assert signal.getsignal(number) == before


def test_wish_to_stop_is_heard_at_once_otherwise():
    with stopping.Stop().listening(), pytest.raises(stopping.Stopped):
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("not reached")


def test_wish_to_stop_is_heard_when_the_last_step_is_taken():
    done = []
    with stopping.Stop().listening() as stop, pytest.raises(stopping.Stopped):
        with stop.held():
            signal.raise_signal(signal.SIGTERM)
            done.append("last step")
        done.append("not reached")
    assert done == ["last step"]


def test_second_wish_does_not_wait():
    with (
        stopping.Stop().listening() as stop,
        pytest.raises(stopping.Stopped),
        stop.held(),
    ):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("not reached")
