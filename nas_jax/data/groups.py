"""Images that belong together, as pictures of one thing do, kept in one split."""

from collections.abc import Mapping, Sequence

import numpy as np

from nas_jax.data.partition import class_name

TRIES = 20
"""Orders of the groups that are tried where they hold several classes."""


def together(
    labels: np.ndarray,
    chosen: Mapping[str, np.ndarray],
    groups: np.ndarray,
    seed: int,
    names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """The splits with every group whole, of each class as many images as before.

    That is, as near as the groups allow. From the largest on, each goes to the split
    that has room for it and lacks the greatest share; single images fill up. Splits
    that divide no group stay as they are.

    Args:
      labels: of the images, `[N]`.
      chosen: indices of each split, as drawn without the groups.
      groups: of the images, `[N]`; those of one number belong together.
      seed: of what is drawn.
      names: of the classes, for errors.

    Raises:
      ValueError: if a class has too few groups for an image in every split, or none of
        `TRIES` orders of the groups gives it one.
    """
    places = np.full(len(labels), len(chosen))  # the last place is for what is left
    for place, indices in enumerate(chosen.values()):
        places[indices] = place
    _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
    if np.array_equal(places, places[first][groups]):
        return dict(chosen)
    classes, labels = np.unique(labels, return_inverse=True)
    wanted = np.zeros((len(chosen) + 1, len(classes)), int)
    np.add.at(wanted, (places, labels), 1)
    of_class = np.unique(np.stack([groups, labels]), axis=1)[1]
    groups_of, numbers = np.bincount(of_class), np.random.default_rng(seed)
    order = _largest_first(groups, first, numbers)
    for _ in range(TRIES):
        filling = _Filling(wanted, groups_of.copy(), numbers)
        for members in order:
            counts = np.unique(labels[members], return_counts=True)
            places[members] = filling.place(*counts)
        if not filling.is_without.any() or groups_of.min() < len(chosen):
            break
        numbers.shuffle(order)
    if filling.is_without.any():
        one = int(filling.is_without.any(axis=0).argmax())
        got = f"{groups_of[one]} ({np.sum(labels == one)} with these)"
        if groups_of[one] >= len(chosen):
            got += " that hang together with those of other classes in no way to divide"
        raise ValueError(
            f"{class_name(names, classes[one])}: expected at least {len(chosen)} "
            "images that are neither copies nor of one group, one for every split, got "
            f"{got}; add images or leave the class out"
        )
    found = (np.flatnonzero(places == place) for place in range(len(chosen)))
    return dict(zip(chosen, found, strict=True))


def _largest_first(
    groups: np.ndarray, first: np.ndarray, numbers: np.random.Generator
) -> list[np.ndarray]:
    """The members of each group, groups of one size in random order."""
    # by the first image of each, so that the number of a group does not matter
    drawn = numbers.permutation(len(groups))[first]
    sizes = np.bincount(groups)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(sizes)[:-1])
    return [members[group] for group in np.lexsort((drawn, -sizes))]


class _Filling:
    """Splits that fill up: what each still lacks of every class."""

    def __init__(
        self, wanted: np.ndarray, groups_left: np.ndarray, numbers: np.random.Generator
    ) -> None:
        self.numbers = numbers
        self._wanted, self._lacking = wanted, wanted.copy()
        self._groups_left = groups_left
        self.is_without = wanted > 0
        self.is_without[-1] = False

    def place(self, classes: np.ndarray, counts: np.ndarray) -> int:
        """The split that takes a group of so many images of these classes."""
        lacking, without = self._lacking[:, classes], self.is_without[:, classes]
        over = np.minimum(lacking - counts, 0).sum(axis=1)
        wanted = self._wanted[:, classes].sum(axis=1)
        share = lacking.sum(axis=1) / np.maximum(wanted, 1)
        # of a class as many groups are left as splits that have none of it
        is_last_chance = without.sum(axis=0) >= self._groups_left[classes]
        due = (without & is_last_chance).sum(axis=1)
        place = int(np.lexsort((self.numbers.random(len(due)), share, over, due))[-1])
        self._lacking[place, classes] -= counts
        self._groups_left[classes] -= 1
        self.is_without[place, classes] = False
        return place
