"""The networks of a machine, and the host's end of them (docs/network.md)."""
