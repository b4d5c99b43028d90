"""Topics in the ROS graph: types, and quality of service for subscribing and for the bag."""

from collections.abc import Sequence

from rclpy.duration import Duration
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

from vdd_ros.errors import RecordingError

# Messages the middleware may queue while the disk is busy.
_DEPTH = 1000


def common_type(topic: str, publishers: Sequence[TopicEndpointInfo], recorded: str | None = None) -> str:
    """Return the one type of a topic that all publishers use and the bag records; raises RecordingError otherwise."""
    types = sorted({publisher.topic_type for publisher in publishers} | ({recorded} if recorded else set()))
    if len(types) > 1:
        raise RecordingError(
            f"topic {topic} is published with different types: {', '.join(types)}; a bag needs one: stop or remap the "
            f"wrong publisher"
        )
    return types[0]


def subscription_qos(publishers: Sequence[TopicEndpointInfo]) -> QoSProfile:
    """Return the strictest profile that matches every publisher."""
    reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
    latched = all(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers)
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=_DEPTH,
        reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


def offered_qos(publishers: Sequence[TopicEndpointInfo]) -> list[Qos]:
    """Return the publishers' profiles in the form of a bag, so that a player can offer the same."""
    return [_bag_qos(publisher.qos_profile) for publisher in publishers]


def _bag_qos(profile: QoSProfile) -> Qos:
    return Qos(
        QosHistory(int(profile.history)),
        profile.depth,
        QosReliability(int(profile.reliability)),
        QosDurability(int(profile.durability)),
        _time(profile.deadline),
        _time(profile.lifespan),
        QosLiveliness(int(profile.liveliness)),
        _time(profile.liveliness_lease_duration),
        profile.avoid_ros_namespace_conventions,
    )


def _time(duration: Duration) -> QosTime:
    return QosTime(*divmod(duration.nanoseconds, 1_000_000_000))
