"""Devices for records and areaDetector plugins, under PyEpics' names."""
