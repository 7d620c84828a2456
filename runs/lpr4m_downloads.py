"""Files the pictures of LPR4M that img2dataset has downloaded, as `shopcue.data.lpr4m` reads them.

    python -m runs.lpr4m_downloads DOWNLOADS ROOT --part training | test

DOWNLOADS is the output folder of img2dataset (`--output_format files`), ROOT the folder that holds annotations/. Files
are linked, not copied, so both must be on one disk. It may be run again after more has been downloaded.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from shopcue.data.lpr4m_downloads import PARTS, file_downloads
from shopcue.errors import ShopcueError


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("downloads", type=Path)
    parser.add_argument("root", type=Path)
    parser.add_argument("--part", choices=list(PARTS), required=True)
    arguments = parser.parse_args()
    try:
        filed = file_downloads(
            arguments.downloads, arguments.root, arguments.part, lambda line: print(line, file=sys.stderr)
        )
    except ShopcueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{filed} pictures are filed below {arguments.root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
