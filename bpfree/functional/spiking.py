"""Leaky integrate-and-fire neurons over time, each layer as one differentiable function with no state outside the call.

With beta = 1 - 1/tau and all membranes at 0 before the first step, hard reset to 0 and no gradient through the reset:

    h[t] = beta v[t-1] + x[t]      s[t] = [h[t] >= 1]      v[t] = h[t] (1 - s[t])

    ds/dh = (alpha/2) / (1 + (pi/2 alpha (h - 1))^2)
    dL/dx[t] = delta[t] = g[t] ds/dh[t] + (1 - s[t]) beta delta[t+1]

The surrogate ds/dh (arc tangent) is what makes the step function trainable: it is not the function's derivative.

Shapes: ``x (T, …)`` -> ``(T, …)``.
"""

import importlib
import math
from typing import Any

import torch
from torch import Tensor

from bpfree.errors import InputError


def lif(x: Tensor, tau: float, alpha: float) -> Tensor:
    """Spikes of leaky integrate-and-fire neurons.

    Args:
        x: input currents ``(T, …)``.
        tau: time constant of the membrane in steps, above 1.
        alpha: steepness of the surrogate derivative.

    Returns:
        0 or 1, ``(T, …)``.
    """
    return _Fire.apply(x, 1 - 1 / tau, alpha)


def membrane(x: Tensor, tau: float) -> Tensor:
    """Membranes of neurons that never fire: ``v[t] = beta v[t-1] + x[t]``.

    Args:
        x: input currents ``(T, …)``.
        tau: time constant in steps, above 1.

    Returns:
        ``(T, …)``.
    """
    return _Leak.apply(x, 1 - 1 / tau)


def spikingjelly_lif(x: Tensor, tau: float, alpha: float) -> Tensor:
    """Spikes of the same neurons as `lif`, by the package spikingjelly; its state begins and ends with the call.

    Args:
        x: input currents ``(T, …)``.
        tau: time constant of the membrane in steps, above 1.
        alpha: steepness of the surrogate derivative.

    Returns:
        0 or 1, ``(T, …)``.

    Raises:
        InputError: spikingjelly is not installed.
    """
    ops = _spikingjelly("functional")
    surrogate = _spikingjelly("surrogate").ATan(alpha=alpha)
    spikes, _, _ = ops.lif_multi_step(x, torch.zeros_like(x[0]), tau, False, 1.0, 0.0, surrogate, True)
    return spikes


def _spikingjelly(module: str) -> Any:
    """Import a module of spikingjelly where it is used."""
    try:
        return importlib.import_module(f"spikingjelly.activation_based.{module}")
    except ImportError as error:
        raise InputError(
            f"neuron = spikingjelly needs {error.name or 'spikingjelly'}: pip install spikingjelly, or use fused"
        ) from None


class _Fire(torch.autograd.Function):
    """Membranes that fire and are reset; the backward pass is the recursion for delta above."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float, alpha: float) -> Tensor:
        h, fired, v = torch.empty_like(x), torch.empty_like(x), torch.zeros_like(x[0])
        for now, current, spike in zip(h, x, fired, strict=True):
            torch.add(current, v, alpha=beta, out=now)
            torch.ge(now, 1.0, out=spike)
            v = now - now * spike
        ctx.save_for_backward(h, fired)
        ctx.beta, ctx.alpha = beta, alpha
        return fired

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        h, fired = ctx.saved_tensors
        slope = (h - 1).mul_(math.pi / 2 * ctx.alpha).square_().add_(1).reciprocal_().mul_(ctx.alpha / 2)
        delta = slope.mul_(grad)
        kept = (1 - fired).mul_(ctx.beta)  # share of a membrane that is left one step later
        for t in range(len(delta) - 2, -1, -1):
            delta[t] += kept[t] * delta[t + 1]
        return delta, None, None


class _Leak(torch.autograd.Function):
    """Membranes without a threshold; the backward pass is the same recursion in reverse time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, beta: float) -> Tensor:
        ctx.beta, v = beta, x.clone()
        for t in range(1, len(v)):
            v[t].add_(v[t - 1], alpha=beta)
        return v

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        delta = grad.clone()
        for t in range(len(delta) - 2, -1, -1):
            delta[t].add_(delta[t + 1], alpha=ctx.beta)
        return delta, None
