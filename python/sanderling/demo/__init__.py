"""What `make run` runs: from recordings to a verified board folder and a report."""
