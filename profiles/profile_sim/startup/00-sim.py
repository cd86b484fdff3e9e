"""A simulated beamline: RE, db, devices, and plans to fly and to step them."""

from os import environ

from beamfly.ipython import simulated

globals().update(simulated(environ.get("BEAMFLY_DATA", "data")))
