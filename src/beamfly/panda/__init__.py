"""PandABlocks: talk to a PandA's control port and receive what its PCAP captures.

Start with a client, `asyncio.AsyncioClient` or `blocking.BlockingClient`, and give
its `send` what is in `commands`; answers are described in `responses`. Its `data`
yields frames, `hdf` writes them to files. `tables` turns table words into columns.
`connections` has the same without sockets, for those who bring their own.
"""
