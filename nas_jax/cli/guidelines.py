"""The verbs `recommend` and `guidelines ...`: what sizes of network tasks needed."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_jax.cli.terminal import Answer, aligned
from nas_jax.config import files, shipped


@dataclass(frozen=True)
class Task:
    """The task, stated instead of measured."""

    input_size: int | None = None
    """side of the images in pixels"""
    channels: int | None = None
    """1 for grey, 3 for colour"""
    classes: int | None = None
    """number of classes"""
    images_per_class: float | None = None
    """training images per class"""
    balance: float | None = None
    """rarest class over commonest (default: 1)"""
    linear_accuracy: float | None = None
    """of a linear model, if known"""
    tiny_accuracy: float | None = None
    """of the tiny fixed network, if known"""

    def descriptors(self) -> Any:
        """Raises `ValueError` for what is missing or out of range."""
        from nas_jax.guidelines.records import Descriptors

        needed = ("input_size", "channels", "classes", "images_per_class")
        missing = [
            f"--{name.replace('_', '-')}"
            for name in needed
            if getattr(self, name) is None
        ]
        if missing:
            raise ValueError(
                f"recommend: expected DATA or a stated task, got no "
                f"{', '.join(missing)}; as in nas_jax recommend --input-size 32 "
                "--channels 3 --classes 10 --images-per-class 500"
            )
        return Descriptors(**vars(self) | {"balance": self.balance or 1.0})


@dataclass(frozen=True)
class Demand:
    """What the network has to achieve."""

    device: str | None = None
    """a device of the records"""
    max_ms: float | None = None
    """latency at most, on the device"""
    accuracy: float | None = None
    """test accuracy, a fraction"""
    tolerance: float | None = None
    """accuracy that may be lost against the largest network (default: 0.01)"""
    chance: float | None = None
    """how sure the answer has to be (default: 0.8)"""


@dataclass(frozen=True)
class Store:
    """Where the records are."""

    db: Path | None = None
    """the store (default: NAS_JAX_GUIDELINES, or the user's folder for data)"""

    @property
    def file(self) -> Path:
        from nas_jax.guidelines import store

        return self.db or store.default_file()

    def everything(self) -> list[Any]:
        """The user's records and the shipped ones."""
        from nas_jax.guidelines import store

        return store.everything(self.file)

    def kinds(self) -> list[Any]:
        """The same by kind of task."""
        from nas_jax.guidelines import kinds

        return list(kinds.grouped(self.everything()))

    def add(self, records: list[Any]) -> Answer:
        """Adds records; the answer says how many were new."""
        from nas_jax.guidelines import store

        new, total = store.add(self.file, records), len(records)
        numbers = {"new": new, "records": total, "store": str(self.file)}
        return Answer(numbers, f"{new} of {total} records were new: {self.file}")


MEASURED, THE_BEST, USERS = Task(), Demand(), Store()


def recommend(
    data: str | None = None,
    task: Task = MEASURED,
    demand: Demand = THE_BEST,
    store: Store = USERS,
) -> Answer:
    """The size of network that a task needs, by what others needed.

    Args:
      data: an .npz file with images [N H W C] and labels [N], or an experiment
    """
    from nas_jax.guidelines import advice

    wish = advice.Wish(**_stated(demand))
    if data is None:
        descriptors = task.descriptors()
    elif stated := _stated(task):
        raise ValueError(
            f"recommend {data}: expected DATA or a stated task, got both; leave out "
            f"--{next(iter(stated)).replace('_', '-')}"
        )
    else:
        # measuring needs images, and those come with JAX: a stated task answers sooner
        from nas_jax.guidelines import difficulty, from_run
        from nas_jax.runs import setup
        from nas_jax.training.devices import PLAIN

        descriptors = difficulty.measure(
            difficulty.load(Path(data))
            if data.endswith(".npz")
            else from_run.trained_on(setup.load(shipped.load_experiment(data), PLAIN))
        )
    answer = advice.advise(store.kinds(), descriptors, wish)
    return Answer(answer, _advice(answer))


def _stated(options: Task | Demand) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if value is not None}


def add(run: Path, store: Store = USERS) -> Answer:
    """The networks of a finished run, filed in the store.

    Args:
      run: run folder
    """
    from nas_jax.guidelines import from_run

    return store.add(from_run.of_run(run))


def import_(source: Path, store: Store = USERS) -> Answer:
    """The records of a JSON file, checked and added to the store.

    Args:
      source: what `guidelines export` wrote
    """
    from nas_jax.guidelines import records
    from nas_jax.guidelines.store import read

    imported = read(source)
    for number, record in enumerate(imported):
        where = f"{source}, record {number}"
        records.check(record, where)
        records.check_counts(record, where)
    return store.add(imported)


def export(file: Path, store: Store = USERS) -> Answer:
    """The records of the store as a JSON file.

    Args:
      file: to write
    """
    from nas_jax.guidelines.store import stored, write

    files.require_new("guidelines export", file)
    records = stored(store.file)
    write(file, records)
    text = f"{len(records)} records written: {file}"
    return Answer({"file": str(file), "records": len(records)}, text)


