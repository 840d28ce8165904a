"""torch with a GPU, or the end of the program with a sentence that says what is missing."""

import sys


def need_torch():
    """The module. Called behind the reading of options, so that --help needs nothing and comes at once."""
    try:
        import torch
    except ModuleNotFoundError:
        sys.exit("torch is not installed: pip install torch")
    if not torch.cuda.is_available():
        sys.exit("torch sees no CUDA device")
    return torch
