"""Code that training and pretraining share: a run's folder, name, checkpoints, signals, logs and order of examples."""
