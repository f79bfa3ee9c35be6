"""The verbs `recommend` and `guidelines ...`: what sizes of network tasks needed."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas_jax.cli import terminal
from nas_jax.cli.terminal import Answer
from nas_jax.config import files, shipped
from nas_jax.guidelines.records import Descriptors
from nas_jax.training import host


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

    def descriptors(self) -> Descriptors:
        """Raises `ValueError` for what is missing or out of range."""
        needed = ("input_size", "channels", "classes", "images_per_class")
        flags = [f"--{name.replace('_', '-')}" for name in needed]
        for name, flag in zip(needed, flags, strict=True):
            if getattr(self, name) is None:
                raise ValueError(
                    f"recommend: expected DATA, or {', '.join(flags)}; got no {flag}"
                )
        stated = dataclasses.asdict(self)
        return Descriptors(**stated | {"balance": stated["balance"] or 1.0})


@dataclass(frozen=True)
class Wanted:
    """What the network shall do."""

    device: str | None = None
    """a device that records know"""
    max_ms: float | None = None
    """latency at most, on the device"""
    accuracy: float | None = None
    """test accuracy, a fraction"""
    tolerance: float | None = None
    """what may be lost against the largest network (default: 0.01)"""
    chance: float | None = None
    """how sure the answer shall be (default: 0.85)"""


@dataclass(frozen=True)
class Store:
    """Where the records are."""

    db: Path | None = None
    """the store (default: NAS_JAX_GUIDELINES, or the user's folder for data)"""

    @property
    def file(self) -> Path:
        return self.db or self.module.default_file()

    @property
    def module(self) -> Any:
        """Imported when a verb runs."""
        from nas_jax.guidelines import store

        return store

    def everything(self) -> list[Any]:
        """The user's records and the shipped ones."""
        return self.module.everything(self.file)

    def kinds(self) -> list[Any]:
        """The same by kind of task."""
        from nas_jax.guidelines import kinds

        return list(kinds.grouped(self.everything()))

    def add(self, found: list[Any]) -> Answer:
        """Adds records."""
        new = self.module.add(self.file, found)
        numbers = {"new": new, "records": len(found), "store": str(self.file)}
        text = f"{new} of {len(found)} records were new: {self.file}"
        return Answer(numbers, text)


MEASURED, THE_BEST, USERS = Task(), Wanted(), Store()


def recommend(
    data: str | None = None,
    task: Task = MEASURED,
    wanted: Wanted = THE_BEST,
    store: Store = USERS,
) -> Answer:
    """The size of network that a task needs, by what others needed.

    Args:
      data: an .npz file with images [N H W C] and labels [N], or an experiment
    """
    from nas_jax.cli import guidelines_answers as answers
    from nas_jax.guidelines import advice

    wish = advice.Wish(**_given(wanted))
    if data is None:
        descriptors = task.descriptors()
    elif stated := _given(task):
        raise ValueError(
            f"recommend {data}: expected DATA or a stated task, got both; leave out "
            f"--{next(iter(stated)).replace('_', '-')}"
        )
    else:
        descriptors = _measured(data)
    answer = advice.advise(store.kinds(), descriptors, wish)
    return Answer(answer, answers.text(answer))


def _given(options: Task | Wanted) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if value is not None}


def _measured(name: str) -> Descriptors:
    # measuring wants images, and those come with JAX: a stated task answers sooner
    from nas_jax.guidelines import difficulty, from_run

    if name.endswith(".npz"):
        return difficulty.measure(difficulty.load(Path(name)))
    return difficulty.measure(from_run.trained_on(shipped.load_experiment(name)))


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

    found = store.module.read(source)
    for number, record in enumerate(found):
        where = f"{source}, record {number}"
        records.check(record, where)
        records.check_counts(record, where)
    return store.add(found)


def export(file: Path, store: Store = USERS) -> Answer:
    """The records of the store as a JSON file.

    Args:
      file: to write
    """
    files.require_new("guidelines export", file)
    found = store.module.stored(store.file)
    store.module.write(file, found)
    text = f"{len(found)} records written: {file}"
    return Answer({"file": str(file), "records": len(found)}, text)


def list_(store: Store = USERS) -> Answer:
    """The kinds of tasks that there are records of."""
    from nas_jax.cli import guidelines_answers as answers

    found = store.kinds()
    summaries = [answers.summary(kind) for kind in found]
    return Answer({"tasks": summaries}, answers.listing(found))


def show(digest: str, store: Store = USERS) -> Answer:
    """One record.

    Args:
      digest: the beginning of its digest
    """
    found = [one for one in store.everything() if one["digest"].startswith(digest)]
    if len(found) != 1:
        raise ValueError(
            f"guidelines show {digest}: expected the beginning of one digest, it is "
            f"that of {len(found)}; `nas_jax guidelines list --json` has them"
        )
    return Answer(dict(found[0]), json.dumps(found[0], indent=1))


def check(store: Store = USERS) -> Answer:
    """How good the advice is on families of tasks that it has not seen."""
    from nas_jax.cli import guidelines_answers as answers
    from nas_jax.guidelines import judgement, records

    for record in store.everything():
        records.check(record, f"record {str(record.get('digest'))[:12]}")
    result = judgement.judge(store.kinds())
    return Answer(result, answers.judged(result))


def report(store: Store = USERS, *, out: Path = Path("guidelines.html")) -> Answer:
    """All records as one page.

    Args:
      out: the page to write
    """
    from nas_jax.guidelines import page

    page.write(out, store.kinds())
    return Answer({"page": str(out)}, str(out))


def make(*, file: Path, out: Path | None = None) -> Answer:
    """The networks behind the shipped records, trained here; stopped, it goes on.

    Args:
      file: where the trainings are kept
      out: folder to write the records to
    """
    if out is not None and not out.is_dir():
        raise ValueError(f"--out {out}: expected an existing folder")
    host.prepare()
    from benchmarks.guidelines import evidence, filing

    made, lines = evidence.make(file, terminal.Terminal()), []
    if out is not None:
        for name, found in filing.collections(file).items():
            USERS.module.write(out / name, found)
            lines.append(f"{len(found)} records written: {out / name}")
    return Answer({"made": made}, "\n".join([json.dumps(made), *lines]))


VERBS = {
    "add": add,
    "list": list_,
    "show": show,
    "export": export,
    "import": import_,
    "check": check,
    "report": report,
    "make": make,
}
