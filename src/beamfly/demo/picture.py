"""A map as a PNG."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def draw_map(x: Array, y: Array, values: Array, path: Path) -> Path:
    """Draw what was measured where.

    Args:
        x: Horizontal positions in mm, shape (points,).
        y: Vertical positions in mm, same shape.
        values: Photons at those, same shape.
        path: Of the PNG to write.

    Returns:
        The path.
    """
    # imported here: it takes a second, and a headless machine needs a backend chosen
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(6, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Any = figure.add_subplot()
    mesh = axes.tripcolor(x, y, values, shading="flat", cmap="viridis")
    figure.colorbar(mesh, label="photons per point")
    axes.set(
        aspect="equal",
        xlabel="x (mm)",
        ylabel="y (mm)",
        title=f"{len(x)} points in one flight",
    )
    figure.savefig(path, dpi=120)
    return path
