"""Ports: applications built by uk-gcc from their sources, as recipes say (docs/porting.md).

recipe.py: what `port.toml` may say; sources.py fetches; place.py: where and under which digest;
build.py builds; images.py packs; machine.py and trial.py test; run.py: many, in order; results.py
keeps what was found; table.py writes docs/ports.md; skeleton.py begins a recipe.
"""
