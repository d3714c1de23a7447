"""Tunes and fits in two workers of Ray Train. Arguments: the folder for what is found, the scenario."""

import json
import sys
from pathlib import Path

import ray
import torch
from ray.train import RunConfig, ScalingConfig
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment, prepare_trainer
from ray.train.torch import TorchTrainer


def train(config):
    """What each worker does."""
    from group_script import make_trainer, tuned  # a neighbour: the folder is in PYTHONPATH

    torch.set_num_threads(1)
    trainer = make_trainer(RayDDPStrategy(), devices="auto", plugins=[RayLightningEnvironment()])
    trainer = prepare_trainer(trainer)
    found, module, datamodule = tuned(trainer, config["scenario"], isolation="auto")
    trainer.fit(module, datamodule)
    found["fit"] = trainer.global_step
    (Path(config["folder"]) / f"found_{trainer.global_rank}.json").write_text(json.dumps(found))


def main():
    """Start the workers."""
    folder, scenario = sys.argv[1:]
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=200 * 2**20)
    TorchTrainer(
        train,
        train_loop_config={"folder": folder, "scenario": scenario},
        scaling_config=ScalingConfig(num_workers=2, use_gpu=False),
        run_config=RunConfig(storage_path=f"{folder}/ray", name="tune"),
    ).fit()


if __name__ == "__main__":
    main()
