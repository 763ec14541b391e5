"""Settings that are written down: `uk.toml`, what an image carries of it, and which of two counts.

`keys`, `shapes`, `document` and `files` are part of a link with `UKCC_CONFIG`, and import the
standard library only. The page for users is docs/settings.md.
"""
