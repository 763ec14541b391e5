"""ukcc: a drop-in compiler whose executables are Linux processes and unikernels alike."""

__version__ = "0.1.0"
