# SPDX-License-Identifier: Apache-2.0
"""The OpenGL side: a context without a window, shader programs by family and feature, meshes in graphics memory."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.resources
import weakref
from typing import Any, NamedTuple

import moderngl
import numpy as np
import numpy.typing as npt

from ssd_core.road_world.materials import Family, Material
from ssd_core.road_world.meshes import MATERIAL_COLUMN, Mesh

MAX_LIGHTS = 26
MAX_FOOTPRINTS = 24
MAX_DROPS = 14
SHADOW_SIZE = 1280
_ATTRIBUTES = ("in_position", "in_normal", "in_colour", "in_uv", "in_material", "in_labels")
_FORMAT = "3f 3f 3f 2f 2f 2f"
_NOISE_SIZE = 512
_GL_TEXTURE_2D = 0x0DE1
_QUAD = np.array([0, 1, 2, 0, 2, 3], dtype=np.uint32)
_Ranges = list[tuple[int, int]]


class Placing(NamedTuple):
    """Uniforms that place vertices; `write` takes float32 bytes, matrices column by column."""

    clip_from_relative: Any
    world_from_part: Any
    part_origin: Any


class GraphicsError(RuntimeError):
    """OpenGL can't be had; the message says what to install."""


class Graphics:
    """One OpenGL context and what is loaded into it. Use it from the thread that made it, and make only one a process.

    Raises GraphicsError where no context can be made.
    """

    def __init__(self) -> None:
        create_context: Any = moderngl.create_context  # its annotations leave out the backend's name
        try:
            self.context: moderngl.Context = create_context(standalone=True, backend="egl", require=330)
        except Exception as error:  # moderngl raises plain Exception for whatever is missing
            raise GraphicsError(
                f"no OpenGL context: {error}. Rendering needs EGL and a driver, the software one is enough: "
                "apt-get install libegl1 libgl1 libgl1-mesa-dri"
            ) from error
        # What Python lets go waits until free_unused: let go in another thread, which has no context, it would crash the process.
        self.context.gc_mode = "context_gc"
        self.context.enable(moderngl.DEPTH_TEST)
        self.context.depth_func = "<="
        self._programs: dict[tuple[str, ...], moderngl.Program] = {}
        self._meshes: weakref.WeakKeyDictionary[Mesh, _LoadedMesh] = weakref.WeakKeyDictionary()
        self.noise, self.mask_noise = self._load_noise()
        self._corners = self.context.buffer(np.array([-1, -1, 3, -1, -1, 3], dtype=np.float32).tobytes())
        self._quad_indices = _QuadIndices(self.context)
        self._screens: dict[int, moderngl.VertexArray] = {}
        self._placings: dict[int, Placing] = {}
        self._copy_image = _load_copy_image()

    def free_unused(self) -> None:
        """Free the targets of renderers and the meshes of scenes that Python has let go, in whichever thread it did."""
        self.context.gc()

    def surface_program(self, family: Family, features: tuple[str, ...], material: Material | None = None) -> moderngl.Program:
        """The program that paints a family, or one material of it, where depth was laid, cut out already.

        Software rasterisers run all branches of a shader for every pixel: a program for one material takes a fraction
        of the time. features are SHADOWS, NIGHT, WET, SNOW.
        """
        parts = ("cutout_mask.glsl", "sky.glsl", "lighting.glsl", "letters.glsl", f"{family.value}.glsl")
        return self._program("geometry.vert", parts, features, material)

    def depth_program(self, family: Family, material: Material | None = None) -> moderngl.Program:
        """The program that writes exact inverse depth."""
        return self._shape_program("depth.frag", family, material)

    def truth_program(self, family: Family, material: Material | None = None) -> moderngl.Program:
        """The program that writes class, instance and part."""
        return self._shape_program("truth.frag", family, material)

    def shadow_program(self, family: Family, material: Material | None = None) -> moderngl.Program:
        """The program that writes only the depth buffer."""
        return self._shape_program("shadow.frag", family, material)

    def _shape_program(self, fragment: str, family: Family, material: Material | None) -> moderngl.Program:
        features = ("CUTOUT",) if family is Family.CUTOUT else ()
        return self._program("geometry.vert", ("cutout_mask.glsl", fragment), features, material)

    def sky_program(self, features: tuple[str, ...]) -> moderngl.Program:
        """The program that paints the sky."""
        return self._program("sky.vert", ("sky.glsl", "sky.frag"), features)

    def screen_program(self, name: str, features: tuple[str, ...] = ()) -> moderngl.Program:
        """A program that works on whole pictures."""
        return self._program("screen.vert", (name,), features)

    def draw_screen(self, program: moderngl.Program) -> None:
        """Run a program over the whole target."""
        if program.glo not in self._screens:
            self._screens[program.glo] = self.context.vertex_array(program, [(self._corners, "2f", "in_corner")])
        self._screens[program.glo].render()

    def draw_mesh(self, mesh: Mesh, family: Family, program: moderngl.Program, ranges: list[tuple[int, int]] | None = None) -> None:
        """Draw a mesh's quads of one family, all or those in ranges (first, count); loaded at first use and dropped with the mesh."""
        self._loaded(mesh).draw(family, program, ranges)

    def material_ranges(self, mesh: Mesh, family: Family, chosen: npt.NDArray[np.bool_] | None) -> list[tuple[Material, _Ranges]]:
        """Where draw_material finds the materials of the chosen chunks (None: of all)."""
        return self._loaded(mesh).materials(mesh, family).ranges(chosen)

    def draw_material(self, mesh: Mesh, family: Family, program: moderngl.Program, ranges: _Ranges) -> None:
        """Draw quads of one material, as material_ranges found them."""
        self._loaded(mesh).draw_material(family, program, ranges)

    def _loaded(self, mesh: Mesh) -> _LoadedMesh:
        loaded = self._meshes.get(mesh)
        if loaded is None:
            loaded = self._meshes[mesh] = _LoadedMesh(self.context, mesh, self._quad_indices)
        return loaded

    def placing(self, program: moderngl.Program) -> Placing:
        """The uniforms of geometry.vert in a program."""
        if program.glo not in self._placings:
            names: Any = Placing._fields
            self._placings[program.glo] = Placing(*(program[name] for name in names))
        return self._placings[program.glo]

    def copy_depth(self, source: moderngl.Texture, target: moderngl.Texture) -> None:
        """Copy a depth texture into another of the same size."""
        size = source.size
        self._copy_image(source.glo, _GL_TEXTURE_2D, 0, 0, 0, 0, target.glo, _GL_TEXTURE_2D, 0, 0, 0, 0, *size, 1)

    def _program(
        self, vertex: str, fragments: tuple[str, ...], features: tuple[str, ...], material: Material | None = None
    ) -> moderngl.Program:
        key = (vertex, *fragments, *features, "" if material is None else material.name)
        if key not in self._programs:
            header = _header(features, material)
            fragment = header + "uniform sampler2D noise_texture;\n" + "\n".join(_source(name) for name in fragments)
            self._programs[key] = self.context.program(vertex_shader=header + _source(vertex), fragment_shader=fragment)
        return self._programs[key]

    def _load_noise(self) -> tuple[moderngl.Texture, moderngl.Texture]:
        """The noise of surfaces, and the same for what is cut out of them, whose finest level is all that is asked for."""
        size, values = (_NOISE_SIZE, _NOISE_SIZE), make_noise(_NOISE_SIZE).tobytes()
        texture = self.context.texture(size, 4, values)
        texture.build_mipmaps()
        # Between mipmaps would be smoother by a fifth of a grey level, and take a third of a frame.
        texture.filter = (moderngl.LINEAR_MIPMAP_NEAREST, moderngl.LINEAR)
        # Without other levels to choose from, software rasterisers fetch faster.
        return texture, self.context.texture(size, 4, values)


