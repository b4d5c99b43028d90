"""Stand-ins for the messages of /tf."""

from types import SimpleNamespace
from typing import Any

from vdd_ros.robot.transforms import Transform, TransformBuffer


def stamped(child: str, parent: str, transform: Transform, time_s: float = 0.0) -> Any:
    """Return a stand-in for a TransformStamped."""
    sec, nanosec = divmod(round(time_s * 1e9), 1_000_000_000)
    x, y, z = transform.translation
    a, b, c, d = transform.rotation
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec), frame_id=parent),
        child_frame_id=child,
        transform=SimpleNamespace(
            translation=SimpleNamespace(x=x, y=y, z=z), rotation=SimpleNamespace(x=a, y=b, z=c, w=d)
        ),
    )


def tell(buffer: TransformBuffer, *transforms: Any, static: bool = False) -> None:
    """Give a buffer transforms in one message."""
    buffer.receive(SimpleNamespace(transforms=list(transforms)), static=static)
