"""Export of checkpoints as policy files."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from vdd_ros.data.demonstrations import DemonstrationSet
from vdd_ros.errors import CheckpointError, ConfigurationError, DemonstrationError
from vdd_ros.files import replacing
from vdd_ros.learning.export.graphs import DeterministicGraph, DiffusionGraph, NoveltyGraph
from vdd_ros.learning.export.novelty import QUANTILE, Fitted, Novelty, fit_novelty
from vdd_ros.learning.export.onnx_graph import PolicyGraph, write_graph
from vdd_ros.learning.export.parity import PARITY_BATCH, draw_inputs, measure_parity
from vdd_ros.learning.export.resolution import check_resolution
from vdd_ros.learning.export.steps import demonstrated_steps
from vdd_ros.learning.fit.data_link import load_linked
from vdd_ros.learning.fit.metadata import CheckpointMetadata, origin_warning
from vdd_ros.learning.fit.windows import Statistics
from vdd_ros.learning.kinds import KINDS, load_any
from vdd_ros.learning.methods.configs import ExportConfig
from vdd_ros.policy.onnx_session import open_session
from vdd_ros.policy.providers import ProviderSettings
from vdd_ros.policy.spec import METADATA_KEY, Parity, PolicySpec
from vdd_ros.policy.spec import Novelty as SpecNovelty
from vdd_ros.policy.spec import Statistics as SpecStatistics
from vdd_ros.policy.spec_settings import DEMONSTRATED_STEPS, DETERMINISTIC, PAST_ACTIONS
from vdd_ros.policy.spec_versions import SCHEMA_VERSION
from vdd_ros.policy.structure import MIXTURE
from vdd_ros.text import printable

EXPORTER = "torch.onnx TorchScript"


def export(
    folder: Path,
    file: Path,
    config: ExportConfig,
    fidelity: dict[str, Any] | None = None,
    demonstrations: DemonstrationSet | None = None,
) -> PolicySpec:
    """Write the checkpoint in `folder` as a policy file, whole or not at all.

    Args:
        folder: Checkpoint of a teacher or a student.
        file: The policy file to write.
        config: Settings.
        fidelity: Measured figures for the metadata.
        demonstrations: The checkpoint's training data, for the novelty; by default the set that it links to. With
            another set the file carries a warning.

    Returns:
        The metadata written.

    Raises:
        ConfigurationError: A prefix is asked of a policy that is not a mixture.
        CheckpointError: The checkpoint is missing or damaged, or its signature is not that of the
            demonstrations.
        DemonstrationError: The novelty is requested, but there are no demonstrations, or too few.
        ExportError: The file's actions differ from torch's, or depend on the least digit of an observation; nothing
            is written.
        PolicyFileError: A robot would refuse the file; nothing is written.
    """
    model, metadata = load_any(folder)
    if config.prefix and metadata.structure != MIXTURE:
        raise ConfigurationError(
            f"--prefix: '{printable(folder)}' holds a {metadata.structure} policy; only mixtures can be conditioned on "
            "the first actions of a chunk. Leave the option out, or distil a mixture"
        )
    graph: PolicyGraph = KINDS[metadata.structure].graph(model, Statistics.from_lists(metadata.statistics), config)
    graph.eval()
    if isinstance(graph, DiffusionGraph):
        config = replace(config, sampler=graph.sampler, schedule=graph.schedule)
    if metadata.structure != MIXTURE and (past := metadata.model.get("past", 0)):
        metadata = replace(metadata, settings={**metadata.settings, PAST_ACTIONS: past})
    fitted = None
    if config.novelty:
        shown, warnings = _demonstrations(folder, metadata, demonstrations)
        fitted = fit_novelty(shown, Statistics.from_lists(metadata.statistics), config.seed)
        settings = {**metadata.settings, DEMONSTRATED_STEPS: demonstrated_steps(shown)}
        metadata = replace(metadata, warnings=(*metadata.warnings, *warnings), settings=settings)
    fixed = DeterministicGraph(graph, config.seed) if config.deterministic else None
    acting = fixed or graph
    whole = acting if fitted is None else NoveltyGraph(acting, Novelty(fitted))
    with replacing(file) as aside:
        write_graph(whole, draw_inputs(acting, metadata, 2, np.random.default_rng(config.seed)), aside, config.opset)
        draws = fixed.draws(PARITY_BATCH) if fixed else {}
        parity = measure_parity(graph, metadata, aside, config.seed, draws, config.opset)
        check_resolution(acting, metadata, aside, config.seed)
        model = onnx.load(aside)
        opset = model.opset_import[0].version
        spec = describe(metadata, parity, config, fidelity or {}, fitted, opset)
        onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
        onnx.checker.check_model(model, full_check=True)
        onnx.save(model, aside)
        open_session(aside, provider=ProviderSettings(), intra_op_threads=1, inter_op_threads=1)  # as a robot does
    return spec


def _demonstrations(
    folder: Path, metadata: CheckpointMetadata, demonstrations: DemonstrationSet | None
) -> tuple[DemonstrationSet, tuple[str, ...]]:
    """Return the demonstrations, and warnings if they may not be the policy's training data."""
    if demonstrations is None:
        try:
            demonstrations = load_linked(folder)
        except DemonstrationError as error:
            raise DemonstrationError(
                f"{error}. The density of the observations is fitted to them; --no-novelty exports without it"
            ) from error
    demonstrations.header.signature.check(
        metadata.signature,
        "the demonstrations",
        f"the checkpoint '{printable(folder)}'",
        "give those that it learned from (--demos), or export without novelty (--no-novelty)",
        CheckpointError,
    )
    return demonstrations, origin_warning(metadata, demonstrations.sha256, "the policy", "novelty is judged by")


def describe(
    metadata: CheckpointMetadata,
    parity: Parity,
    config: ExportConfig,
    fidelity: dict[str, Any],
    fitted: Fitted | None,
    opset: int,
) -> PolicySpec:
    """Return the metadata of a policy file."""
    lists = metadata.statistics
    limits = zip(metadata.action, lists["action_low"], lists["action_high"], strict=True)
    kind = KINDS[metadata.structure]
    fixed = {DETERMINISTIC: True} if config.deterministic else {}
    noise = {"noise": config.seed} if config.deterministic and kind.draws_noise else {}
    own = {"experts": None, "covariance": None, "sampling_steps": None} | kind.describe(metadata, config)
    return PolicySpec(
        schema_version=SCHEMA_VERSION,
        structure=metadata.structure,
        method=metadata.method,
        task=metadata.task,
        observation=metadata.observation,
        action=tuple(replace(entry, low=low, high=high) for entry, low, high in limits),
        rate_hz=metadata.rate_hz,
        history=metadata.model["history"],
        horizon=metadata.model["horizon"] - metadata.model.get("past", 0),
        goal_length=metadata.model["goal_length"],
        **own,
        statistics=SpecStatistics(
            **{
                name: tuple(lists[name])
                for name in ("observation_mean", "observation_std", "action_mean", "action_std")
            }
        ),
        teacher_sha256=metadata.teacher_sha256,
        data_sha256=metadata.data_sha256,
        warnings=metadata.warnings,
        seeds={"training": metadata.settings.get("seed"), "parity": config.seed, **noise},
        versions={**metadata.versions, "onnx": onnx.__version__, "exporter": EXPORTER, "opset": opset},
        fidelity=fidelity,
        settings={**metadata.settings, "steps_done": metadata.steps, **kind.sampling(config), **fixed},
        parity=parity,
        novelty=None if fitted is None else SpecNovelty(fitted.bound, QUANTILE, len(fitted.weights)),
    )
