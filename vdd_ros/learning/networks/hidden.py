"""Hidden layers: those whose weight matrices map features to features."""

from torch import Tensor, nn


class HiddenLayers(nn.Module):
    """Base of modules whose linear layers are all hidden ones, such as the blocks of a backbone.

    The optimiser treats their weight matrices apart from embeddings and output layers.
    """


def hidden_matrices(module: nn.Module) -> dict[str, Tensor]:
    """Return the weight matrices of all hidden layers within a module, by parameter name."""
    found: dict[str, Tensor] = {}
    for path, block in module.named_modules():
        if isinstance(block, HiddenLayers):
            for name, layer in block.named_modules(prefix=path):
                if isinstance(layer, nn.Linear):
                    found[f"{name}.weight".removeprefix(".")] = layer.weight
    return found
