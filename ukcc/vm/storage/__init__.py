"""What a machine has of the host's files: disks, and shared directories."""
