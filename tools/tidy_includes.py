#!/usr/bin/env python3
"""The rules of the code that a machine can check; prints file:line for each violation.

    tools/tidy_includes.py [ROOT]

Exit status 1 when a rule is broken. Long files are warned about and break nothing.
"""

import pathlib
import re
import sys

# Which folders a folder may include from. What is not listed here is not checked.
MAY_INCLUDE = {
    "base": {"base"},
    "policy": {"base", "policy"},
    "store": {"base", "store"},
    "engines": {"base", "engines"},
    "broker": {"base", "policy", "store", "engines", "broker"},
    "api": {"base", "broker", "api"},
    "cli": {"base", "cli"},
    "app": {"base", "policy", "store", "engines", "broker", "api", "cli", "app"},
}
PRODUCT = set(MAY_INCLUDE)
CODE = PRODUCT | {"tests", "bench"}

# Third-party headers and the folders that may see them.
THIRD_PARTY = [
    (r"boost/(asio|beast)", {"api", "cli/browser_callback.cc"}),
    (r"libpq-fe\.h|libpq/|pqxx/", {"engines/postgres", "cli/target_session.cc", "tests", "bench"}),
    (r"sqlite3\.h", {"store", "tests"}),
    (r"p11-kit/", {"store/pkcs11_token.cc", "tests/store/flaky_hsm.cc"}),
    (r"openssl/", {"base", "store", "api", "broker/auth", "tests"}),
    (r"sodium", {"broker/auth"}),
    (r"curl/", {"cli", "broker/auth", "broker/notify", "tests"}),
    (r"CLI/", {"cli"}),
    (r"spdlog/", {"base"}),
    (r"gtest/|gmock/", {"tests"}),
    (r"benchmark/", {"bench"}),
]

# Tests that wait for real processes and servers need real time.
REAL_TIME = ("base/system_clock.cc", "tests/e2e/", "tests/crash/", "tests/support/", "bench/")
NOWHERE = ()
BANNED = [
    (r"\b(system_clock|steady_clock|high_resolution_clock)::now\b|\bstd::time\s*\("
     r"|\b(gettimeofday|clock_gettime)\s*\(|(?<![\w.>:])time\s*\(\s*(nullptr|NULL|0)\s*\)",
     "take the time from a Clock that came through the constructor", REAL_TIME),
    (r"\brandom_device\b|\bstd::rand\b|(?<![\w.>:])s?rand\s*\(",
     "take random bytes from a Random that came through the constructor", ("bench/",)),
    (r"\bmt19937", "take random bytes from a Random that came through the constructor",
     ("tests/", "bench/")),
    (r"\bco_(await|return|yield)\b", "g++ 12 miscompiles temporaries in coroutines", NOWHERE),
    (r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok)\s*\(",
     "this call knows no bounds", NOWHERE),
    # A member may be called so: only statements and qualified names are meant.
    (r"(?:^\s*(?:return\s+|[\w:<> ]+=\s*)?|std::|(?<!\w)::)system\s*\(.*;|(?<![\w.>])popen\s*\(",
     "no shell is started from code", ("bench/",)),
    (r"\busing\s+namespace\s+std\b", "names of std are written out", NOWHERE),
    (r"\bGTEST_SKIP\b|\bDISABLED_\w", "a test that does not run is no test", NOWHERE),
]
# In comments as well.
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX)\b")
# Paths that exist on one person's machine only.
FOREIGN_PATH = re.compile(r"(?<![\w.$})-])/(root|Users|home/[a-z]\w*)/\w")
TEXT_SUFFIXES = {".h", ".cc", ".py", ".sh", ".md", ".txt", ".json", ".yml", ".yaml", ".hcl", ".sql",
                 ".js", ".mjs", ".html", ".css", ".service", ".conf", ".cmake", ""}
SKIPPED_FOLDERS = {".git", "build", "node_modules", "__pycache__"}

# Headers that the build writes.
GENERATED = {"version.h"}

LINE_COLUMNS_MAX = 100
FUNCTION_LINES_MAX = 70
FILE_LINES_USUAL = {".cc": 400, ".h": 300}


# Stands at the end of a line that lies in a string: text that a function holds is not its length.
TEXT_LINE = "\x02"


def without_comments_and_literals(text):
    """The same text, line for line, with comments, strings and characters blanked out."""
    pattern = re.compile(
        r'//[^\n]*|/\*.*?\*/|R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"'
        r'|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
        re.DOTALL)

    def blank(match):
        kept = '""' if match[0][0] in 'R"' else " "
        line_break = TEXT_LINE + "\n" if match[0][0] == "R" else "\n"
        return kept + line_break * match[0].count("\n")

    return pattern.sub(blank, text)


