"""A machine while it runs: its process, console, streams, events, and the record of its end."""
