"""Training LoRAs: `config.TrainConfig` says how, `data.Example` on what, `loop.train` does it."""