class _QuadIndices:
    """One index buffer for all meshes: two triangles for every four vertices."""

    def __init__(self, context: moderngl.Context) -> None:
        self._context = context
        self._quads = 0
        self._buffer: moderngl.Buffer | None = None

    def for_quads(self, count: int) -> moderngl.Buffer:
        if self._buffer is None or count > self._quads:
            # Vertex arrays made before keep the smaller buffer alive.
            self._quads = max(count, 2 * self._quads, 65536)
            indices = np.arange(self._quads, dtype=np.uint32)[:, None] * 4 + _QUAD
            self._buffer = self._context.buffer(indices.tobytes())
        return self._buffer


class _Materials:
    """A second order of a mesh's quads of one family: by material, then by chunk."""

    def __init__(self, context: moderngl.Context, mesh: Mesh, family: Family) -> None:
        material = mesh.vertices[family][::4, MATERIAL_COLUMN].astype(np.int64)
        starts = np.array([0, len(material)]) if mesh.chunk_starts is None else mesh.chunk_starts[family]
        chunk = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        order = np.lexsort((chunk, material))
        self.indices = context.buffer((order.astype(np.uint32)[:, None] * 4 + _QUAD).tobytes())
        known = np.unique(material)
        self._materials = [Material(int(value)) for value in known]
        key, chunks = (material * len(starts) + chunk)[order], np.arange(len(starts))
        self._starts = np.searchsorted(key, known[:, None] * len(starts) + chunks)
        self._all = self._between(np.array([0, len(starts) - 1]))

    def ranges(self, chosen: npt.NDArray[np.bool_] | None) -> list[tuple[Material, _Ranges]]:
        if chosen is None:
            return self._all
        return self._between(np.flatnonzero(np.diff(chosen.astype(np.int8), prepend=0, append=0)))

    def _between(self, change: npt.NDArray[np.int64]) -> list[tuple[Material, _Ranges]]:
        bounds = self._starts[:, change].reshape(len(self._materials), -1, 2).tolist()
        found = []
        for material, runs in zip(self._materials, bounds, strict=True):
            ranges = [(first, last - first) for first, last in runs if last > first]
            if ranges:
                found.append((material, ranges))
        return found


