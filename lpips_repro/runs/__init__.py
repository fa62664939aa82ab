"""What training and pretraining share: a run's folder, name, checkpoints, signals, sums, logs and order of examples."""
