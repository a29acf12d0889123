"""The workflow asks `.ci/run` for steps that it has."""

import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_every_step_the_workflow_names_is_one_of_ours():
    steps = set(re.findall(r"^step_(\w+)\(\)", (ROOT / ".ci/run").read_text(), re.MULTILINE))
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    commands = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    named = [set(each.split()[1:]) for each in commands if each.startswith(".ci/run ")]

    assert named
    assert set().union(*named) - steps == set()
