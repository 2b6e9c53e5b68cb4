"""Synapses with learned delays, and their convolution over time: directly, or exactly by way of the Fourier basis.

Hammouamri, Khalfaoui-Hassani, Masquelier, arXiv 2306.17670. A synapse has a weight w and a delay c in [0, K-1] steps.
In training it is a bump of width s, normalised so that its taps sum to w, in evaluation the one tap at round(c):

    ker[d] = w e_d / sum_j e_j,   e_d = exp(-((d - c) / s)^2 / 2)         y[t] = sum_d x[t - d] ker[d],   t < T_out

    dL/dw = sum_d g_d p_d,   dL/dc = sum_d g_d ker_d ((d - c) - sum_j p_j (j - c)) / s^2,   p_d = ker_d / w

The convolution by the discrete Fourier basis is exact, since N = T + K - 1 points leave no room to wrap around; no
transform is fast, all are products with tables, and N need not be a power of two. F = N // 2 + 1 frequencies:

    X = D_T x,  H = D_K ker,  D = [cos; -sin](2 pi f n / N)      Y = X H (3 real products a frequency)      y = E Y

Shapes: ``x (T, B, I)``, kernels ``(K, I, O)`` indexed by delay, ``y (T_out, B, O)``.
"""

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from bpfree.functional.precision import outside_autocast


def gauss_kernel(weight: Tensor, delay: Tensor, width: Tensor, taps: int) -> Tensor:
    """Kernel of synapses in training: a Gauss bump each.

    Args:
        weight: weights ``(…)``.
        delay: delays ``(…)`` in steps, within 0 … K-1.
        width: standard deviation of the bumps in steps, a scalar.
        taps: K, length of the kernel in steps.

    Returns:
        ``(K, …)``; over the taps it sums to ``weight``.
    """
    off = _steps(delay, taps) - delay
    return torch.softmax(off * off * (-0.5 / (width * width)), 0) * weight


def tap_kernel(weight: Tensor, delay: Tensor, taps: int) -> Tensor:
    """Kernel of synapses in evaluation: the whole weight at the delay rounded to whole steps.

    Args:
        weight: weights ``(…)``.
        delay: delays ``(…)`` in steps, within 0 … K-1.
        taps: K, length of the kernel in steps.

    Returns:
        ``(K, …)``.
    """
    return F.relu(1 - (_steps(delay, taps) - delay.round()).abs()) * weight


def _steps(delay: Tensor, taps: int) -> Tensor:
    """Steps 0 … K-1 along a new first axis."""
    return torch.arange(taps, dtype=delay.dtype, device=delay.device).view(-1, *[1] * delay.ndim)


def convolve(x: Tensor, kernel: Tensor, steps_out: int) -> Tensor:
    """Convolve over time by whichever path takes fewer multiply-adds: ``y[t] = sum_d x[t - d] kernel[d]``.

    Args:
        x: inputs ``(T, B, I)``.
        kernel: weights ``(K, I, O)`` by delay.
        steps_out: T_out, at most T + K - 1.

    Returns:
        ``(T_out, B, O)`` in the precision of the kernel.
    """
    taps, fan_in, fan_out = kernel.shape
    fourier = fourier_is_cheaper(len(x), x.shape[1], fan_in, fan_out, taps, steps_out)
    path = fourier_convolution if fourier else direct_convolution
    with outside_autocast(x):  # errors are relative to the largest value: too much in bfloat16
        x = x.to(kernel.dtype)
        return x @ kernel[0] if taps == 1 else path(x, kernel, steps_out)


def fourier_is_cheaper(steps: int, batch: int, fan_in: int, fan_out: int, taps: int, steps_out: int) -> bool:
    """Compare the multiply-adds of both paths, the three transforms of the Fourier basis included.

    Args:
        steps: T.
        batch: B.
        fan_in: I.
        fan_out: O.
        taps: K.
        steps_out: T_out.

    Returns:
        True where `fourier_convolution` takes fewer than `direct_convolution`.
    """
    frequencies = (steps + taps - 1) // 2 + 1
    products = 3 * batch * fan_in * fan_out
    transforms = 2 * (steps * batch * fan_in + taps * fan_in * fan_out + steps_out * batch * fan_out)
    return frequencies * (products + transforms) < taps * steps_out * batch * fan_in * fan_out


def direct_convolution(x: Tensor, kernel: Tensor, steps_out: int) -> Tensor:
    """Convolve with torch's operator: the reference for the other path, and the cheaper one for small shapes.

    Args:
        x: inputs ``(T, B, I)``.
        kernel: weights ``(K, I, O)`` by delay.
        steps_out: T_out.

    Returns:
        ``(T_out, B, O)``.
    """
    padded = F.pad(x.permute(1, 2, 0), (len(kernel) - 1, steps_out - len(x)))  # (B, I, T_out + K - 1)
    return F.conv1d(padded, kernel.flip(0).permute(2, 1, 0)).permute(2, 0, 1)


def fourier_convolution(x: Tensor, kernel: Tensor, steps_out: int) -> Tensor:
    """Convolve by products in the Fourier basis.

    Errors are relative to the largest values: of order u |x| |ker|, u the rounding of the type.

    Args:
        x: inputs ``(T, B, I)``.
        kernel: weights ``(K, I, O)`` by delay.
        steps_out: T_out.

    Returns:
        ``(T_out, B, O)``.
    """
    (steps, batch, fan_in), (taps, _, fan_out) = x.shape, kernel.shape
    basis, inverse = _tables(steps + taps - 1, max(steps, taps), steps_out, x.dtype, x.device)
    real, imag = (basis[:, :, :steps] @ x.reshape(steps, -1)).view(2, -1, batch, fan_in)  # (F, B, I)
    kernel_real, kernel_imag = (basis[:, :, :taps] @ kernel.reshape(taps, -1)).view(2, -1, fan_in, fan_out)
    # a complex product from three real ones: (a - b) + i (c - a - b)
    a, b = real @ kernel_real, imag @ kernel_imag  # (F, B, O)
    c = (real + imag) @ (kernel_real + kernel_imag)
    return (inverse @ torch.cat([a - b, c - a - b]).flatten(1)).view(steps_out, batch, fan_out)


@lru_cache(64)
def _tables(points: int, steps: int, steps_out: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """Basis ``(2, F, steps)`` and the inverse transform ``(T_out, 2 F)``, made in double precision."""
    frequency = torch.arange(points // 2 + 1, dtype=torch.float64)
    # a frequency stands for its mirror image too, except where it is its own mirror image
    weight = torch.full_like(frequency, 2.0)
    weight[0] = 1.0
    if points % 2 == 0:
        weight[-1] = 1.0
    # f n as whole numbers modulo N: an angle of many turns would lose digits
    turns = torch.outer(torch.arange(points // 2 + 1), torch.arange(max(steps, steps_out))) % points
    angle = turns.double() * (2 * math.pi / points)
    basis = torch.stack([angle.cos(), -angle.sin()])
    inverse = (basis[:, :, :steps_out] * (weight / points)[:, None]).flatten(0, 1).T
    return basis[:, :, :steps].to(device, dtype).contiguous(), inverse.to(device, dtype).contiguous()
