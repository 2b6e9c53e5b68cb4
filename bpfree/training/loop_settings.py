"""Settings of a run that no rule, net or data set has a say in."""

from bpfree.config.settings import setting, settings
from bpfree.training.evaluation import Precision


@settings
class LoopSettings:
    """Seed, device, precision, validation and checkpoints of a run, whatever the rule."""

    seed: int = setting(0, "seed of everything random", ge=0, lt=2**63)
    device: str = setting("auto", "auto (a GPU if there is one), cpu, cuda, cuda:1, …")
    precision: Precision = setting(
        "fp32", "bf16: products in bfloat16, parameters in fp32; slow on a CPU without AMX or AVX512-BF16"
    )
    threads: int | None = setting(None, "CPU threads; none: torch's own choice", ge=1)
    compile: bool = setting(False, "compile every block in place")
    validate_every: int = setting(1, "epochs between two validations; the last of a phase has one too", ge=1)
    eval_batch_size: int = setting(1000, "samples in a batch of validation and prediction", ge=1)
    resident_mb: int = setting(4096, "a split no larger than this stays on the device", unit="MiB", ge=0)
    cache_mb: int = setting(4096, "inputs of a frozen prefix are computed once if they fit into this", unit="MiB", ge=0)
    checkpoint_every: float = setting(60.0, "write a checkpoint when the last is older than this", unit="s", ge=0)
    observe_every: int = setting(50, "batches between two looks at gradients, dead units and finite losses", ge=1)
    max_steps: int | None = setting(None, "end the run after this many batches, as an early stop would", ge=1)
    max_minutes: float | None = setting(
        None, "end the run after this much training, validation not counted", unit="min", gt=0
    )
