"""Opens FOLDER/report.html by FOLDER/look.html in Chromium; says what is wrong with it, if anything.

Usage: tests/browser/look.py FOLDER
"""

import html
import pathlib
import re
import subprocess
import sys

WIDTHS = (390, 1280)
THEMES = {"dark": 0, "light": 1}
SECONDS = 300  # that Chromium may take over a page


def chromium(folder, *args):
    return subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         "--allow-file-access-from-files",
         f"--user-data-dir={folder}/profile", "--enable-logging=stderr", "--v=0",
         "--virtual-time-budget=10000", *args],
        capture_output=True, text=True, timeout=SECONDS, check=False)


def console_messages(log):
    return re.findall(r":CONSOLE[^\]]*\] (.*)", log)


def look(folder, theme, width):
    """What is wrong with the page, a sentence each."""
    url = (folder / "look.html").as_uri() + f"?width={width}"
    run = chromium(folder, f"--window-size={width + 40},3200",
                   f"--blink-settings=preferredColorScheme={THEMES[theme]}", "--dump-dom", url)
    match = re.search(r'<pre id="found">(.*?)</pre>', run.stdout, re.S)
    if not match:
        return [f"Chromium did not show the page: {run.stderr[-500:]}"]
    first, *found = html.unescape(match.group(1)).strip().split("\n")
    if not first.startswith(f"looked: {theme}, {width} px"):
        found.append(f"looked for {theme} at {width} px: {first}")
    return found + [f"console: {m}" for m in console_messages(run.stderr)]


def look_at_all(folder):
    bad = 0
    for theme in THEMES:
        for width in WIDTHS:
            for sentence in look(folder, theme, width):
                print(f"{theme}, {width} px: {sentence}", file=sys.stderr)
                bad += 1
    # The page alone, as a reader opens it.
    for message in console_messages(
            chromium(folder, "--dump-dom", (folder / "report.html").as_uri()).stderr):
        print(f"console: {message}", file=sys.stderr)
        bad += 1
    return 1 if bad else 0


def main():
    try:
        return look_at_all(pathlib.Path(sys.argv[1]).resolve())
    except subprocess.TimeoutExpired:
        print(f"Chromium did not show the page within {SECONDS} seconds", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
