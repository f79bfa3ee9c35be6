"""Which of some names, of folders or in a column, stands for which split of a user's.

Train, training_set, TRAIN_Images and seg_train are the training pictures, val and dev
the validation, eval and hold-out the test. What else a name says has to be equal in
all of them, so that classes named training_shoe and test_tube stay classes.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

from nas_jax.config.data import DataConfig
from nas_jax.config.naming import few

T = TypeVar("T")
TRAIN, VALID, TEST = "train", "valid", "test"
_WORDS = {
    TRAIN: ("train", "training", "trn", "trainval", "learn", "learning"),
    VALID: ("val", "valid", "validation", "validate", "dev", "devel", "development"),
    TEST: ("test", "tests", "testing", "tst", "eval", "evaluation", "holdout"),
}
_FILLING = (
    r"(?:sub|data)?sets?|data|splits?|images?|imgs?|pictures?|pics?|photos?|samples?|"
    r"files?|labels?|annotations?|metadata|list|weights|alphas"
)
_SPLIT = {
    split: re.compile(rf"(?:{'|'.join(words)})(?:{_FILLING})?")
    for split, words in _WORDS.items()
}


def spelled(name: str) -> tuple[str, tuple[str, ...]] | None:
    """The split that a name stands for, and the other words in it; None for no split.

    >>> spelled("Training_Set"), spelled("seg_train"), spelled("trains")
    (('train', ()), ('train', ('seg',)), None)
    """
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    parted = re.sub(r"h[eo]ld\W?_?out", "holdout", parted)
    splits, rest = [], []
    for word in re.findall(r"[^\W\d_]+", parted):
        found = [split for split, one in _SPLIT.items() if one.fullmatch(word)]
        if found:
            splits += found
        elif not re.fullmatch(_FILLING, word):
            rest.append(word)
    if splits == [TRAIN, VALID]:  # both together, as trainval
        splits = [TRAIN]
    return (splits[0], tuple(rest)) if len(splits) == 1 else None


def named(config: DataConfig) -> dict[str, str]:
    """The names that a configuration gives to the splits, where they are not usual."""
    given = {TRAIN: config.train_split, VALID: config.valid_split}
    if config.test_split != config.train_split:  # else the test is drawn from it
        given[TEST] = config.test_split
    return {split: name for split, name in given.items() if name not in (None, split)}


def require(named: Mapping[str, str], names: Collection[str], where: str) -> None:
    """Raises `ValueError` if a split that the configuration names is missing."""
    for split, name in named.items():
        if name not in names:
            raise ValueError(
                f"{where}: expected {name!r}, which data.{split}_split names, got "
                f"{', '.join(sorted(names)) or 'none'}; name one of these"
            )


def assigned(names: Collection[str], config: DataConfig, where: str) -> dict[str, str]:
    """The name of each split among those there are, for the splits that are there.

    A name in the configuration comes first, then the split's own, then one that is
    spelled in another usual way. Names that are missing are for `require` to tell.

    Args:
      names: of folders, or of files without suffix.
      config: whose `train_split`, `valid_split` and `test_split` count.
      where: for errors.

    Raises:
      ValueError: if several names stand for one split.
    """
    given = named(config)
    found = {split: name for split, name in given.items() if name in names}
    usual = spellings([name for name in names if name not in found.values()])
    for split, one in usual.items():
        if split in given:
            continue
        if split in one:
            one = [split]
        if len(one) > 1:
            raise ValueError(
                f"{where}: expected one name for the split {split!r}, got "
                f"{', '.join(one)}; choose by --data.{split}-split"
            )
        (found[split],) = one
    if config.test_split == config.train_split:
        found.pop(TEST, None)
    return found


def spellings(names: Iterable[str]) -> dict[str, list[str]]:
    """The names that stand for each split, if what else they say is the same.

    >>> spellings(["seg_train", "seg_test", "seg_pred"])
    {'test': ['seg_test'], 'train': ['seg_train']}
    >>> spellings(["test_tube", "beaker"])
    {}
    """
    read = {name: one for name in sorted(names) if (one := spelled(name))}
    others = {rest for _, rest in read.values()}
    rest = next(iter(others)) if len(others) == 1 and len(read) > 1 else ()
    found: dict[str, list[str]] = {}
    for name, (split, words) in read.items():
        if words == rest:
            found.setdefault(split, []).append(name)
    return found


def settled(
    found: Mapping[str, T], config: DataConfig
) -> tuple[dict[str, T], tuple[str, ...]]:
    """What there is of each split, `train` first, and a line about unusual splits.

    Without images to test on, those of a validation are the test.

    Args:
      found: what there is, by split.
      config: whose `train_split`, `valid_split` and `test_split` count.

    Raises:
      ValueError: if there is nothing to train on, or a split that is named is missing.
    """
    if TRAIN not in found:
        raise ValueError(
            f"{config.path}: expected pictures to train on, got those of "
            f"{few(found) or 'no split'}; name them by --data.train-split"
        )
    for split, name in named(config).items():
        if split not in found:
            raise ValueError(
                f"{config.path}: expected pictures of {name!r}, which "
                f"data.{split}_split names, got those of {few(found)}; name another"
            )
    left = dict(found)
    notes: tuple[str, ...] = ()
    is_drawn = config.test_split == config.train_split
    if is_drawn and left.pop(TEST, None):
        notes = ("pictures of the test are not used: data.test_split is that to train",)
    is_usual = config.valid_split is None and not is_drawn
    if is_usual and VALID in left and TEST not in left:
        left[TEST] = left.pop(VALID)
        notes = (
            "the validation pictures are the test, for which there are no others; "
            "those to watch are drawn from the training pictures",
        )
    return {
        split: left[split] for split in (TRAIN, VALID, TEST) if split in left
    }, notes
