"""The networks of diffusion_policy: their part of the configuration, and the names of their tensors."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from vdd_ros.learning.diffusion.discrete import NumberedTeacherConfig, UNetTeacherConfig
from vdd_ros.learning.diffusion.numbered_transformer import TransformerTeacherConfig
from vdd_ros.learning.importing.fields import MOST_NUMBERS, Fields
from vdd_ros.learning.importing.unet_tensors import UNetNames, unet_part

TARGET = "_target_"
_MODEL = "model."
_UNET_NAMES = UNetNames(_MODEL, ("blocks.0", "blocks.1"), "2.conv")
_MASKS = (f"{_MODEL}mask", f"{_MODEL}memory_mask")
_STEMS = {
    "read_action": "input_emb",
    "read_state": "cond_obs_emb",
    "widen_state": "encoder.0",
    "narrow_state": "encoder.2",
    "norm": "ln_f",
    "read": "head",
    "place": "pos_emb",
    "state_place": "cond_pos_emb",
}
_ATTENTION = {"own": "self_attn", "state": "multihead_attn"}
_IN_PROJECTION, _OUT_PROJECTION = "in_proj_", "out_proj."


def class_of(fields: Fields) -> str:
    """Return the last part of the name of a section's class."""
    return str(fields.get(TARGET)).rpartition(".")[2]


def refuse_unknown(fields: Fields, others: tuple[str, ...] = ()) -> None:
    """Refuse a field that nobody asked for, apart from some others."""
    if unknown := fields.unused(others):
        fields.refuse(unknown[0], fields.values[unknown[0]], "no such field; this version does not know what it means")


def read_unet(model: Fields, fields: Mapping[str, Any]) -> UNetTeacherConfig:
    """Return the shape of a teacher with `ConditionalUnet1D`.

    Args:
        model: The network's section.
        fields: Of the shape, of the window and the sampling.

    Raises:
        CheckpointError: A field is missing or has a value that is not supported.
    """
    _check_class(model, "ConditionalUnet1D")
    _require(model, "input_dim", fields["act_dim"], "action_dim")
    _require(model, "global_cond_dim", fields["obs_dim"] * fields["history"], "obs_dim times n_obs_steps")
    if (local := model.get("local_cond_dim", None)) is not None:
        model.refuse("local_cond_dim", local, "none")
    shape = UNetTeacherConfig(
        kind="diffusion-policy",
        backbone="mlp",  # without effect, as the other fields of a backbone
        **fields,
        channels=model.channels("down_dims"),
        kernel=model.whole("kernel_size", 1, 1_001),
        groups=model.whole("n_groups", 1, MOST_NUMBERS),
        step_features=model.whole("diffusion_step_embed_dim", 4, MOST_NUMBERS),
        scales=model.flag("cond_predict_scale"),
    )
    refuse_unknown(model)
    return shape


def read_transformer(model: Fields, fields: Mapping[str, Any]) -> TransformerTeacherConfig:
    """Return the shape of a teacher with `TransformerForDiffusion`; arguments and errors as of `read_unet`."""
    _check_class(model, "TransformerForDiffusion")
    _require(model, "input_dim", fields["act_dim"], "action_dim")
    _require(model, "output_dim", fields["act_dim"], "action_dim")
    _require(model, "cond_dim", fields["obs_dim"], "obs_dim")
    _require(model, "horizon", fields["horizon"], "the length of the chunk")
    _require(model, "n_obs_steps", fields["history"], "that of the policy")
    if not model.flag("time_as_cond", True):
        model.refuse("time_as_cond", False, "true")
    shape = TransformerTeacherConfig(
        kind="diffusion-policy-transformer",
        backbone="gpt",
        **fields,
        width=model.whole("n_emb", 4, MOST_NUMBERS),
        layers=model.whole("n_layer", 1, 1_000),
        heads=model.whole("n_head", 1, MOST_NUMBERS),
        state_layers=model.whole("n_cond_layers", 0, 1_000),
        causal=model.flag("causal_attn"),
    )
    refuse_unknown(model, ("p_drop_emb", "p_drop_attn", "obs_as_cond"))
    return shape


def _check_class(model: Fields, wanted: str) -> None:
    if (kind := class_of(model)) != wanted:
        model.refuse(TARGET, kind, wanted)


def _require(fields: Fields, name: str, wanted: int, what: str) -> None:
    if (value := fields.get(name)) != wanted:
        fields.refuse(name, value, f"{wanted}, that is {what}")


def network_tensors(shape: NumberedTeacherConfig, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of the network; the masks of a causal transformer follow from its shape."""
    others = _MASKS if isinstance(shape, TransformerTeacherConfig) and shape.causal else ()
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in others and not name.endswith("_dummy_variable") and not name.startswith("normalizer.")
    }


def renaming(shape: NumberedTeacherConfig) -> tuple[Callable[[str], str], Callable[[str, Tensor], Tensor]]:
    """Return from our name of a tensor to theirs, and from our name and their tensor to ours."""
    if isinstance(shape, UNetTeacherConfig):
        return _UNET_NAMES.of, unet_part(shape)
    return _transformer_name, _transformer_part


def _transformer_name(name: str) -> str:
    """Return their name of a tensor such as `layers.0.own.query.weight`."""
    if found := re.fullmatch(r"(state_)?layers\.(\d+)\.(\w+)\.(.+)", name):
        part, rest = found[3], found[4]
        stem = f"{_MODEL}{'encoder' if found[1] else 'decoder'}.layers.{found[2]}"
        if part in _ATTENTION:
            module, _, kind = rest.rpartition(".")
            return f"{stem}.{_ATTENTION[part]}.{_OUT_PROJECTION if module == 'merge' else _IN_PROJECTION}{kind}"
        last = "norm2" if found[1] else "norm3"
        names = {"norm_own": "norm1", "norm_state": "norm2", "norm_mlp": last, "widen": "linear1", "narrow": "linear2"}
        return f"{stem}.{names[part]}.{rest}"
    stem, dot, kind = name.partition(".")
    return f"{_MODEL}{_STEMS[stem]}{dot}{kind}"


def _transformer_part(name: str, tensor: Tensor) -> Tensor:
    """Return our part: theirs projects to queries, keys and values at once."""
    width = len(tensor) // 3
    if ".query." in name:
        return tensor[:width].contiguous()
    return tensor[width:].contiguous() if ".key_value." in name else tensor
