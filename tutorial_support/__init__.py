"""The classroom: the database, experiments, pictures and checks that the notebooks stand on."""
