# SPDX-License-Identifier: Apache-2.0
"""The teacher (SSD-T): depth learnt from video of clear days alone, by how well it redraws one frame from the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pydantic
import torch
from torch import Tensor, nn

from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.data.transforms import Sample
from ssd_core.data.triplets import Augmentation
from ssd_core.images.colour_map import colourise_depth
from ssd_core.images.contact_sheet import contact_sheet
from ssd_core.losses.flow import flow_loss
from ssd_core.losses.ground import drives_along, farthest_road, ground_loss
from ssd_core.losses.photometric import minimum_reprojection
from ssd_core.losses.smoothness import smoothness_loss
from ssd_core.losses.triangulation import triangulation_loss
from ssd_core.losses.velocity import velocity_loss
from ssd_core.model.checkpoint import save_checkpoint
from ssd_core.model.depth_model import DepthModel
from ssd_core.model.flow_motion import triangulate
from ssd_core.model.pose_net import CELL, PoseNet, PoseNetConfig, PosePrediction, create_pose_net, save_pose_net
from ssd_core.storage.atomic_write import atomic_directory
from ssd_core.storage.configuration import StrictModel
from ssd_core.training.config import TrainingConfig
from ssd_core.training.depth_network import describe, make_model, parameter_groups, pixels, predict_metres
from ssd_core.training.trainer import Picture
from ssd_core.training.validation import Depth, DepthJudge, MotionJudge
from ssd_core.training.video import RecordedVideo, VideoDataset, check_scale_is_known, open_video
from ssd_core.training.view_synthesis import Views, resize_by_inverse_depth, synthesise

POSE_NET_FOLDER = "pose_net"
"""Inside a checkpoint folder of the teacher."""

_AGREEMENT = 2.0
"""Classical flow that fails, as on fast motorways, can't be taught: the velocity loss would push depth up instead, until too short a flow
meant the right distance. Where both lengths differ by more than this, it has no say."""

_SURE = 0.5
"""Confidence in flow from which on something is told to move by itself."""


class VideoData(StrictModel):
    """Videos: recordings, or plans of what to render."""

    train: tuple[RenderedSequences | RecordedVideo, ...] = pydantic.Field(min_length=1)
    validation: tuple[RenderedSequences | RecordedVideo, ...] = pydantic.Field(min_length=1)
    """Best of other scenes; known depth and poses there are used to judge, never to learn."""
    image_size: tuple[pydantic.PositiveInt, pydantic.PositiveInt] = (576, 320)
    """(width, height) of the images in the losses and of the pose network's input; the paper's 576x320."""
    validation_frames: pydantic.PositiveInt = 120
    """As many as this, evenly spaced."""
    flip: float = pydantic.Field(default=0.5, ge=0, le=1)
    """How often a triplet is mirrored."""
    colours: float = pydantic.Field(default=0.5, ge=0, le=1)
    """How often the depth network's input gets other colours; the losses' images never do."""
    noise: float = pydantic.Field(default=0.5, ge=0, le=1)


class PoseConfig(PoseNetConfig):
    """The pose network; only training needs it."""

    encoder: str | None = None
    """ImageNet weights for `resnet`: a Hub id (`microsoft/resnet-18`) or a folder; with `normalisation: frozen_batch`."""


class TeacherLoss(StrictModel):
    """Weights beside the photometric loss, which counts 1."""

    smoothness: pydantic.NonNegativeFloat = 1e-3
    velocity: pydantic.NonNegativeFloat = 0.02
    """What makes depth metric; 0 trains without scale, which needs neither poses nor speeds."""
    flow: pydantic.NonNegativeFloat = 0.1
    """Photometric error of the flow that the pose network `correlation` finds; ours."""
    triangulation: pydantic.NonNegativeFloat = 0.0
    """Relative difference from the depth that the flow of the pose network `flow` and the motion give, where they do; ours."""
    ground: pydantic.NonNegativeFloat = 0.0
    """How far depth reaches below a road `model.camera_height` metres under the camera; with the pose network `flow`, what drives along
    is then left out of the other losses. Ours."""
    divisors: tuple[pydantic.PositiveInt, ...] = pydantic.Field(default=(1,), min_length=1)
    """The losses are means over images with sides divided by these; [2, 4] finds its way from random weights, 1 sees thin things."""


class TeacherConfig(TrainingConfig):
    """Depth from video."""

    task: Literal["teacher"] = "teacher"
    data: VideoData
    pose: PoseConfig = PoseConfig()
    loss: TeacherLoss = TeacherLoss()
    focal_length: pydantic.PositiveFloat | None = None
    """fx of a canonical camera as a share of the input's width, for data of several cameras; none: metres of the one camera."""

    @pydantic.model_validator(mode="after")
    def _has_one_size(self) -> TeacherConfig:
        if self.model.other_input_sizes or self.model.early_input_sizes:
            raise ValueError("model.other_input_sizes, model.early_input_sizes: video is learnt from at one size")
        return self

    @pydantic.model_validator(mode="after")
    def _begins_with_a_road(self) -> TeacherConfig:
        model = self.model
        begins_with_a_road = model.start != "random" or (model.camera_input and model.architecture != "vit")
        if self.pose.architecture == "flow" and self.pose.depth == "network" and not begins_with_a_road:
            raise ValueError(
                "pose.architecture: 'flow' takes the depth network's depth, which must begin with a road: "
                "model.architecture=efficientnet (or resnet) with model.camera_input=true, or pose.depth=road"
            )
        if self.loss.triangulation and self.pose.architecture != "flow":
            raise ValueError("loss.triangulation: only the flow of pose.architecture=flow tells depth; set one or the other")
        return self


