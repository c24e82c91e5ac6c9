# SPDX-License-Identifier: Apache-2.0
"""`ssd-depth render-sheet`: many rendered frames in one picture, beside real ones if wanted: what gives the renders away?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssd_core.command_line.render import CameraPreset, Weather

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Picture = npt.NDArray[np.uint8]

_COLUMNS = 10
_SECONDS = 60.0


def render_sheet(
    out: Annotated[Path, typer.Option(help="The sheet: a .jpg or .png.")],
    condition: Annotated[Weather, typer.Option(help="Light and weather.")] = Weather.DAY_CLEAR,
    frames: Annotated[int, typer.Option(min=1, help="Rendered frames, each of another street, time and camera.")] = 100,
    preset: Annotated[list[CameraPreset], typer.Option(help="Kinds of cameras; once or several times.")] = [CameraPreset.MIXED],  # noqa: B006
    seed: Annotated[int, typer.Option(min=0, help="The first street.")] = 5000,
    width: Annotated[int, typer.Option(min=32, help="Of a picture about; there are ten in a row.")] = 320,
    beside: Annotated[
        Path | None, typer.Option(help="A recording (whatever `evaluate` reads): as many of its frames stand beside.", show_default=False)
    ] = None,
) -> None:
    """Render random frames of one condition onto a contact sheet. With --beside, don't publish it unless the recording's licence allows."""
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from ssd_core.images.codec import write_image
    from ssd_core.images.contact_sheet import picture_wall
    from ssd_core.road_world.graphics import GraphicsError

    console = Console(stderr=True)
    real = [] if beside is None else recorded_pictures(beside, frames, width)
    pictures = []
    try:
        with Progress(console=console) as progress:
            for number in progress.track(range(frames), description=condition.value):
                pictures.append(render_picture(seed + number, preset[number % len(preset)], condition, width))
    except GraphicsError as error:
        raise OSError(str(error)) from error
    columns, row_height = min(_COLUMNS, frames), round(width * 9 / 16)
    if real:
        half = max(1, columns // 2) * width
        walls = [picture_wall(those, half, row_height, label) for those, label in ((pictures, "rendered"), (real, "recorded"))]
        tallest = max(len(wall) for wall in walls)
        sheet = np.concatenate([np.pad(wall, ((0, tallest - len(wall)), (0, 0), (0, 0))) for wall in walls], axis=1)
    else:
        sheet = picture_wall(pictures, columns * width, row_height, condition.value)
    write_image(out, sheet)
    console.print(f"{out}: {frames} frames", highlight=False, markup=False)


def render_picture(seed: int, preset: CameraPreset, condition: Weather, width: int) -> Picture:
    """One frame of one street, at a time and through a camera that follow from the seed."""
    import numpy as np

    from ssd_core.road_world.camera_model import CameraModel
    from ssd_core.road_world.presets import draw_viewpoint
    from ssd_core.road_world.renderer import Renderer
    from ssd_core.road_world.scene import Scene

    generator = np.random.default_rng([seed, 95])
    view = draw_viewpoint(preset.value, width * width * 9 // 16, generator, ahead=bool(generator.random() < 0.7))
    time = float(generator.uniform(0.5, _SECONDS))
    scene = Scene.generate(seed, _SECONDS + 1).with_ego_body(view.ego_body)
    renderer = Renderer(view.camera, camera_model=CameraModel.draw(seed, 1.0))
    return renderer.render(scene, scene.world_from_base(time) @ view.base_from_camera, time, condition.value).image


def recorded_pictures(path: Path, count: int, width: int) -> list[Picture]:
    """So many frames, spread evenly, small."""
    from ssd_core.data.source import open_source
    from ssd_core.images.resize import resize_image

    source = open_source(path)
    try:
        recorded = source.frames()
        if not recorded:
            raise ValueError(f"{path}: has no frames to put beside")
        places = [place * len(recorded) // count for place in range(count)]
        images = [source.image(recorded[place], (width, 1)) for place in places]
        return [resize_image(image, (width, max(1, round(image.shape[0] * width / image.shape[1])))) for image in images]
    finally:
        source.close()
