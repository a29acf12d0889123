"""The classroom: the database, the experiments, the pictures and the checks the notebooks stand on."""
