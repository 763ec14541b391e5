"""What an image is made of, as far as it can be proved: for an SBOM, and for what the GPL asks."""