def list_(store: Store = USERS) -> Answer:
    """The kinds of tasks that there are records of."""
    header = ("task", "source", "side", "classes", "per class", "networks")
    rows: list[tuple[str, ...]] = [(*header, "params", "accuracy")]
    tasks = []
    for kind in store.kinds():
        networks = [
            {
                "record": point.record["digest"],
                "params": point.params,
                "macs": point.macs,
                "accuracy": point.accuracy,
            }
            for point in kind.points
        ]
        task, accuracies = kind.descriptors, [point.accuracy for point in kind.points]
        tasks.append(
            {
                "family": kind.family,
                "task": kind.name,
                "descriptors": dataclasses.asdict(task),
                "networks": networks,
            }
        )
        rows.append(
            (
                *(kind.name, kind.family, str(task.input_size), str(task.classes)),
                *(f"{task.images_per_class:g}", str(len(networks))),
                f"{kind.points[0].params:,} to {kind.largest.params:,}",
                f"{min(accuracies):.1%} to {max(accuracies):.1%}",
            )
        )
    return Answer({"tasks": tasks}, aligned(rows))


def show(digest: str, store: Store = USERS) -> Answer:
    """One record.

    Args:
      digest: the beginning of its digest
    """
    records = [one for one in store.everything() if one["digest"].startswith(digest)]
    if len(records) != 1:
        raise ValueError(
            f"guidelines show {digest}: expected the beginning of one digest, it is "
            f"that of {len(records)}; `nas_jax guidelines list --json` has them"
        )
    return Answer(dict(records[0]), json.dumps(records[0], indent=1))


def check(store: Store = USERS) -> Answer:
    """How good the advice is on sources of pictures that it has not seen."""
    from nas_jax.guidelines import judgement, records

    for record in store.everything():
        records.check(record, f"record {str(record.get('digest'))[:12]}")
    result = judgement.judge(store.kinds())
    asked = result["wanted"]
    low, high = asked["coverage"]
    verdicts = (
        ("hit rate", "hit_rate", asked["hit_rate"], 1.0),
        ("median saving", "median_saving", asked["median_saving"], 1.0),
        ("inside the interval", "coverage", low, high),
    )
    lines = [aligned(judgement.table(result)), "", aligned(judgement.sources(result))]
    for name, key, least, most in verdicts:
        met = "as" if least <= result[key] <= most else "NOT as"
        lines.append(f"{name}: {result[key]:.0%}, {met} asked for")
    lines.append(f"not answered, nothing near: {result['not_answered']}")
    return Answer(result, "\n".join(lines))


def report(store: Store = USERS, *, out: Path = Path("guidelines.html")) -> Answer:
    """All records as one page.

    Args:
      out: the page to write
    """
    from nas_jax.guidelines import page

    page.write(out, store.kinds())
    return Answer({"page": str(out)}, str(out))


def _advice(answer: dict[str, Any]) -> str:
    """A recommendation, most important first."""
    evidence = answer["evidence"]
    nearest = "; ".join(
        f"{one['task']} at {one['distance']:.2f} ({one['networks']} networks)"
        for one in evidence["nearest"]
    )
    if answer["basis"] == "no evidence near this task":
        return (
            "no evidence near this task: no size is recommended\n"
            f"nearest: {nearest or 'there are no records'}"
        )
    stands_on = (
        f"evidence nearby: tasks {evidence['kinds']}, sources {evidence['families']}, "
        f"networks {evidence['networks']}; by {answer['basis']}\n"
        f"nearest: {nearest}"
    )
    if answer["size"] is None:
        return f"{answer['reason']}\n{stands_on}"
    size, start = answer["size"], answer["start"]
    interval = (
        f"{answer['chance']:.0%} interval"
        if answer["basis"] == "regression"
        else "of one network, 95 % by its test images: other tasks may differ by more"
    )
    lines = [
        f"size: {size['params']:,} parameters ({size['params_low']:,} to "
        f"{size['params_high']:,}), {size['macs']:,} MACs at {size['input_size']} "
        f"pixels, {size['depth']} blocks, up to {size['width']} channels",
        f"expected accuracy: {answer['expected_accuracy']:.1%} "
        f"({answer['accuracy_low']:.1%} to {answer['accuracy_high']:.1%}, {interval})",
        f"saving: {answer['saving']:.0%} of the largest network's "
        f"{answer['largest_params']:,} parameters",
        f"start from: {start['architecture']['name']} on {start['task']}, "
        f"{start['accuracy_there']:.1%} there, {start['source']}, record "
        f"{start['record'][:12]}",
        *(
            f"  {one['ms']:g} ms on {one['device']}, batch {one['batch']}, "
            f"{one['source']}"
            for one in start["latencies"]
        ),
    ]
    asked = answer["wish"]["chance"]
    if answer["basis"] == "regression" and answer["chance"] < asked:
        lines.append(
            f"chance: {answer['chance']:.0%}, the most that pictures of "
            f"{evidence['families']} sources support; {asked:.0%} was asked for"
        )
    return "\n".join([*lines, stands_on])


VERBS = {
    "add": add,
    "list": list_,
    "show": show,
    "export": export,
    "import": import_,
    "check": check,
    "report": report,
}
