"""The crash campaign: real processes at work on one database, killed at random, then compared.

`python -m tests.faults.campaign` runs it for as long as you like. `actors` are the processes,
`run` starts and kills them, `checker` compares what they acknowledged with what is there.
"""
