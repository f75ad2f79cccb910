"""What it costs to learn a task, measured again for the results of Table 1 that there are, all on one machine.

`python benchmarks/table1_costs.py --results results`. A result's costs are of the machine that trained it and of the
code of that day. They do not depend on weights: for each row and way a model of the same sizes, untrained, is measured
by `fastslow.protocol.cost.learning_cost`, and takes the place of what the results of all its seeds say; their protocol
says so ("costs").
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
import tempfile
from pathlib import Path

from timing import table

from fastslow.methods.files import TrainedModel, save_model
from fastslow.protocol.cost import learning_cost
from fastslow.protocol.provenance import processor_name, versions
from fastslow.protocol.result import Interval, read_result, write_result
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_training import seeded_method
from fastslow.studies.table1 import STUDY, config_of


def cost_of(config: FewShotConfig) -> dict[str, Interval]:
    """Of an untrained model of a training's sizes."""
    sizes = config.model_config()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(path, TrainedModel(seeded_method(sizes, 0), sizes, {}))
        return learning_cost(path, n_way=config.way, n_shot=config.shot)


def main() -> None:
    parser = argparse.ArgumentParser(prog="table1_costs", description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    options = parser.parse_args()
    about = {"command": f"python {shlex.join(sys.argv)}", "versions": versions(), "processor": processor_name()}
    found: dict[tuple[str, str], dict[str, Interval]] = {}
    for path in sorted(options.results.glob(f"{STUDY.name}-*.json")):
        result = read_result(path)
        row = str(result.cell.options["row"]), str(result.cell.options["task"])
        if row not in found:
            found[row] = cost_of(config_of(result.cell))
        numbers = {**{name: n for name, n in result.numbers.items() if name not in found[row]}, **found[row]}
        protocol = {**result.provenance.protocol, "costs": about}
        provenance = dataclasses.replace(result.provenance, protocol=protocol)
        write_result(path, dataclasses.replace(result, numbers=numbers, provenance=provenance))
    print(table([{"row": row, "task": task} | {k: v.mean for k, v in c.items()} for (row, task), c in found.items()]))


if __name__ == "__main__":
    main()
