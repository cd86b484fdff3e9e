"""A PandA in software, which a client cannot tell from a box.

```
server      SimulatedPandA, serve_in_thread: a PandA on two TCP ports
core        PandaCore: the same without sockets and clock
motors      SimulatedMotor: what turns an encoder
faults      what can be made to go wrong
replay      Replay: a recording served in place of what PCAP captures

catalogue   what blocks, fields, bits and positions there are (from pandabox.json)
settings    one object per field (fields, scaled_, bus_, table_field), and metadata
control     bytes of a control connection in, replies out (system, changes)
capture     arm, disarm, status (layout, recorder, sampler)
data_port   a line of options in, acquisitions out (options, formats, ring)
engine      time, in which all blocks are evaluated (block, wiring, traces, machine)
logic, counting, pulses, sequencer, compare, generator, encoder, pcap    the blocks
```

Nothing here opens a socket or reads a clock, except `server` and `sockets`.
"""
