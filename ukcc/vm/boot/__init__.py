"""What init is told, and which files a run adds to those of the image."""
