"""Storage of a whole model: one storage a linear layer, and the tensors that no method touched."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from reference_impls.core.storage_base import Storage, describe, rebuild

_FILE = "compressed.safetensors"
_METADATA = "model-storage"


@dataclass
class ModelStorage:
    """What a compressed model takes on disk.

    linears      name of a linear layer -> its storage
    rest         name -> tensor: embedding, head, norms, biases, each shared tensor once; see `half_precision`
    activations  name of a linear layer -> how its inputs are quantized at run time (no bytes of its own)
    """

    linears: dict[str, Storage]
    rest: dict[str, Tensor] = field(default_factory=dict)
    activations: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that is written, under names that cannot meet: linears/<name>/<part> and rest/<name>."""
        tensors = {f"linears/{n}/{part}": t for n, s in self.linears.items() for part, t in s.tensors().items()}
        return tensors | {f"rest/{name}": tensor for name, tensor in self.rest.items()}

    def nbytes(self) -> int:
        """Bytes of the whole model: compressed linears and everything else."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors().values())

    def dense_bytes(self) -> int:
        """Bytes of the same model with every value in 16 bit."""
        weights = sum(s.shape[0] * s.shape[1] for s in self.linears.values())
        return 2 * (weights + sum(tensor.numel() for tensor in self.rest.values()))

    def bits_per_weight(self) -> float:
        """Stored bits for each weight of the linear layers of the blocks; embedding, head and norms do not count."""
        weights = sum(s.shape[0] * s.shape[1] for s in self.linears.values())
        if weights == 0:
            raise ValueError("this model storage holds no linear layer")
        return 8 * sum(s.nbytes() for s in self.linears.values()) / weights

    def save(self, folder: str | Path) -> Path:
        """Write one safetensors file into the folder (made if missing) and return its path."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        description = {
            "linears": {name: describe(storage) for name, storage in self.linears.items()},
            "activations": self.activations,
        }
        tensors = {name: tensor.detach().contiguous().cpu().clone() for name, tensor in self.tensors().items()}
        # Written beside and then renamed, so that an interrupted run leaves no half file.
        unfinished = folder / (_FILE + ".part")
        save_file(tensors, str(unfinished), metadata={_METADATA: json.dumps(description)})
        return unfinished.replace(folder / _FILE)


def load_model_storage(folder: str | Path) -> ModelStorage:
    """Read what `ModelStorage.save` wrote. Raises ValueError for a folder without one."""
    path = Path(folder) / _FILE
    if not path.is_file():
        raise ValueError(f"{folder} holds no saved model storage: there is no {_FILE}")
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        if _METADATA not in metadata:
            raise ValueError(f"{path} is not a saved model storage: its metadata has no {_METADATA!r}")
        description = json.loads(metadata[_METADATA])
        parts: dict[str, dict[str, Tensor]] = {name: {} for name in description["linears"]}
        rest = {}
        for key in file.keys():
            where, _, name = key.partition("/")
            if where == "rest":
                rest[name] = file.get_tensor(key)
            else:
                name, _, part = name.rpartition("/")
                parts[name][part] = file.get_tensor(key)
    linears = {name: rebuild(parts[name], own) for name, own in description["linears"].items()}
    return ModelStorage(linears, rest, description["activations"])


def half_precision(tensor: Tensor) -> Tensor:
    """A tensor that was left alone as it is counted and saved: floating point in 16 bit, without loss if that can be.

    What neither kind of 16 bit holds exactly is rounded to the finer one, float16, unless it has no room for it.
    """
    tensor = tensor.detach()
    if not tensor.is_floating_point() or tensor.element_size() == 2:
        return tensor
    brain, finer = tensor.to(torch.bfloat16), tensor.to(torch.float16)
    lossless = torch.equal(brain.to(tensor.dtype), tensor)
    return brain if lossless or not torch.isfinite(finer).all() else finer
