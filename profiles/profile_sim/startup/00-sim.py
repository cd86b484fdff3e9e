"""A simulated beamline: RE, db, panda, x, y, and plans to fly them."""

from beamfly.ipython import simulated

globals().update(simulated())
