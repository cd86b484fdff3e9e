"""A PandA in software, which a client cannot tell from a box.

```
catalogue   what blocks, fields, bits and positions there are (from pandabox.json)
fields      one object per field: how its value is read, written and reported
control     bytes of a control connection in, replies out
```

Nothing here opens a socket or reads a clock, except `server`.
"""