class _LoadedMesh:
    def __init__(self, context: moderngl.Context, mesh: Mesh, indices: _QuadIndices) -> None:
        self._context, self._indices = context, indices
        self._quads = {family: len(vertices) // 4 for family, vertices in mesh.vertices.items()}
        self._buffers = {family: context.buffer(vertices.tobytes()) for family, vertices in mesh.vertices.items()}
        self._arrays: dict[tuple[Family, int, bool], moderngl.VertexArray] = {}
        self._materials: dict[Family, _Materials] = {}

    def materials(self, mesh: Mesh, family: Family) -> _Materials:
        if family not in self._materials:
            self._materials[family] = _Materials(self._context, mesh, family)
        return self._materials[family]

    def draw(self, family: Family, program: moderngl.Program, ranges: _Ranges | None) -> None:
        indices = self._indices.for_quads(self._quads[family])
        self._draw(family, program, indices, False, ranges or [(0, self._quads[family])])

    def draw_material(self, family: Family, program: moderngl.Program, ranges: _Ranges) -> None:
        self._draw(family, program, self._materials[family].indices, True, ranges)

    def _draw(self, family: Family, program: moderngl.Program, indices: moderngl.Buffer, by_material: bool, ranges: _Ranges) -> None:
        key = (family, program.glo, by_material)
        if key not in self._arrays:
            content = [(self._buffers[family], _FORMAT, *_ATTRIBUTES)]
            self._arrays[key] = self._context.vertex_array(program, content, index_buffer=indices, skip_errors=True)
        array = self._arrays[key]
        for first, count in ranges:
            array.render(vertices=count * 6, first=first * 6)


def _load_copy_image() -> Any:
    """glCopyImageSubData, which moderngl has no name for; drawing a copy instead takes thirty times as long."""
    egl = ctypes.CDLL(ctypes.util.find_library("EGL") or "libEGL.so.1")
    egl.eglGetProcAddress.restype = ctypes.c_void_p
    address = egl.eglGetProcAddress(b"glCopyImageSubData")
    if not address:
        raise GraphicsError("this OpenGL driver lacks glCopyImageSubData, which OpenGL 4.3 has; the software one has it: libgl1-mesa-dri")
    return ctypes.CFUNCTYPE(None, *[ctypes.c_uint] * 2, *[ctypes.c_int] * 4, *[ctypes.c_uint] * 2, *[ctypes.c_int] * 7)(address)


def set_uniforms(program: moderngl.Program, values: dict[str, Any]) -> None:
    """Set those uniforms that the program has; matrices are given row-major, as numpy has them, or as uniform_bytes made them."""
    for name, value in values.items():
        uniform: Any = program.get(name, None)
        if uniform is None:
            continue
        if isinstance(value, np.ndarray):
            uniform.write(_bytes_of(value))
        elif isinstance(value, bytes):
            uniform.write(value)
        else:
            uniform.value = value


def uniform_bytes(values: dict[str, Any]) -> dict[str, Any]:
    """The same values, arrays ready to be written to many programs."""
    return {name: _bytes_of(value) if isinstance(value, np.ndarray) else value for name, value in values.items()}


def _bytes_of(value: npt.NDArray[Any]) -> bytes:
    array = value.T if value.ndim == 2 and value.shape[0] == value.shape[1] else value
    return np.ascontiguousarray(array, dtype=np.float32).tobytes()


def make_noise(size: int) -> npt.NDArray[np.uint8]:
    """(size, size, 4) uint8 tiling noise, the same everywhere: three cloudy channels, coarse to fine, and one of blobs (alpha)."""
    rng = np.random.default_rng(20_240_501)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) * size
    frequency[0, 0] = 1
    spectra = [frequency**-1.6 * (frequency > 3), frequency**-1.25 * (frequency > 5), frequency**-0.55 * (frequency > 12)]
    spectra.append(np.exp(-(((frequency - 46) / 16) ** 2)))
    channels = []
    for spectrum in spectra:
        field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) * spectrum).real
        rank = np.argsort(np.argsort(field.ravel())).reshape(size, size) / size**2
        channels.append(0.5 * rank + 0.5 * np.clip(0.5 + 0.2 * field / field.std(), 0, 1))
    return np.asarray(np.stack(channels, axis=-1) * 255, dtype=np.uint8)


def _header(features: tuple[str, ...], material: Material | None) -> str:
    lines = ["#version 330", *(f"#define {feature}" for feature in features)]
    lines += [f"#define {material.name} {material.value}" for material in Material]
    lines += [f"#define MAX_LIGHTS {MAX_LIGHTS}", f"#define MAX_FOOTPRINTS {MAX_FOOTPRINTS}", f"#define MAX_DROPS {MAX_DROPS}"]
    lines += [f"#define MATERIAL {'int(material_and_seed.x + 0.5)' if material is None else material.value}"]
    lines += [f"#define SHADOW_SIZE {SHADOW_SIZE}.0"]
    return "\n".join(lines) + "\n"


def _source(name: str) -> str:
    return (importlib.resources.files("ssd_core.road_world") / "shaders" / name).read_text(encoding="utf-8")
