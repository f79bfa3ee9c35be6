"""Shared array aliases and the letters used for their axes.

B batch · H W C image height, width, channels · L searchable layers · K candidate
operations. This module holds aliases only and imports nothing of the package.
"""

from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

# Data may still lie in host memory.
Images = Float[Array | np.ndarray, "B H W C"]
Labels = Int[Array | np.ndarray, "B"]
Logits = Float[Array, "B classes"]

Alphas = Float[Array, "L K"]
Probs = Float[Array, "L K"]
Mask = Bool[Array, "L K"]
Costs = Float[Array, "*D L K"]
Path = Int[Array, "L"]

Scalar = Float[Array, ""]
PRNGKey = Key[Array, ""]

# Nested dicts and lists of arrays; the structure belongs to the module that made it.
PyTree = Any
Metrics = dict[str, Any]

DATA_AXIS = "data"
"""Axis of a mesh of devices along which a batch is cut."""
