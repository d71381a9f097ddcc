"""Files that training and scoring leave behind, made without either: what MLflow is filled from."""

from pathlib import Path
from typing import Any

import torch
import yaml

from zsad.common.io import file_sha256, write_json, write_tensors
from zsad.config.params import Params
from zsad.evaluation.results import FIELDS
from zsad.tracking.journal import Journal, journal_path, lineage, system_sample

KEYS = ("clip_zero", "anomalyclip", "cops", "cops_paper")
SPEED = {"seconds": 2.0, "images_per_second": 120.0}


def write_params(root: Path) -> None:
    """A params.yaml with four configurations, one source and two targets beside it."""
    tiny = {
        "seeds": [0, 1],
        "backbones": {"default": {"name": "embedded", "pretrained": "embedded", "image_size": 112}},
        "sources": {"demo_source": {}},
        "datasets": {name: {"path": "x"} for name in ("demo_source", "demo_texture", "demo_object")},
        "learners": {key: {} for key in KEYS} | {"cops_paper": {"method": "cops", "protocol": "paper"}},
        "few_shot": {},
        "few_shot_of": {},
        "ensembles": {},
        "gate": {"cell": {}, "mean": {}},
    }
    (root / "params.yaml").write_text(yaml.safe_dump(tiny, sort_keys=False), encoding="utf-8")


def start_journal(record: dict[str, Any], path: Path) -> Journal:
    """A journal of one process that trains what `record` tells of."""
    journal = Journal(path)
    names = ("learner", "source", "method", "protocol", "config_hash")
    journal.append(
        "start",
        **{name: record[name] for name in names},
        params={"seeds": record["seeds"], "backbone": record["backbone"], **record["settings"]},
        dataset={"name": record["source"], "hash": record["dataset_hash"], "n_images": 240},
        tags=lineage(),
    )
    journal.append("system", **system_sample())
    return journal


def make_cell(params: Params, key: str, source: str, weight: float, losses: list[float], bonus: float = 0.0) -> None:
    """What `zsad train` and `zsad score` leave of one train cell: journal, checkpoints, result files."""
    configuration = params.configuration(key)
    record: dict[str, Any] = {
        "learner": key,
        "method": configuration.method,
        "protocol": configuration.protocol,
        "source": source,
        "trained": True,
        "seeds": params.seeds,
        "config_hash": configuration.hash(params),
        "dataset_hash": f"manifest-of-{source}",
        "settings": {"lr": weight, "prompts": "x" * 900},
        "backbone": {"name": "embedded", "image_size": 112},
    }
    journal = start_journal(record, journal_path(key, source))
    files = {}
    for seed in params.seeds:
        for epoch, loss in enumerate(losses):
            journal.append("epoch", seed=seed, epoch=epoch, losses={"loss": loss}, **SPEED)
        path = Path("data/checkpoints") / key / source / f"seed_{seed}.safetensors"
        write_tensors(path, {"prompt": torch.full((4,), weight + seed)}, {"seed": seed})
        files[str(seed)] = file_sha256(path)
    write_json(path.with_name("checkpoint.json"), {**record, "files": files})
    journal.append("end", checkpoints=files, wall_seconds=4.0)
    for number, dataset in enumerate(params.datasets):
        undefined = dataset == source
        mean = {"image_auroc": None if undefined else 0.6 + 0.1 * number + bonus, "pixel_aupro": None}
        cell = dict.fromkeys(FIELDS) | {name: record[name] for name in FIELDS if name in record}
        cell |= {"dataset": dataset, "dataset_hash": f"{dataset}-" + "0" * 40, "mean": mean, "sd": dict.fromkeys(mean)}
        cell |= {
            "domain": dataset.removeprefix("demo_"),
            "n_images": 9,
            "categories": {"cork": {"n_images": 9, **mean}},
        }
        if params.configuration(key).source_for(params, dataset) == source:
            write_json(Path("metrics/cells") / key / f"{dataset}.json", cell)