class VideoPrediction(NamedTuple):
    """Depth [B, 1, h, w] of the current frame in metres at the network's size, and the camera's motion."""

    depth: Tensor
    pose: PosePrediction


class _FlowDepth(NamedTuple):
    """At the cells of classical flow, all [B, 1, h, w]: metres, how far they are believed (0 to 1), and where something drives along."""

    depth: Tensor
    trust: Tensor
    moves: Tensor


class TeacherNetworks(nn.Module):
    """The depth and the pose network as one module, so that they are trained, averaged and shared between processes together."""

    def __init__(self, depth: DepthModel, pose: PoseNet) -> None:
        super().__init__()
        self.depth, self.pose = depth, pose

    def forward(self, inputs: Tensor, input_intrinsics: Tensor, images: Tensor, intrinsics: Tensor) -> VideoPrediction:
        """inputs [B, 3, h, w] in 0..1 with their matrices [B, 3, 3]; images and intrinsics as `synthesise` takes."""
        depth = self.depth.predict_metres(inputs, input_intrinsics).depth
        return VideoPrediction(depth, self.pose(images, intrinsics, resize_by_inverse_depth(depth, (images.shape[-2], images.shape[-1]))))


class TeacherTask:
    """L_T = L_photometric + smoothness * L_smooth + velocity * L_velocity.

    Where asked for also flow * L_flow (of the correlation pose network), triangulation * L_triangulation and ground * L_ground.
    """

    higher_is_better = False

    def __init__(self, config: TeacherConfig, train: Sequence[Path], validation: Sequence[Path]) -> None:
        """`train` and `validation`: where the recordings are or the plans were rendered, in the configuration's order.

        Raises DataError for recordings without triplets, or without odometry unless the velocity loss is off.
        """
        self.config, data = config, config.data
        videos = [open_video(source, folder) for source, folder in zip(data.train, train, strict=True)]
        if config.loss.velocity:
            check_scale_is_known(videos)
        augmentation = Augmentation(data.flip, data.colours, data.noise)
        self.dataset = VideoDataset(videos, data.image_size, config.model.input_size, config.loop.seed, augmentation)
        recipe = config.model_dump(mode="json")
        camera = self.dataset.training_camera(config.model.input_size)
        description = describe(config.model, recipe, config.focal_length, camera)
        pose_config = PoseNetConfig.model_validate(config.pose.model_dump(exclude={"encoder"}))
        self.networks = TeacherNetworks(
            make_model(config.model, description, config.loop.seed), create_pose_net(pose_config, config.loop.seed, config.pose.encoder)
        )
        self.module: nn.Module = self.networks
        held_out = [open_video(source, folder) for source, folder in zip(data.validation, validation, strict=True)]
        self._held_out = VideoDataset(held_out, data.image_size, config.model.input_size)
        self._judge = DepthJudge(held_out, videos, data.validation_frames, config.model.input_size, config.model.max_depth)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Encoder, neck and head, pose network."""
        loop = self.config.loop
        groups = parameter_groups(self.networks.depth, self.networks.depth.encoder, loop.encoder_learning_rate, loop.head_learning_rate)
        pose = list(self.networks.pose.parameters())
        return [*groups, {"params": pose, "lr": loop.pose_learning_rate}] if pose else groups

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:  # noqa: ARG002
        """`loss` and its terms; "moving" is the share of pixels that the auto-mask keeps. The batch is of `VideoDataset`."""
        images = pixels(batch["images"])
        prediction: VideoPrediction = module(pixels(batch["input"]), batch["input_intrinsics"], images, batch["intrinsics"])
        with torch.autocast(images.device.type, enabled=False):
            return self._terms(prediction, images, batch)

    def _terms(self, prediction: VideoPrediction, images: Tensor, batch: Mapping[str, Any]) -> dict[str, Tensor]:
        weights, motions = self.config.loss, prediction.pose.neighbours_from_current.float()
        from_flow = self._from_flow(prediction.pose, batch)
        left_out = None if from_flow is None else from_flow.moves
        photometric, smoothness, moving = [], [], []
        for divisor in weights.divisors:
            views = synthesise(images, batch["intrinsics"], prediction.depth, motions, divisor)
            result = minimum_reprojection(views.target, views.warped, views.sources, _resized(left_out, views.target))
            photometric.append(result.loss)
            smoothness.append(smoothness_loss(views.disparity, views.target))
            moving.append(result.moving.float().mean())
        terms = {"photometric": torch.stack(photometric).mean(), "smoothness": torch.stack(smoothness).mean()}
        loss = terms["photometric"] + weights.smoothness * terms["smoothness"]
        if weights.velocity:
            distances = batch["distances"]
            if self.config.pose.architecture == "flow":
                distances = _believable(distances, motions)
            terms["velocity"] = _known_velocity_loss(motions, distances)
            loss = loss + weights.velocity * terms["velocity"]
        if from_flow is None and prediction.pose.flow is not None and weights.flow:
            terms["flow"] = _mean_flow_loss(images, prediction.pose.flow)
            loss = loss + weights.flow * terms["flow"]
        if from_flow is not None and weights.triangulation:
            depth = resize_by_inverse_depth(prediction.depth, (images.shape[-2], images.shape[-1]))[..., ::CELL, ::CELL]
            terms["triangulation"] = triangulation_loss(depth, from_flow.depth, from_flow.trust)
            loss = loss + weights.triangulation * terms["triangulation"]
        if weights.ground:
            depth = prediction.depth
            farthest = farthest_road(batch["input_intrinsics"], self.config.model.camera_height, (depth.shape[-2], depth.shape[-1]))
            terms["ground"] = ground_loss(depth, farthest)
            loss = loss + weights.ground * terms["ground"]
        return {"loss": loss, **terms, "moving": torch.stack(moving).mean()}

    def _from_flow(self, pose: PosePrediction, batch: Mapping[str, Any]) -> _FlowDepth | None:
        """None but with the pose network `flow`."""
        if pose.flow is None or pose.confidence is None:
            return None
        # Motions as long as was driven, where that is known and believable, so that depth is pulled to metres.
        motions, intrinsics = _as_long_as_driven(pose, batch["distances"]), batch["intrinsics"]
        found = triangulate(pose.flow, pose.confidence, motions, intrinsics[:, [1, 0, 2]], CELL)
        size = (pose.flow.shape[-2], pose.flow.shape[-1])
        moves = drives_along(found.depth, farthest_road(intrinsics[:, 1], self.config.model.camera_height, size, CELL))
        if not self.config.loss.ground:
            moves = torch.zeros_like(moves)
        return _FlowDepth(found.depth, found.trust * ~moves, moves & (pose.confidence > _SURE).all(dim=1, keepdim=True))

    def validate(self) -> dict[str, float]:
        """Photometric loss, errors of the motion, and of depth by condition; `score` is the absRel by day where depth is known
        (median-scaled without the velocity loss), or else the photometric loss.
        """
        figures = self._judge_video() | self._judge.figures(self._predict_depth)
        scaled = "abs_rel" if self.config.loss.velocity else "abs_rel_median"
        known = [value for name, value in figures.items() if name.endswith(f"/{scaled}")]
        learnt = [value for name, value in figures.items() if name == f"{self._held_out.triplets[0].current.condition}/{scaled}"]
        return {"score": (learnt or known or [figures["photometric"]])[0], **figures}

    def _judge_video(self) -> dict[str, float]:
        judge, triplets = MotionJudge(self.dataset.triplets), self._held_out.triplets
        count = min(len(triplets), self.config.data.validation_frames)
        photometric = []
        for place in np.unique(np.linspace(0, len(triplets) - 1, count).astype(int)):
            batch = single_batch(self._held_out[int(place)], self.networks)
            prediction = self._predict(batch)
            photometric.append(float(self._terms(prediction, pixels(batch["images"]), batch)["photometric"]))
            judge.add(triplets[int(place)], list(prediction.pose.neighbours_from_current[0].double().cpu().numpy()))
        return {"photometric": float(np.mean(photometric)), **judge.figures()}

    def _predict_depth(self, sample: Sample) -> Depth:
        return predict_metres(self.networks.depth, sample)

    def _predict(self, batch: Mapping[str, Any]) -> VideoPrediction:
        inputs = pixels(batch["original_input"])
        prediction: VideoPrediction = self.networks(inputs, batch["input_intrinsics"], pixels(batch["images"]), batch["intrinsics"])
        return prediction

    def picture(self, batch: Mapping[str, Any]) -> Picture:
        """Input, depth, what the auto-mask keeps, and the current frame redrawn from the next one, of up to four items."""
        first = {name: value[:4] for name, value in batch.items()}
        prediction = self._predict(first)
        motions, divisor = prediction.pose.neighbours_from_current, self.config.loss.divisors[0]
        views = synthesise(pixels(first["images"]), first["intrinsics"], prediction.depth, motions, divisor)
        from_flow = self._from_flow(prediction.pose, first)
        left_out = None if from_flow is None else from_flow.moves
        return draw_views(first["original_input"], prediction.depth, views, left_out=left_out)

    def save(self, folder: Path) -> None:
        """A checkpoint that the estimator loads, with the pose network beside it for the student."""
        with atomic_directory(folder) as whole:
            save_checkpoint(whole, self.networks.depth, half=True)
            save_pose_net(whole / POSE_NET_FOLDER, self.networks.pose)


def single_batch(item: Mapping[str, Any], module: nn.Module) -> dict[str, Any]:
    """One item of a `VideoDataset` as a batch on the module's device."""
    device = next(module.parameters()).device
    return {name: torch.from_numpy(np.asarray(value))[None].to(device) for name, value in item.items() if isinstance(value, np.ndarray)}


