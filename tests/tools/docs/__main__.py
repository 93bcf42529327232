"""`python -m tests.tools.docs`: write the generated pages; with --check only say which differ."""

import argparse
import difflib
import sys

from tests.tools.docs.pages import PAGES, PROJECT


def main() -> int:
    """Write or check; 1 when a check found a difference."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; end with 1 if a page is out of date")
    check = parser.parse_args().check
    stale = 0
    for name, page in PAGES.items():
        path, text = PROJECT / name, page()
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == text:
            continue
        stale += 1
        if check:
            lines = difflib.unified_diff(old.splitlines(), text.splitlines(), name, "generated", lineterm="")
            sys.stdout.write("\n".join(lines) + "\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
