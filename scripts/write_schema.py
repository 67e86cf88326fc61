"""Write the JSON Schema of the config, for editors (`make schema`; a test fails where it is out of step)."""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from poolmap.config.load import json_schema  # noqa: E402
from poolmap.files import write_text  # noqa: E402

write_text(ROOT / "config" / "config.schema.json", json.dumps(json_schema(), indent=2) + "\n")
