"""What a run says when it fails: crashes, hangs, lack of memory, kernel panics (docs/run.md)."""
