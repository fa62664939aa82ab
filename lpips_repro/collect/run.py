"""`make collect`: the server of a study, its links, simulated workers, or the export of what was judged."""

import os
import secrets
import shlex
import socket
from pathlib import Path

import numpy as np
import uvicorn
from omegaconf import DictConfig
from tabulate import tabulate

from lpips_repro.collect.export import pack, write_dataset
from lpips_repro.collect.page_files import install_libraries
from lpips_repro.collect.progress import of_sessions, of_splits
from lpips_repro.collect.server import has_admin, make_app, signer_of
from lpips_repro.collect.settings import Action, CollectConfig
from lpips_repro.collect.signing import ADMIN_TOKEN
from lpips_repro.collect.simulated import judge_all, workers_of
from lpips_repro.collect.study import SIMULATED, OpenStudy, open_study
from lpips_repro.config import parse
from lpips_repro.config.outputs import check_new_dataset
from lpips_repro.datasets.mini.build import NOTE
from lpips_repro.errors import UserError


def collect(composed: DictConfig) -> None:
    """Do what the settings (`configs/collect.yaml`) say.

    Raises:
        UserError: naming the setting, file or address that is at fault.
    """
    cfg = parse(composed, CollectConfig)
    ACTIONS[cfg.do](cfg)


def serve(cfg: CollectConfig) -> None:
    """Serve the study until the process is stopped."""
    study = open_study(cfg)
    install_libraries()
    signer = signer_of(cfg)
    app = make_app(study, signer)
    with _listening(cfg) as listener:
        address = cfg.address or address_of(cfg.host, listener.getsockname()[1])
        print(f"study {cfg.name} on {address}: stop it with Ctrl-C; the same command goes on")
        for kind in study.kinds:
            print(f"  {kind}: {address}/join/{signer.link(kind, None)}?participant=NAME")
        if has_admin(cfg):
            print(f"  admin: {address}/admin (its token is in {Path(cfg.store) / ADMIN_TOKEN})")
        config = uvicorn.Config(app, log_level="warning", access_log=False, proxy_headers=False, server_header=False)
        uvicorn.Server(config).run([listener])


def links(cfg: CollectConfig) -> None:
    """Print `count` links for one worker each, for every kind of question."""
    study, signer = open_study(cfg), signer_of(cfg)
    address = cfg.address or address_of(cfg.host, cfg.port)
    for kind in study.kinds:
        for _ in range(cfg.count):
            print(f"{kind} {address}/join/{signer.link(kind, secrets.token_urlsafe(9))}")


def simulate(cfg: CollectConfig) -> None:
    """Simulated workers judge, `count` of them one after the other."""
    study = open_study(cfg, SIMULATED)
    for number, worker in enumerate(workers_of(cfg.count, cfg.inattentive)):
        answers = judge_all(study, worker, np.random.default_rng((cfg.seed, number)))
        print(f"{worker.name}: {'attentive' if worker.attentive else 'answers at random'}, {answers} answers")
    excluded = sum(one["excluded"] for one in {row["worker"]: row for row in of_sessions(study)}.values())
    print(f"{excluded} of {cfg.count} workers are excluded by their sentinels\n{_agreement(study)}\n{NOTE}")


def export(cfg: CollectConfig) -> None:
    """Write a dataset in the BAPPS layout and its packed splits."""
    if cfg.out is None:
        raise UserError("out: no value: set OUT=FOLDER, the folder of the new dataset")
    out = Path(cfg.out)
    check_new_dataset("out", out)
    study = open_study(cfg, None)
    rows = write_dataset(study, out)
    packed = pack(cfg, out)
    judged_by = f"judged by {study.observers} observers"
    print(f"{_agreement(study)}\n{out}: {len(rows)} examples in {len(packed)} splits, {judged_by}")
    print(f"make eval-tables DATA=folder DATA_ROOT={shlex.quote(cfg.out)}")


def _agreement(study: OpenStudy) -> str:
    return tabulate(of_splits(study), headers="keys", floatfmt=".3f", missingval="-")


def address_of(host: str, port: int) -> str:
    """What links begin with if the settings do not say."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(cfg: CollectConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in cfg.host else socket.AF_INET
    try:
        return socket.create_server((cfg.host, cfg.port), family=family, backlog=256)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UserError(f"host={cfg.host} port={cfg.port}: {reason}: set port=0 for any that is free") from error


ACTIONS = {Action.serve: serve, Action.links: links, Action.simulate: simulate, Action.export: export}
