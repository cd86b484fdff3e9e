"""Interfaces of older Channel Access packages: `epicsPV`."""

from beamfly.epics.compat.epicsPV import epicsPV

__all__ = ["epicsPV"]
