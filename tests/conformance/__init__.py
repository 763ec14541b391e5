"""`make conformance`: suites that others wrote, run in booted unikernels and as Linux processes."""
