"""Pictures of an image: what executes until `main`, and what its bytes are."""
