"""Half an hour of ordinary work, as a deployment does it, to see that nothing grows.

`python -m tests.faults.soak run` runs it. `actors` are the processes, `run` starts and watches
them, `rules` judges what was seen, `report` tells it in a table and a picture.
"""
