"""Settings of the simulated beamline's sessions."""

c = get_config()  # noqa: F821 - IPython provides it
c.TerminalIPythonApp.display_banner = False
