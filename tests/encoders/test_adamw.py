"""The optimiser against torch's own."""

import subprocess
import sys

import torch

from encoders.adamw import AdamW


def test_it_moves_as_torch_does_also_where_a_parameter_sits_a_step_out() -> None:
    torch.manual_seed(0)
    target = torch.randn(5, 3)
    ours, theirs = ([torch.ones(5, 3, requires_grad=True), torch.zeros(3, requires_grad=True)] for _ in range(2))
    optimiser = AdamW(ours, 0.1, 0.05)
    oracle = torch.optim.AdamW(theirs, lr=0.1, weight_decay=0.05)
    for step in range(20):
        optimiser.rate = 0.1 / (step + 1)
        oracle.param_groups[0]["lr"] = 0.1 / (step + 1)
        for (weight, bias), moved in ((ours, optimiser), (theirs, oracle)):
            moved.zero_grad()
            loss = ((weight + (bias if step % 3 else 0) - target) ** 2).sum()
            loss.backward()
            moved.step()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other)


def test_a_step_does_not_import_the_compiler() -> None:
    program = (
        "import sys, torch\n"
        "from encoders.adamw import AdamW\n"
        "x = torch.ones(2, requires_grad=True)\n"
        "optimiser = AdamW([x], 0.1)\n"
        "x.sum().backward()\n"
        "optimiser.step()\n"
        "assert x[0] < 1 and 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
