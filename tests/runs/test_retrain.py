"""Trained networks of a run: trials, starts from the supernet, files."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from nas_jax import cli
from nas_jax.networks import checkpoint
from nas_jax.runs import finalists, run_folder, setup
from nas_jax.spaces import architecture, builders


@pytest.mark.slow
def test_of_the_trials_the_one_that_wins_every_rung_is_kept(
    home, arguments, quick, tmp_path
):
    folder = tmp_path / "run"
    words = ["--search.trials", "5", "--search.max-slack", "1", "--out", str(folder)]
    assert cli.main([*arguments, *words]) == 0
    result = json.loads((folder / "result.json").read_text())
    compared = json.loads((folder / "finalists.json").read_text())
    tried = [one for one in compared if "trial" in one]
    # the five with the best accuracy by the supernet were trained
    accuracies = [one["valid_accuracy"] for one in compared]
    by_accuracy = sorted(range(len(compared)), key=lambda place: -accuracies[place])
    order = {one["trial"]: compared.index(one) for one in tried}
    assert order == {
        f"trial_{place}": rank for place, rank in enumerate(by_accuracy[:5], start=1)
    }
    # the best two of the first rung, and of these the better one of the second
    assert sorted(one["rung"] for one in tried) == [1] * 3 + [2] * 2
    losses = {one["trial"]: one["trained_valid_loss"] for one in tried}
    last = {one["trial"] for one in tried if one["rung"] == 2}
    best = min(last, key=losses.__getitem__)
    derivation_found = result["derivation"]
    assert derivation_found["trial"] == best
    assert derivation_found["trials"] == 5
    # an independent loss of what the last rung saved
    model = checkpoint.load_model(folder / "trials" / f"{best}_rung_2")
    valid = setup.load(run_folder.read_experiment(folder)).splits["valid"].evaluated()
    images, labels = valid.take(np.arange(len(valid.labels)))
    logits = np.asarray(model(np.asarray(images)), np.float64)
    log_probs = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    loss = -log_probs[np.arange(len(labels)), np.asarray(labels)].mean()
    assert loss == pytest.approx(losses[best], rel=1e-4)
    searched = builders.build(run_folder.read_experiment(folder).space)
    path = architecture.path_of(searched, model.architecture).tolist()
    assert path == next(one["path"] for one in tried if one["trial"] == best)
    # it was trained from scratch and in full, as all that it is held against
    found = checkpoint.load_model(folder / "checkpoints" / "searched")
    kept = found.architecture
    assert kept == dataclasses.replace(model.architecture, name="searched")
    jax.tree.map(np.testing.assert_array_equal, found.params, model.params)
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    curves = {}
    for line in lines:
        if line["phase"] == "train":
            curves.setdefault(line.pop("network"), []).append(line)
    full = run_folder.read_experiment(folder).train.epochs
    assert len(curves["searched"]) == len(curves["random_1"]) == full
    assert curves["searched"] == curves[f"{best}_rung_2"]
    for place in range(1, 6):
        assert len(curves[f"trial_{place}_rung_1"]) == max(1, round(full / 4))
    # and `derive` finds it again from the files alone
    network, again = finalists.derive_run(folder)
    assert network == kept
    assert again == derivation_found
    assert "of 5 compared by trainings the one with" in finalists.line(again)


@pytest.mark.slow
def test_searched_network_may_go_on_from_the_weights_of_the_supernet(
    home, arguments, quick, tmp_path
):
    """Kept weights are saved, and trained on: a vanishing rate leaves them as they are.

    The others begin afresh.
    """
    words = (
        "--train.start supernet --train.lr 1e-9 --train.weight-decay 0 "
        "--random-networks 0"
    )
    folder = tmp_path / "run"
    assert cli.main([*arguments, *words.split(), "--out", str(folder)]) == 0
    kept = checkpoint.load_model(folder / "kept")
    trained = checkpoint.load_model(folder / "checkpoints" / "searched")
    assert kept.architecture == trained.architecture
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        *(kept.params, trained.params),
    )
    baseline = checkpoint.load_model(folder / "checkpoints" / "baseline")
    assert not np.allclose(
        kept.params["stem"]["kernel"], baseline.params["stem"]["kernel"]
    )


def test_train_makes_a_deleted_network_again(copy, result, capsys, quick):
    shutil.rmtree(copy / "checkpoints" / "searched")
    leftover = copy / "checkpoints" / ".searched.partial"  # of a stopped save
    leftover.mkdir()
    assert cli.main(["train", str(copy)]) == 0
    accuracy = result["networks"]["searched"]["test_accuracy"]
    assert f"test accuracy {accuracy:.1%}" in capsys.readouterr().out
    assert not leftover.exists()
    checkpoint.load_model(copy / "checkpoints" / "searched")
    assert cli.main(["report", str(copy)]) == 0
    assert cli.main(["train", str(copy)]) == 2
    assert "this network is trained already" in capsys.readouterr().err


def test_train_of_an_architecture_file_makes_a_folder_of_its_own(
    finished, home, tmp_path, capsys
):
    found, out = str(finished / "architecture.json"), tmp_path / "trained"
    words = ["train", found, str(home / "small.py"), "--train.epochs", "1"]
    assert cli.main([*words, "--out", str(out), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["folder"] == str(out / "checkpoints" / "searched")
    assert answer["majority_share"] == 0.1 and len(answer["confusion"]) == 10
    assert checkpoint.load_model(out / "checkpoints" / "searched")
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    assert cli.main([*words, "--out", str(out)]) == 2
    assert "expected a folder that does not exist yet" in capsys.readouterr().err


def test_loaded_network_refuses_images_of_another_shape(finished):
    model = checkpoint.load_model(finished / "checkpoints" / "searched")
    with pytest.raises(
        ValueError, match=r"expected shape \[batch, 8, 8, 1\] .* got \[2, 8, 8, 3\]"
    ):
        model(np.zeros((2, 8, 8, 3), np.float32))


def test_flipped_bit_in_the_weights_is_found(copy):
    folder = copy / "checkpoints" / "searched"
    refused = 0
    files = [path for path in (folder / "weights").rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    for place in range(0, len(content), max(1, len(content) // 12)):
        flipped = bytearray(content)
        flipped[place] ^= 4
        largest.write_bytes(flipped)
        try:
            damaged = checkpoint.load_model(folder)
        except ValueError as error:
            assert "\n" not in str(error)
            assert str(folder) in str(error)
            refused += 1
        else:  # the bit belonged to no array: the weights are what they were
            assert checkpoint.digests(
                {"params": damaged.params, "batch_stats": damaged.batch_stats}
            ) == json.loads((folder / "digests.json").read_text())
    assert refused > 0
    largest.write_bytes(content)
    checkpoint.load_model(folder)


def test_wrong_digest_names_the_array(copy):
    folder = copy / "checkpoints" / "searched"
    digests = json.loads((folder / "digests.json").read_text())
    first = next(iter(digests))
    (folder / "digests.json").write_text(json.dumps(digests | {first: "0"}))
    with pytest.raises(ValueError) as caught:
        checkpoint.load_model(folder)
    assert f"1 arrays differ from their digest, first {first}" in str(caught.value)


def test_save_does_not_overwrite_a_network(copy):
    folder = copy / "checkpoints" / "searched"
    model = checkpoint.load_model(folder)
    with pytest.raises(ValueError, match="exists; expected a new folder"):
        checkpoint.save_model(folder, model)
    checkpoint.load_model(folder)
