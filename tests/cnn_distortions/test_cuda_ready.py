"""A training step of an autoencoder on a GPU, tested without a GPU: see `tests.fake_cuda`."""

import copy

import numpy as np
import torch

from lpips_repro.cnn_distortions.learning import examples
from lpips_repro.devices import one_thread, send
from lpips_repro.runs.optimizer import make_optimizer
from tests.cnn_distortions.tiny import CONFIG, smooth_crops, tiny_learner
from tests.fake_cuda import CUDA, asynchronous_copies, fake_gpu, no_host_read


def given_and_wanted():
    return examples(CONFIG, smooth_crops(2, 32), np.arange(2), (0, 0))


def test_a_step_on_a_gpu_waits_for_no_copy_and_reads_nothing():
    learner, pair = tiny_learner(), given_and_wanted()
    learner.perceptual = copy.deepcopy(learner.perceptual)  # other tests use it, too
    with fake_gpu():
        networks = learner.generator, learner.discriminator
        for network in (*networks, learner.perceptual):
            network.to(CUDA)
        learner.device = CUDA
        learner.optimizers = [make_optimizer(network, 1e-3) for network in networks]
        used = []
        learner.generator.register_forward_hook(lambda *_: used.append(torch.backends.cudnn.benchmark))
        with asynchronous_copies() as copies:
            for _ in range(2):  # the first step makes the optimizer's state
                loss = learner.step(*(send(part, CUDA) for part in pair))
    assert loss.device == CUDA
    assert used == [True, True]  # cuDNN times its algorithms, since all batches have one shape
    assert not torch.backends.cudnn.benchmark
    assert len(copies.sent) == 4


def test_backward_reads_nothing_either():
    learner = tiny_learner()
    with one_thread(), no_host_read():
        loss = learner.step(*map(torch.from_numpy, given_and_wanted()))
    assert loss > 0
