"""Command line of the build stages; see the package docstring."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

STAGES = ("fetch", "raster", "vae", "latents", "base", "assets", "assemble", "gate", "all")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loragraph.diffusion.embedded.build", description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work", type=Path, default=Path(".build/embedded"), help="work folder with states and logs")
    parser.add_argument("--vae-steps", type=int, default=6500)
    parser.add_argument("--base-steps", type=int, default=6600)
    parser.add_argument(
        "--no-compile", action="store_true", help="slower steps, but no minute of compiling at the start"
    )
    parser.add_argument(
        "--assets", type=Path, default=Path(__file__).parents[1] / "assets", help="where the shipped files go"
    )
    args = parser.parse_args()
    wanted = STAGES[:-1] if args.stage == "all" else (args.stage,)

    from .raster import fetch, raster

    if "fetch" in wanted:
        fetch(args.work)
    if "raster" in wanted:
        raster(args.work)
    if "vae" in wanted:
        from .vae import train_vae

        train_vae(args.work, args.vae_steps)
    if "latents" in wanted:
        from .latents import encode_tiles

        encode_tiles(args.work)
    if "base" in wanted:
        from .base import train_base

        train_base(args.work, args.base_steps, compile_model=not args.no_compile)
    if "assets" in wanted:
        from .assets import write_assets

        write_assets(args.work, args.assets)
    if "assemble" in wanted:
        from .assemble import assemble

        assemble(args.work, args.assets / "emoji")
    if "gate" in wanted:
        from .assemble import build_pipeline
        from .gate import gate

        gate(build_pipeline(args.work), args.work)


if __name__ == "__main__":
    main()
