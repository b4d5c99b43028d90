"""What `vdd COMMAND --help` says of each setting."""

from collections import Counter
from dataclasses import fields
from typing import Any

import pytest

from vdd_ros.learning.field_docs import field_docs
from vdd_ros.learning.methods.configs import (
    CDConfig,
    CTMConfig,
    DistilConfig,
    EMConfig,
    ExportConfig,
    IMCConfig,
    TrainConfig,
)


@pytest.mark.parametrize("config", [TrainConfig, DistilConfig, CDConfig, CTMConfig, EMConfig, IMCConfig, ExportConfig])
def test_every_setting_has_a_text_of_its_own(config: type[Any]) -> None:
    """Two options with one text leave open which is which."""
    docs = field_docs(config)
    texts = Counter(docs[field.name] for field in fields(config))
    assert [text for text, times in texts.items() if times > 1] == []
