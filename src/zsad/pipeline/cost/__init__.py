"""What training and predicting cost: as measured, and as counted before anything runs."""
