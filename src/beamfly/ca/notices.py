"""Lines in the log `beamfly.ca` from shells that nobody waits for.

They are rare, and the import of logging takes as long as the rest of a client's: so it
comes with the first line.
"""


def warn(text: str) -> None:
    """Something is worth a line."""
    import logging

    logging.getLogger("beamfly.ca").warning("%s", text)


def blame(error: Exception) -> None:
    """Something went wrong that nobody else is told of."""
    import logging

    logging.getLogger("beamfly.ca").error("%s", error, exc_info=error)
