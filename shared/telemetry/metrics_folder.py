"""The folder in which processes that share a port keep their metrics."""

import os
from pathlib import Path

from shared.errors import SettingsError

#: The variable of prometheus_client that names the folder for multiprocess mode.
METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


def prepare_metrics_folder() -> None:
    """Create the folder if it is configured. Call it before the first import of the metrics.

    Raises:
        SettingsError: if it cannot be created or written.
    """
    if not (name := os.environ.get(METRICS_FOLDER)):
        return
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise SettingsError(f"{METRICS_FOLDER}: {name!r} cannot be created: {reason}.") from None
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise SettingsError(f"{METRICS_FOLDER}: The process cannot write to {name!r}.")
