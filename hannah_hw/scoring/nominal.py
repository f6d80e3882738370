"""How long training takes on a nominal processor, so that budgets mean the same on every machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from hannah_hw.scoring.training import Training

if TYPE_CHECKING:
    from hannah_hw.workload import Workload

#: Nominal seconds of training (forward and backward, one core) a sample: for each convolution or fully
#: connected layer at a batch of 32, for each multiply-accumulate, and for each element that a kernel writes.
#: Non-negative least squares on 26 random ds_cnn networks of 0.3 to 21 MMAC, torch 2.13, one core with AVX2
#: (at a batch of 64, a layer's share doubled for 32); mean error 16 %, largest 45 %.
#: Normalisation and activations, bound by memory, are most of it.
_LAYER_S: Final = 2.6e-5
_MAC_S: Final = 1.35e-10
_ELEMENT_S: Final = 8.6e-9

#: Fewest epochs that a budget leaves.
_LEAST_EPOCHS: Final = 0.5


def nominal_seconds(workload: Workload) -> float:
    """Nominal CPU seconds of training a network on one sample once.

    Args:
        workload: Of one candidate.
    """
    kernels = workload.kernels
    active = kernels.active[0]
    products = active & np.isin(kernels.kinds, ("conv", "conv_transpose", "linear", "matmul"))
    elements = (kernels["out_channels"] * kernels["out_h"] * kernels["out_w"])[0]
    macs = int(workload.macs[0])
    return float(products.sum() * _LAYER_S + macs * _MAC_S + elements[active].sum() * _ELEMENT_S)


def within_budget(training: Training, workload: Workload, samples: int) -> Training:
    """The training with its epochs cut to its budget.

    Args:
        training: How.
        workload: Of the candidate.
        samples: Size of the training part.
    """
    if training.budget_s is None:
        return training
    affordable = training.budget_s / (nominal_seconds(workload) * samples)
    epochs = min(training.epochs, max(_LEAST_EPOCHS, affordable))
    return training.model_copy(update={"epochs": epochs})
