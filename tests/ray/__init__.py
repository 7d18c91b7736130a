"""Ray on this machine, run for real (`make test-ray`)."""
