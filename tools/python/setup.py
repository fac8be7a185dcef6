"""pip install ./tools/python, from the tree: the same extension that CMake builds, out of the same lists."""
import os
import re

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def read(*path):
    try:
        with open(os.path.join(*path), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError as e:
        raise SystemExit(f"expected {e.filename}: the package is built inside sluice's tree (pip install ./tools/python)") from None


def words(text, pattern):
    """The words of one CMake list."""
    return re.search(pattern, text, re.DOTALL).group(1).split()


OWN = [f for f in words(read(HERE, "CMakeLists.txt"), r"add_library\(sluice_python MODULE ([^)]*)\)")]
RING = [f"ring/{f}" for f in words(read(ROOT, "ring/CMakeLists.txt"), r"set\(RING_SOURCES ([^)]*)\)")]
VERSION = re.search(r"project\(sluice VERSION (\S+)", read(ROOT, "CMakeLists.txt")).group(1)
BASE = os.path.join(ROOT, "build/pip")
os.makedirs(BASE, exist_ok=True)


class Build(build_ext):
    def build_extension(self, ext):
        # Added here: objects of paths with '..' would lie outside of the build's folder.
        ext.sources = ext.sources + [os.path.join(ROOT, f) for f in RING]
        super().build_extension(ext)


setup(
    name="sluice",
    version=VERSION,
    description="Read the rings of a running sluice server in place, as NumPy arrays",
    packages=["sluice"],
    package_data={"sluice": ["py.typed", "*.pyi"]},
    python_requires=">=3.11",
    install_requires=["numpy>=1.24"],
    ext_modules=[
        Extension(
            "sluice._sluice",
            sources=OWN,
            include_dirs=[ROOT],
            define_macros=[("_GNU_SOURCE", None), ("SLUICE_VERSION", f'"{VERSION}"')],
            # The same bits as the server's: no contraction of products and sums, no assumption about types.
            extra_compile_args=["-std=gnu17", "-O2", "-ffp-contract=off", "-fno-fast-math", "-fno-strict-aliasing",
                                "-fvisibility=hidden"],
            # SLUICE_API makes libsluice's functions visible; here they are nobody's but ours.
            extra_link_args=[f"-Wl,--version-script={os.path.join(HERE, 'src/extension.map')}"],
            undef_macros=["NDEBUG"],  # assertions stay on
            libraries=["m"],
            py_limited_api=True,
        )
    ],
    cmdclass={"build_ext": Build},
    # The tree stays clean.
    options={"bdist_wheel": {"py_limited_api": "cp311"}, "build": {"build_base": BASE}, "egg_info": {"egg_base": BASE}},
)
