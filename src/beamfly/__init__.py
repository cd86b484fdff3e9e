"""Fly-scan a PandA, move EPICS motors and run scan-server scans from Bluesky.

Start with `beamfly.devices.HDFPanda` and `beamfly.plans.fly` for scans,
`beamfly.panda` for a PandA on its own, `beamfly.hdf` for the files. Importing this
package does nothing else: no socket, no thread, no environment variable is touched.
"""

from importlib.metadata import version

__version__ = version("beamfly")
