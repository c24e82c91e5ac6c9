# SPDX-License-Identifier: Apache-2.0
"""The student (SSD-S): shown a clear day or its translation to night or rain, it says what the frozen teacher says of the day."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pydantic
import torch
from torch import Tensor, nn

from ssd_core.data.errors import DataError
from ssd_core.data.rendered_sequences import RenderedSequences
from ssd_core.data.translations import translations_folder
from ssd_core.data.triplets import Augmentation
from ssd_core.losses.photometric import minimum_reprojection, reprojection_error
from ssd_core.losses.semantic import semantic_loss
from ssd_core.losses.teacher import DistillationLoss, ReliabilityMask, distillation_loss, reliability_mask
from ssd_core.model.checkpoint import ModelLoadError, find_folder, load_network, open_checkpoint, save_checkpoint
from ssd_core.model.config import PATCH_SIZE, ModelDescription, Preprocessing
from ssd_core.model.depth_model import DepthModel, DepthPrediction
from ssd_core.model.pose_net import PoseNet, load_pose_net
from ssd_core.storage.configuration import StrictModel
from ssd_core.training.config import TrainingConfig
from ssd_core.training.depth_network import make_model, parameter_groups, pixels, predict_metres
from ssd_core.training.teacher import POSE_NET_FOLDER, VideoData, draw_depths, draw_masks, draw_views, single_batch
from ssd_core.training.trainer import Picture
from ssd_core.training.validation import DepthJudge
from ssd_core.training.video import RecordedVideo, StandIns, Video, VideoDataset, aligned_stand_ins, open_video, translated_stand_ins
from ssd_core.training.view_synthesis import Views, resize_by_inverse_depth, synthesise


class StudentData(VideoData):
    """Videos of clear days, and what the student is shown in their place."""

    p_original: float = pydantic.Field(default=1 / 3, ge=0, le=1)
    """How often the student sees the day itself: 1/3 as md4all, 2/3 as printed in the paper; 1 is the control without translations."""
    conditions: tuple[str, ...] = ("night", "day-rain")
    """Of the translations used."""
    translator: str | None = None
    """Whose pictures, by the manifest of a frame dataset; none: the recording's own frames of other conditions at the same time, which
    rendered ones have."""


def _odd(window: int) -> int:
    if window % 2 == 0:
        raise ValueError("it must be odd: pixels lie in the middle of their windows")
    return window


class StudentLoss(StrictModel):
    """L_S = M * L_distil + semantic * L_sem."""

    mask: ReliabilityMask = "teacher_better"
    """Where the teacher counts: pe_T <= pe_S; `printed` is pe_T > pe_S as in the paper; `none` is everywhere."""
    window: Annotated[int, pydantic.Field(ge=1), pydantic.AfterValidator(_odd)] = 1
    """Odd; errors are averaged over window x window pixels before they are compared."""
    semantic: pydantic.NonNegativeFloat = 0.1
    """0 where no frozen encoder has the student's features: a student with `start_from: model` may be of any kind."""
    semantic_encoder: str | None = None
    """A frozen DINOv2, Hub id or folder, as wide as the student's encoder; none: the teacher's own encoder, if that is as wide."""


class StudentConfig(TrainingConfig):
    """Robust depth from a teacher."""

    task: Literal["student"] = "student"
    data: StudentData
    teacher: str
    """Checkpoint folder of a `task: teacher` run, such as runs/teacher/best."""
    start_from: Literal["teacher", "teacher_encoder", "model"] = "teacher"
    """The student's first weights: all of the teacher's, its encoder's alone, or what `model` says, which else counts for nothing."""
    loss: StudentLoss = StudentLoss()


class _Seen(NamedTuple):
    """The frozen networks' view of a batch, without gradients."""

    depth: Tensor
    """[B, 1, h, w] the teacher's metres at the network's size."""
    features: Tensor
    """[B, N, C] of the semantic encoder."""
    motions: Tensor
    """[B, 2, 4, 4] neighbours_from_current."""


class StudentNetwork(nn.Module):
    """The depth network with its last features: one forward, so that processes can share it."""

    def __init__(self, depth: DepthModel) -> None:
        super().__init__()
        self.depth = depth

    def forward(self, inputs: Tensor, intrinsics: Tensor) -> DepthPrediction:
        """inputs [B, 3, h, w] in 0..1 with their matrices [B, 3, 3]; see `DepthModel.predict_metres`."""
        return self.depth.predict_metres(inputs, intrinsics)


