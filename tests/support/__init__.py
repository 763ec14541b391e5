"""What several directories of tests use: samples, builders, programs that stand for others."""
