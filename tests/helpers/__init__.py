"""What tests share: pictures and archives made on the spot, servers, repositories. ROOT: this checkout."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
