"""Experimental: training steps that skip pruned weights, on the CPU.

:class:`SparseTraining` wraps a masked model; its interface may change. The limits:

- the backbone is ST-GCN, without attention or a residual path inside the graph convolution, with at
  most 48 joints; other backbones, assemblies and own layers are refused with an error,
- parameters and inputs are float32 on the CPU, and the package is installed with its kernels,
- methods that need the gradients of pruned weights in every step, ``"score"`` and ``"feedback"``,
  are refused; with ``"rigl"``, the steps before an update run on the model itself,
- steps with more than 35 % kept weights run on the model itself, which is faster there,
- second derivatives and forward-mode gradients are not available,
- optimizer steps and mask updates are those of the model: they take the time of all weights.

``pyg-stgcn train --skip-zeros`` trains with it.
"""

from pyg_stgcn.runtime.experimental.sparse_training import SparseTraining

__all__ = ["SparseTraining"]
