"""Data sets of tensorflow-datasets made ready once, as ArrayRecord.

The only part that needs TensorFlow. `tfds build` would do the same, but the command
line of tensorflow-datasets 4.9.10 imports apache-beam, which it does not bring.
"""

from pathlib import Path
from typing import Any

from nas_jax.data_config import TFDS


def prepare(name: str, folder: Path, manual: Path | None) -> Path:
    """Prepares a data set, downloading what may be downloaded; returns its folder.

    Args:
      name: of tensorflow-datasets, as `imagenet2012`.
      folder: where prepared data sets lie.
      manual: folder with the archives that their owners let nobody fetch for others.

    Raises:
      ValueError: without TensorFlow, for an unknown name, and if archives are missing
        or cannot be read.
    """
    try:
        import tensorflow  # noqa: F401
    except ImportError:
        raise ValueError(
            "prepare: expected TensorFlow, which is not installed; pip install "
            "'nas_jax[prepare]', in an environment of its own if you like"
        ) from None
    import tensorflow_datasets as tfds

    name = name.removeprefix(TFDS)
    given: dict[str, Any] = {} if manual is None else {"manual_dir": manual}
    try:
        builder = tfds.builder(name, data_dir=folder, file_format="array_record")
        builder.download_and_prepare(
            download_config=tfds.download.DownloadConfig(**given)
        )
    except Exception as error:  # every builder raises its own kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"prepare {name}: expected a data set of tensorflow-datasets and its "
            f"archives, got {type(error).__name__}: {reason}"
        ) from error
    return Path(builder.data_dir)
