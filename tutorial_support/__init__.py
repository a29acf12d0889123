"""The classroom: the database, the experiments, the pictures and the checks of the notebooks."""