def draw_views(
    inputs: Tensor,
    depth: Tensor,
    views: Views,
    more: Mapping[str, Sequence[Picture]] | None = None,
    left_out: Tensor | None = None,
) -> Picture:
    """A sheet: inputs uint8 [B, h, w, 3], depth [B, 1, h, w], auto-mask and redrawn frame; `more`: further columns by label.

    left_out: bool [B, 1, cells], where something drives along, black in the auto-mask as in the loss.
    """
    moving = minimum_reprojection(views.target, views.warped, views.sources, _resized(left_out, views.target)).moving
    redrawn = (views.warped[1].image.clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    columns: dict[str, Sequence[Picture]] = {
        "input": list(inputs.cpu().numpy()),
        "depth": draw_depths(depth),
        "auto-mask": draw_masks(moving),
    }
    columns |= {"from the next frame": list(redrawn), **(more or {})}
    return contact_sheet(list(zip(*columns.values(), strict=True)), 320, column_labels=list(columns))


def draw_depths(depth: Tensor) -> list[Picture]:
    """Metres [B, 1, h, w] in colours."""
    return [colourise_depth(metres) for metres in depth[:, 0].float().cpu().numpy()]


def draw_masks(masks: Tensor) -> list[Picture]:
    """Masks [B, 1, h, w], white where true."""
    return [np.repeat(mask.astype(np.uint8)[..., None] * 255, 3, axis=-1) for mask in masks[:, 0].cpu().numpy()]


def _believable(distances: Tensor, motions: Tensor) -> Tensor:
    """Distances [B, 2], NaN where the motions' lengths are other ones altogether."""
    lengths = motions[:, :, :3, 3].detach().norm(dim=-1)
    agree = (lengths < _AGREEMENT * distances) & (distances < _AGREEMENT * lengths)
    return torch.where(agree, distances, torch.nan)


def _known_velocity_loss(motions: Tensor, distances: Tensor) -> Tensor:
    known = torch.isfinite(distances)
    lengths = motions[:, :, :3, 3][known]
    return velocity_loss(lengths, distances[known]) if len(lengths) else motions.sum() * 0


def _resized(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """Of cells, to the size of images; a cell counts for its neighbours too, since flow is blurred."""
    if mask is None:
        return None
    wider = torch.nn.functional.max_pool2d(mask.float(), 3, stride=1, padding=1)
    return torch.nn.functional.interpolate(wider, like.shape[-2:], mode="nearest") > 0


def _as_long_as_driven(pose: PosePrediction, distances: Tensor) -> Tensor:
    """Motions [B, 2, 4, 4], constants, of measured length where that is known and believable."""
    motions = pose.neighbours_from_current.detach().float()
    believable = _believable(distances, motions)
    lengths = motions[:, :, :3, 3].norm(dim=-1)
    factors = torch.where(torch.isfinite(believable), believable / lengths, 1.0)
    scaled = motions.clone()
    scaled[:, :, :3, 3] *= factors[..., None]
    return scaled


def _mean_flow_loss(images: Tensor, flow: Tensor) -> Tensor:
    previous, following = (flow_loss(images[:, 1], images[:, place], flow[:, direction], CELL) for direction, place in ((0, 0), (1, 2)))
    return (previous + following) / 2
