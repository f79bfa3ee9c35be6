"""Labels or groups that stand in the names of files: cat.0.jpg, patient_7_03.png.

A pattern is a template, {label}_{number}.jpg, or a regular expression with a group
named label; or with {group}, and named group. It has to match the whole name, with its
suffix or without. A pattern with a / is held against the path below the data set.
"""

import re
from collections import Counter
from collections.abc import Sequence

from nas_jax.config.naming import few

_PARTS = {
    "{label}": "(?P<label>[^/]+)",
    "{split}": "(?P<split>[^/]+?)",
    "{number}": r"(?<![0-9])[0-9]+(?![0-9])",
    "{}": "[^/]+?",
}
USUAL = (
    *("{label}.{number}", "{label}_{number}", "{label}-{number}", "{label} {number}"),
    *("{label} ({number})", "{label}({number})", "{label}{number}"),
    *("{number}.{label}", "{number}_{label}", "{number}-{label}", "{number} {label}"),
    *("{label}__{}", "{label}_{}", "{label}-{}", "{label}.{}", "{label} {}"),
    *("{}_{label}", "{}-{label}", "{}.{label}"),
)
"""Templates that are tried on names to propose one, in this order."""


def compiled(pattern: str, wanted: str = "label") -> re.Pattern[str]:
    """The regular expression of a template, or the one that is given.

    Raises `ValueError` for what is neither, or does not say what is wanted: the label
    or the group.

    >>> compiled("{label}.{number}").fullmatch("cat.0")["label"]
    'cat'
    """
    known = {f"{{{wanted}}}": f"(?P<{wanted}>[^/]+)"} | _PARTS
    try:
        if "(?P<" in pattern:
            found = re.compile(pattern)
        else:
            parts = re.split(r"(\{\w*\})", pattern)
            found = re.compile(
                "".join(
                    known[part] if part.startswith("{") else re.escape(part)
                    for part in parts
                )
            )
    except (re.error, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(
            f"data.{wanted}_pattern: expected a template of {', '.join(known)} and "
            f"text, as in {{{wanted}}}_{{number}}.jpg, or a regular expression, got "
            f"{pattern!r:.200} ({error})"
        ) from error
    if wanted not in found.groupindex:
        raise ValueError(
            f"data.{wanted}_pattern: expected {{{wanted}}} in a template, or "
            f"(?P<{wanted}>...) in a regular expression, got {pattern!r:.200}"
        )
    return found


def matched(
    pattern: re.Pattern[str], names: Sequence[str]
) -> list[re.Match[str] | None]:
    """The match of every file's name: without its suffix, or with it if none fits so.

    >>> [one["label"] for one in matched(compiled("{label}.{}"), ["cat.0.jpg"]) if one]
    ['cat']
    """
    has_folders = "/" in pattern.pattern.replace("[^/]", "")
    texts = [name if has_folders else name.split("/")[-1] for name in names]
    found = [pattern.fullmatch(re.sub(r"\.[^./]*$", "", text)) for text in texts]
    return found if any(found) else [pattern.fullmatch(text) for text in texts]


def proposal(names: Sequence[str]) -> str | None:
    """The advice to use the first usual template that names several classes, if any.

    >>> proposal(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"])
    "--data.label-pattern '{label}.{number}' would give the classes cat 2, dog 2"
    """
    for template in USUAL:
        pattern = compiled(template)
        labels = [one["label"] for one in matched(pattern, names) if one]
        counts = Counter(labels)
        if len(labels) == len(names) and 1 < len(counts) <= len(names) / 2:
            classes = few(f"{label} {count}" for label, count in counts.most_common())
            return f"--data.label-pattern '{template}' would give the classes {classes}"
    return None
