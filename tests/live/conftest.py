"""A PandA to fly with."""

from flying_fixtures import RE, hand, panda, sim

__all__ = ["RE", "hand", "panda", "sim"]
