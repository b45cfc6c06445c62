"""Whether a step is computed faster in bfloat16 on this machine.

No flag of a processor tells. Measured, against single precision: with units for matrices (AMX) three to five
times as fast, with an EPYC's vector units twice, with some other vector units three quarters, and where
bfloat16 is emulated a twelfth. So both are tried, in turn, on a convolution such as a step has many of.
"""

from __future__ import annotations

import time

import torch

import net

#: Pictures, channels and sides of what is convolved: the finest grid of a batch.
SHAPE = (16, 64, 40, 52)
#: Times that each is tried; the fastest counts.
TRIES = 5
#: Faster means by so much: what is about as fast stays in single precision.
MARGIN = 0.85
#: What is so much slower at once is not tried again.
HOPELESS = 4.0


def prefers_bfloat16() -> bool:
    """Takes a fraction of a second, where bfloat16 is emulated some seconds."""
    layer = net.Convolution(SHAPE[1], SHAPE[1]).to(memory_format=torch.channels_last)
    # In turn, so that another program that comes or goes meanwhile slows both.
    single, halves = step_seconds(layer, False), step_seconds(layer, True)
    for _ in range(TRIES):
        if HOPELESS * single < halves:
            return False
        single = min(single, step_seconds(layer, False))
        halves = min(halves, step_seconds(layer, True))
    return halves < MARGIN * single


def step_seconds(layer: net.Convolution, halves: bool) -> float:
    """The time of one layer there and back."""
    x = torch.zeros(SHAPE).contiguous(memory_format=torch.channels_last).requires_grad_()
    layer.zero_grad(set_to_none=True)
    begin = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=halves):
        answer = layer(x)
    answer.float().sum().backward()
    return time.perf_counter() - begin
