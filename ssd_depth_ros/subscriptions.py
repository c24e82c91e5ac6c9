# SPDX-License-Identifier: Apache-2.0
"""Subscriptions that find their publisher: raw or compressed, reliable or best-effort, whatever the graph offers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

_TYPES: dict[str, Any] = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}


@dataclasses.dataclass(frozen=True)
class Source:
    """Where messages come from: a resolved topic and its message class."""

    topic: str
    message_type: Any


def find_image_source(node: Node, topic: str, transport: str) -> Source | None:
    """Look at the graph for a publisher of `topic`, then of its `/compressed` sibling; None if there is none of a fitting type.

    transport: auto, raw or compressed; raw needs no publisher, its topic and type are known.
    """
    resolved = node.resolve_topic_name(topic)
    if transport == "raw":
        return Source(resolved, Image)
    for candidate in (resolved, _compressed_sibling(node, topic, resolved)):
        for message_type in (Image, CompressedImage):
            source = Source(candidate, message_type)
            if (transport == "auto" or message_type is CompressedImage) and is_published(node, source):
                return source
    return None


def is_published(node: Node, source: Source) -> bool:
    """Whether anybody publishes images of this very type on the topic now."""
    endpoints = node.get_publishers_info_by_topic(source.topic)
    return any(_TYPES.get(endpoint.topic_type) is source.message_type for endpoint in endpoints)


def keeps_messages(node: Node, topic: str) -> bool:
    """Whether all publishers of the topic keep what they have published for those who come later (transient local)."""
    endpoints = node.get_publishers_info_by_topic(node.resolve_topic_name(topic))
    return bool(endpoints) and all(endpoint.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for endpoint in endpoints)


def _compressed_sibling(node: Node, topic: str, resolved: str) -> str:
    sibling = f"{topic}/compressed"
    remapped = node.resolve_topic_name(sibling)
    # A rule for the sibling itself wins over "wherever the image topic was remapped to".
    return remapped if remapped != node.resolve_topic_name(sibling, only_expand=True) else f"{resolved}/compressed"


class AdaptiveSubscription:
    """Reliable; becomes best-effort and volatile as soon as a publisher turns out to offer no more than that.

    Large best-effort messages are mostly lost on default transports, and a reliable subscription gets nothing at all from a
    best-effort publisher, so neither can be chosen beforehand. depth: length of the queue, 1 is newest-wins. raw: the callback gets
    serialised bytes. transient_local: also ask for what was published earlier.
    """

    def __init__(
        self,
        node: Node,
        source: Source,
        callback: Callable[[Any], None],
        *,
        depth: int = 1,
        raw: bool = False,
        transient_local: bool = False,
    ) -> None:
        self._node = node
        self.source = source
        self._callback = callback
        self._depth = depth
        self._raw = raw
        self.asks_for_kept = transient_local
        self._fallback = node.create_guard_condition(self._become_best_effort)
        durability = DurabilityPolicy.TRANSIENT_LOCAL if transient_local else DurabilityPolicy.VOLATILE
        self._subscription: Subscription[Any] | None = self._subscribe(ReliabilityPolicy.RELIABLE, durability)

    @property
    def is_best_effort(self) -> bool:
        """Whether it has fallen back."""
        return self._subscription is not None and self._subscription.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT

    def destroy(self) -> None:
        """Stop receiving."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self._node.destroy_guard_condition(self._fallback)

    def _subscribe(self, reliability: ReliabilityPolicy, durability: DurabilityPolicy) -> Subscription[Any]:
        first = reliability == ReliabilityPolicy.RELIABLE
        return self._node.create_subscription(
            self.source.message_type,
            self.source.topic,
            self._callback,
            QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=self._depth, reliability=reliability, durability=durability),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._incompatible if first else None),
            # The overrides would make the fallback reliable again.
            qos_overriding_options=QoSOverridingOptions.with_default_policies() if first else None,
            raw=self._raw,
        )

    def _incompatible(self, _: Any) -> None:
        # A subscription can't be replaced inside its own event: the executor still holds it.
        self._fallback.trigger()

    def _become_best_effort(self) -> None:
        if self._subscription is None or self.is_best_effort:
            return
        self._node.get_logger().info(f"{self.source.topic}: its publisher is best-effort, so this subscription becomes best-effort too")
        self._node.destroy_subscription(self._subscription)
        self._subscription = self._subscribe(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE)
