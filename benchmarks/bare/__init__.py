"""The second yardstick: a Django project that checks the signature of a delivery and does nothing else."""
