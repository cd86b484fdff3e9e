"""Plans of this beamline: what is defined here is there at the prompt and in queues."""