def long_functions(code):
    """(first line, lines) of every function that is too long. `code` has no comments."""
    open_blocks = []  # (holds only declarations, line of its head, is a function, text lines before)
    head = ""
    head_line = 1
    line = 1
    text_lines = 0
    for character in re.sub(r"^[ \t]*#.*(?:\\\n.*)*", lambda m: "\n" * m[0].count("\n"), code,
                            flags=re.MULTILINE):
        if character == "{":
            declares = re.match(r'\s*(?:inline\s+)?namespace\b|\s*extern\s*""', head) or (
                re.search(r"\b(class|struct|union)\b", head) and not re.search(r"\)\s*[\w\s]*$", head))
            inside_code = any(not block[0] for block in open_blocks)
            is_function = not declares and not inside_code and "(" in head
            open_blocks.append((bool(declares), head_line, is_function, text_lines))
            head = ""
        elif character == "}":
            if open_blocks:
                _, started, is_function, text_before = open_blocks.pop()
                length = line - started + 1 - (text_lines - text_before)
                if is_function and length > FUNCTION_LINES_MAX:
                    yield started, length
            head = ""
        elif character == ";":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += character
        if character == "\n":
            line += 1
        elif character == TEXT_LINE:
            text_lines += 1


class Checker:
    def __init__(self, root):
        self.root = root
        self.violations = []
        self.warnings = []

    def violation(self, name, line, message):
        self.violations.append(f"{name}:{line}: {message}")

    def check_quoted_include(self, name, line, included):
        if included in GENERATED:
            return
        folder = name.split("/")[0]
        target = included.split("/")[0]
        if "/" not in included or included.startswith("."):
            self.violation(name, line, f'"{included}" is not written from the root of the checkout')
            return
        if folder not in PRODUCT:
            return
        if target not in MAY_INCLUDE[folder]:
            self.violation(name, line, f"{folder}/ may not include {included}")
        elif folder == "broker" and target == "engines" and included.count("/") > 1:
            self.violation(name, line, f"{included}: of the engines the broker sees the contract "
                           "alone, which is the headers of engines/ itself")
        elif folder == "engines" and target == "engines":
            mine = name.split("/")[1] if name.count("/") > 1 else ""
            other = included.split("/")[1] if included.count("/") > 1 else ""
            if other and other != mine:
                self.violation(name, line, f"{included}: one engine may not include another")

    def check_system_include(self, name, line, included):
        for pattern, folders in THIRD_PARTY:
            if re.match(pattern, included) and not any(
                    name == folder or name.startswith(folder + "/") for folder in folders):
                self.violation(name, line, f"<{included}> belongs to {', '.join(sorted(folders))}")

    def check_code(self, name, text):
        code = without_comments_and_literals(text)
        for number, (line, raw) in enumerate(zip(code.split("\n"), text.split("\n")), 1):
            include = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', raw)
            if include and include[1]:
                self.check_quoted_include(name, number, include[1])
            elif include:
                self.check_system_include(name, number, include[2])
            if len(raw) > LINE_COLUMNS_MAX:
                self.violation(name, number, f"longer than {LINE_COLUMNS_MAX} columns")
            for pattern, reason, allowed in BANNED:
                found = re.search(pattern, line)
                if found and not name.startswith(allowed or "\0"):
                    self.violation(name, number, f"{found[0].strip()}: {reason}")
            if UNFINISHED.search(raw):
                self.violation(name, number, "unfinished work belongs to the tracker, not the code")
        if name.endswith(".h") and "#pragma once" not in code:
            self.violation(name, 1, "a header begins with #pragma once")
        if name.split("/")[0] in PRODUCT:
            for line, length in long_functions(code):
                self.violation(name, line, f"a function of {length} lines; {FUNCTION_LINES_MAX} "
                               "is the most")
        usual = FILE_LINES_USUAL[pathlib.Path(name).suffix]
        length = text.count("\n")
        if length > usual and name.split("/")[0] in PRODUCT:
            self.warnings.append(f"{name}: {length} lines; more than {usual} is a hint that it has "
                                 "two subjects")

    def check_file(self, path):
        name = path.relative_to(self.root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            return
        for number, line in enumerate(text.split("\n"), 1):
            if FOREIGN_PATH.search(line):
                self.violation(name, number, "a path that exists on one machine only")
        if path.suffix in (".h", ".cc") and name.split("/")[0] in CODE:
            self.check_code(name, text)

    def run(self):
        pending = [self.root]
        while pending:
            for path in sorted(pending.pop().iterdir()):
                if path.is_symlink():
                    continue
                if path.is_dir():
                    if path.name not in SKIPPED_FOLDERS:
                        pending.append(path)
                elif path.suffix in TEXT_SUFFIXES:
                    self.check_file(path)


def main():
    checker = Checker(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    checker.run()
    for warning in checker.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for violation in sorted(checker.violations):
        print(violation)
    return 1 if checker.violations else 0


if __name__ == "__main__":
    sys.exit(main())