class Frozen(nn.Module):
    """Teacher, its pose network and the semantic encoder: always in evaluation mode, without gradients, never changed."""

    mean: Tensor
    std: Tensor

    def __init__(self, depth: DepthModel, pose: PoseNet, encoder: Any = None) -> None:
        """encoder: a transformers Dinov2Backbone; None: the teacher's own features serve."""
        super().__init__()
        self.depth, self.pose, self.encoder = depth, pose, encoder
        preprocessing = Preprocessing()
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(preprocessing, name)).reshape(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> Frozen:  # noqa: ARG002
        """Stays in evaluation mode."""
        super().train(False)
        return self

    @torch.no_grad()
    def forward(self, inputs: Tensor, input_intrinsics: Tensor, images: Tensor, intrinsics: Tensor) -> _Seen:
        """As of `TeacherNetworks`; the inputs are the original day."""
        prediction = self.depth.predict_metres(inputs, input_intrinsics)
        features = prediction.patch_tokens if self.encoder is None else self._features(inputs)
        depth = resize_by_inverse_depth(prediction.depth, (images.shape[-2], images.shape[-1]))
        motions = self.pose(images, intrinsics, depth).neighbours_from_current.float()
        return _Seen(prediction.depth, features, motions)

    @torch.no_grad()
    def features(self, inputs: Tensor, input_intrinsics: Tensor) -> Tensor:
        """[B, N, C] of the semantic encoder alone."""
        return self.depth.patch_tokens(inputs, input_intrinsics) if self.encoder is None else self._features(inputs)

    def _features(self, inputs: Tensor) -> Tensor:
        features: Tensor = self.encoder((inputs - self.mean) / self.std).feature_maps[-1]
        return features.flatten(2).transpose(1, 2)


class StudentTask:
    """L_S = M * |D_s - D_t| / D_t + semantic * (1 - cos): depth and features of the day, whatever the weather shown."""

    higher_is_better = False

    def __init__(self, config: StudentConfig, train: Sequence[Path], validation: Sequence[Path]) -> None:
        """`train` and `validation`: where the recordings are or the plans were rendered, in the configuration's order.

        Raises ModelLoadError for a teacher or encoder that can't be used, DataError where there is nothing to learn from.
        """
        self.config, data = config, config.data
        teacher = open_checkpoint(config.teacher).load_model()
        # Before the teacher is frozen: a copy of frozen parameters would be frozen too.
        self.networks = StudentNetwork(_first_student(config, teacher))
        self.frozen = Frozen(teacher, load_pose_net(find_folder(config.teacher) / POSE_NET_FOLDER), _semantic_encoder(config.loss))
        if config.loss.semantic:
            _check_features(config, self.networks.depth, self.frozen)
        self.module: nn.Module = self.networks
        self._size = self.networks.depth.description.input_size
        videos = [open_video(source, folder) for source, folder in zip(data.train, train, strict=True)]
        folders = _translation_folders(data.train, train)
        stand_ins = [_stand_ins(data, video, folder) for video, folder in zip(videos, folders, strict=True)]
        augmentation = Augmentation(data.flip, data.colours, data.noise)
        self.dataset = VideoDataset(videos, data.image_size, self._size, config.loop.seed, augmentation, stand_ins, data.p_original)
        held_out = [open_video(source, folder) for source, folder in zip(data.validation, validation, strict=True)]
        folders = _translation_folders(data.validation, validation)
        others = [_held_out_stand_ins(data, video, folder) for video, folder in zip(held_out, folders, strict=True)]
        self._held_out = VideoDataset(held_out, data.image_size, self._size, stand_ins=others, p_original=0.0)
        self._has_held_out_stand_ins = any(pictures for found in others for pictures in found.values())
        self._judge = DepthJudge(held_out, videos, data.validation_frames, self._size, teacher.description.farthest)
        self._figure = "abs_rel_median" if _is_scale_free(teacher.description) else "abs_rel"
        self._teachers_figures: dict[str, float] | None = None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Encoder, and neck and head, both trained."""
        return parameter_groups(
            self.networks.depth, self.networks.depth.encoder, self.config.loop.encoder_learning_rate, self.config.loop.head_learning_rate
        )

    def losses(self, module: nn.Module, batch: Mapping[str, Any], step: int) -> dict[str, Tensor]:  # noqa: ARG002
        """`loss` and its terms; "reliable" is the share of pixels on which the teacher is believed. The batch is of `VideoDataset`."""
        images = pixels(batch["images"])
        seen = self._see(batch)
        prediction: DepthPrediction = module(pixels(batch["input"]), batch["input_intrinsics"])
        with torch.autocast(images.device.type, enabled=False):
            distilled = self._distil(prediction.depth, seen, images, batch["intrinsics"])
            loss, terms = distilled.loss, {"distillation": distilled.loss}
            if self.config.loss.semantic:
                terms["semantic"] = semantic_loss(seen.features.float(), prediction.patch_tokens.float())
                loss = loss + self.config.loss.semantic * terms["semantic"]
        return {"loss": loss, **terms, "reliable": distilled.kept.float().mean()}

    def _see(self, batch: Mapping[str, Any]) -> _Seen:
        """What the frozen networks make of the original days."""
        images = pixels(batch["images"])
        frozen = self.frozen.to(images.device)
        seen: _Seen = frozen(pixels(batch["original_input"]), batch["input_intrinsics"], images, batch["intrinsics"])
        return seen

    def _distil(self, depth: Tensor, seen: _Seen, images: Tensor, intrinsics: Tensor) -> DistillationLoss:
        reliable = self._reliable(depth, seen, images, intrinsics)
        size = (images.shape[-2], images.shape[-1])
        return distillation_loss(resize_by_inverse_depth(depth, size), resize_by_inverse_depth(seen.depth, size), reliable)

    @torch.no_grad()
    def _reliable(self, depth: Tensor, seen: _Seen, images: Tensor, intrinsics: Tensor) -> Tensor:
        """M, [B, 1, H, W]: both depths explain the ORIGINAL frames, moved by the TEACHER's motion."""
        if self.config.loss.mask == "none":
            # A third of a step that nobody would look at.
            return torch.ones_like(images[:, 0, :1], dtype=torch.bool)
        errors = [self._error(synthesise(images, intrinsics, candidate, seen.motions)) for candidate in (seen.depth, depth)]
        return reliability_mask(errors[0], errors[1], self.config.loss.mask, self.config.loss.window)

    def _error(self, views: Views) -> Tensor:
        return reprojection_error(views.target, views.warped)

    def validate(self) -> dict[str, float]:
        """Errors of depth by condition, and the teacher's own; `score` is the mean absRel over conditions, median-scaled where the
        teacher learnt without scale. Where no depth is known: see `_judge_video`.
        """
        if self._teachers_figures is None:
            figures = self._judge.figures(lambda sample: predict_metres(self.frozen.depth, sample))
            self._teachers_figures = {f"teacher/{name}": value for name, value in figures.items() if name.endswith(f"/{self._figure}")}
        figures = self._judge.figures(lambda sample: predict_metres(self.networks.depth, sample))
        errors = [value for name, value in figures.items() if name.endswith(f"/{self._figure}")]
        return {"score": float(np.mean(errors)), **figures, **self._teachers_figures} if errors else self._judge_video()

    def _judge_video(self) -> dict[str, float]:
        """Distillation loss and photometric error on held-out triplets, each shown in another condition where there is one.

        `score` is the former; where there is none at all the latter, since by day a copy of the teacher that has learnt nothing has the
        least distillation loss.
        """
        count = min(len(self._held_out), self.config.data.validation_frames)
        errors = []
        for place in np.unique(np.linspace(0, len(self._held_out) - 1, count).astype(int)):
            batch = single_batch(self._held_out[int(place)], self.networks)
            images, seen = pixels(batch["images"]), self._see(batch)
            depth: Tensor = self.networks(pixels(batch["input"]), batch["input_intrinsics"]).depth
            views = synthesise(images, batch["intrinsics"], depth, seen.motions)
            redrawn = minimum_reprojection(views.target, views.warped, views.sources)
            errors.append((float(self._distil(depth, seen, images, batch["intrinsics"]).loss), float(redrawn.loss)))
        distillation, photometric = map(float, np.mean(errors, axis=0))
        score = distillation if self._has_held_out_stand_ins else photometric
        return {"score": score, "distillation": distillation, "photometric": photometric}

    def picture(self, batch: Mapping[str, Any]) -> Picture:
        """What the student was shown, its depth, auto-mask and redrawn frame with the teacher's motion, the day, the teacher's depth and
        where it is believed, of up to four items.
        """
        first = {name: value[:4] for name, value in batch.items()}
        images, seen = pixels(first["images"]), self._see(first)
        depth: Tensor = self.networks(pixels(first["input"]), first["input_intrinsics"]).depth
        reliable = self._reliable(depth, seen, images, first["intrinsics"])
        views = synthesise(images, first["intrinsics"], depth, seen.motions)
        more = {"day": list(first["original_input"].cpu().numpy()), "teacher": draw_depths(seen.depth), "believed": draw_masks(reliable)}
        return draw_views(first["input"], depth, views, more)

    def save(self, folder: Path) -> None:
        """A checkpoint that the estimator loads."""
        save_checkpoint(folder, self.networks.depth, half=True)


def _first_student(config: StudentConfig, teacher: DepthModel) -> DepthModel:
    recipe = config.model_dump(mode="json")
    description = teacher.description.model_copy(update={"recipe": recipe})
    if config.start_from == "teacher":
        return type(teacher)(copy.deepcopy(teacher.network), description)
    if config.model.input_size != description.input_size:
        width, height = description.input_size
        raise ModelLoadError(f"model.input_size: the teacher's is [{width}, {height}], the student's must be the same")
    student = make_model(config.model, description, config.loop.seed)
    if config.start_from == "teacher_encoder":
        try:
            student.encoder.load_state_dict(teacher.encoder.state_dict(), strict=True)
        except RuntimeError as error:
            raise ModelLoadError(f"start_from: the encoder of {config.teacher} doesn't fit the student of `model`: {error}") from error
    return student


def _semantic_encoder(loss: StudentLoss) -> Any:
    """None: the teacher's own features serve, or nobody asks for any."""
    if loss.semantic_encoder is None or not loss.semantic:
        return None
    return load_network(find_folder(loss.semantic_encoder), "Dinov2Backbone")


def _check_features(config: StudentConfig, student: DepthModel, frozen: Frozen) -> None:
    """Raise ModelLoadError unless the student has as many features as what is frozen, and as wide: they are compared one by one."""
    # Four patches a side tell patches from the coarser cells of a convolutional network, and cost nothing.
    blank, matrix = torch.zeros(1, 3, 4 * PATCH_SIZE, 4 * PATCH_SIZE), torch.eye(3)[None]
    with torch.no_grad():
        found, wanted = frozen.features(blank, matrix), student.patch_tokens(blank, matrix)
    if found.shape == wanted.shape:
        return
    name = config.loss.semantic_encoder or f"none, and the teacher's own encoder ({config.teacher})"
    (count, width), (students_count, students_width) = found.shape[1:], wanted.shape[1:]
    raise ModelLoadError(
        f"loss.semantic_encoder: {name} makes {count} features of {width} values where the student's encoder makes {students_count} of "
        f"{students_width}. Fix: a frozen DINOv2 as wide as the student's (facebook/dinov2-small for a ViT-S), or loss.semantic=0"
    )


def _is_scale_free(teacher: ModelDescription) -> bool:
    """Whether the teacher's recipe says that it learnt without the velocity loss, so that its depth is known up to a factor only."""
    loss = teacher.recipe.get("loss")
    return isinstance(loss, dict) and loss.get("velocity") == 0


def _translation_folders(sources: Sequence[RenderedSequences | RecordedVideo], folders: Sequence[Path]) -> list[Path]:
    """In which translated/ lies."""
    return [getattr(source, "translations", None) or folder for source, folder in zip(sources, folders, strict=True)]


def _find_stand_ins(data: StudentData, video: Video, folder: Path) -> StandIns:
    if data.translator is None:
        return aligned_stand_ins(video, data.conditions)
    return translated_stand_ins(video, folder, data.translator, data.conditions)


def _held_out_stand_ins(data: StudentData, video: Video, folder: Path) -> StandIns:
    """None where nobody has translated the recording: known depth may judge alone."""
    if data.translator is not None and not translations_folder(folder, data.translator).is_dir():
        return {}
    return _find_stand_ins(data, video, folder)


def _stand_ins(data: StudentData, video: Video, folder: Path) -> StandIns:
    if data.p_original == 1:
        return {}
    found = _find_stand_ins(data, video, folder)
    if not any(found.values()):
        missing = "data.translator names none and the recording has no such frames at the same time"
        if data.translator is not None:
            missing = f"{data.translator} made none that was accepted"
        raise DataError(
            f"{folder}: no translations to {' or '.join(data.conditions)}: {missing}; data.p_original=1 trains without translations"
        )
    return found
