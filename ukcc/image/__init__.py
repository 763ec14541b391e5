"""The two-lived file: its layout, how it is packed, and what can be read back from it."""
