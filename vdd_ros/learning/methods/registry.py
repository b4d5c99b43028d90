"""Registry of training methods; torch is imported only when a method trains.

A package adds a method with a `Method` and one line in its metadata:

    [project.entry-points."vdd_ros.methods"]
    moment_matching = "my_package.moment_matching:METHOD"
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, get_args

from vdd_ros.errors import ConfigurationError, PluginError
from vdd_ros.learning.configs import FitConfig, Structure, WindowConfig
from vdd_ros.learning.diffusion.teachers import TEACHERS
from vdd_ros.learning.methods.configs import TrainConfig
from vdd_ros.learning.methods.presets import TRAIN_PRESETS
from vdd_ros.registry import Registry, imported
from vdd_ros.text import printable

TrainsFrom = Literal["teacher", "data"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method.

    Attributes:
        name: On the command line, in checkpoints and in policy files.
        label: For tables.
        summary: A few words for help.
        structure: Structure of its policies.
        trains_from: Whether it distils a `teacher`, or learns from `data` alone.
        config: Its settings: a frozen dataclass whose fields have defaults and a text each under `Attributes:`. It
            extends `FitConfig`; where the method trains from data, `WindowConfig` too.
        make: (source, config) -> `learning.fit.fit.TrainingJob`; the source is a `TeacherSource` or a `DataSource` of
            `learning.methods.sources`. Torch's global generator is seeded before each call.
        presets: Settings by name, which replace defaults.

    Raises:
        PluginError: A field cannot be used.
    """

    name: str
    label: str
    summary: str
    structure: Structure
    trains_from: TrainsFrom
    config: type[FitConfig]
    make: Callable[..., Any]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse invalid fields."""
        for name in ("name", "label", "summary"):
            if not isinstance(value := getattr(self, name), str):
                self._refuse(f"has the {name} {printable(value)!r}, which is not a text")
        for name, choices in (("structure", Structure), ("trains_from", TrainsFrom)):
            if (value := getattr(self, name)) not in get_args(choices):
                self._refuse(f"has the {name} '{printable(value)}'; allowed: {', '.join(get_args(choices))}")
        config: Any = self.config
        if not (isinstance(config, type) and is_dataclass(config) and issubclass(config, FitConfig)):
            self._refuse("has a config that is not a dataclass derived from vdd_ros.learning.configs.FitConfig")
        if self.trains_from == "data" and not issubclass(config, WindowConfig):
            self._refuse("trains from data, so its config must derive from vdd_ros.learning.configs.WindowConfig too")
        if not isinstance(self.presets, Mapping) or not all(isinstance(one, Mapping) for one in self.presets.values()):
            self._refuse("has presets that are not a mapping from names to settings")
        if unknown := sorted({key for preset in self.presets.values() for key in preset} - self.settings):
            self._refuse(f"has a preset of '{printable(unknown[0])}', which is not a setting of it")

    def _refuse(self, problem: str) -> None:
        raise PluginError(f"the method '{printable(self.name)}' {problem}")

    @property
    def settings(self) -> set[str]:
        """Names of its settings."""
        return {one.name for one in fields(self.config)}


def teacher_method(kind: str) -> Method:
    """Return the method that trains teachers of a kind.

    Raises:
        ConfigurationError: There is no such kind.
    """
    teacher = TEACHERS.get(kind)
    return Method(
        name=teacher.name,
        label=teacher.label,
        summary=teacher.summary,
        structure="diffusion",
        trains_from="data",
        config=TrainConfig,
        make=imported("vdd_ros.learning.methods.teacher:teacher_job"),
        presets=TRAIN_PRESETS,
    )


_SHIPPED = "vdd_ros.learning.methods.shipped"
_NAMES = ("vdd", "cd", "ctm", "em", "imc", "diff-instruct", "em-distil", "shortcut", "srpo")
METHODS: Registry[Method] = Registry(
    "vdd_ros.methods",
    "method",
    Method,
    ConfigurationError,
    {name: f"{_SHIPPED}:{name.upper().replace('-', '_')}" for name in _NAMES},
    own_name=lambda method: method.name,
)


def all_methods() -> list[Method]:
    """Return every usable method, the shipped ones first; `METHODS.usable` reports why others are not."""
    return list(METHODS.usable()[0].values())
