"""What the package brings along. `import-generator` imports this module to list it, so it imports nothing heavy."""

from histoforge.generators.imported.kinds import InstalledGenerator

TINT = InstalledGenerator(
    "tint", "histoforge_tint.sampling:load", classes=("pale", "dark"), size=(64, 64), mpp=0.5, licence="CC0-1.0"
)
