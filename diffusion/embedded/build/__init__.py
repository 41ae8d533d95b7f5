"""Train the embedded base model from scratch: `python -m loragraph.diffusion.embedded.build STAGE`.

Stages, each resumable from its own state file in the work folder: `fetch` (pinned artwork from npm), `raster` (SVG to
tiles), `vae`, `latents`, `base` (transformer and text encoders), `assemble` (the `FluxPipeline` folder), `gate`
(measure).
"""
