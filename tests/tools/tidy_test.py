"""Plants violations in a scratch tree and expects tools/tidy_includes.py to name each."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL = pathlib.Path(__file__).resolve().parents[2] / "tools" / "tidy_includes.py"
LONG_BODY = "\n".join("  x += 1;" for _ in range(70))


class Tidy(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_on(self, files):
        for name, text in files.items():
            path = pathlib.Path(self.folder.name) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, TOOL, self.folder.name], capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout.splitlines(), done.stderr

    def expect(self, name, text, line, words):
        status, found, _ = self.run_on({name: text})
        self.assertEqual(status, 1, f"nothing found in {text!r}")
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(f"{name}:{line}: "), found)
        self.assertIn(words, found[0])

    def expect_clean(self, files):
        status, found, _ = self.run_on(files)
        self.assertEqual((status, found), (0, []))

    def test_clean_tree(self):
        self.expect_clean({
            "base/a.h": "#pragma once\n#include <vector>\n",
            "base/system_clock.cc": "auto t = std::chrono::system_clock::now();\n",
            "broker/a.cc": '#include "base/a.h"\n#include "engines/engine.h"\n',
            "engines/postgres/a.cc": "#include <libpq-fe.h>\n",
            "cli/target_session.cc": "#include <libpq-fe.h>\n",
            "tests/e2e/a.cc": "auto t = std::chrono::steady_clock::now();\n",
            "docs/a.md": "x" * 300 + "\n",
        })

    def test_include_upwards(self):
        for name, included in [("base/a.cc", "store/sql.h"), ("policy/a.cc", "broker/b.h"),
                               ("store/a.cc", "engines/engine.h"), ("engines/kv/a.cc", "store/sql.h"),
                               ("broker/a.cc", "api/b.h"), ("api/a.cc", "engines/engine.h"),
                               ("cli/a.cc", "broker/request.h"), ("cli/a.cc", "api/b.h")]:
            with self.subTest(name=name, included=included):
                self.expect(name, f'\n#include "{included}"\n', 2, "may not include")
                (pathlib.Path(self.folder.name) / name).unlink()

    def test_include_of_an_engines_inside(self):
        self.expect("broker/a.cc", '#include "engines/kv/kv.h"\n', 1, "the contract alone")

    def test_include_of_another_engine(self):
        self.expect("engines/kv/a.cc", '#include "engines/postgres/b.h"\n', 1, "another")

    def test_include_not_from_the_root(self):
        self.expect("base/a.cc", '#include "result.h"\n', 1, "root of the checkout")

    def test_third_party_headers(self):
        for name, header in [("broker/a.cc", "boost/beast/http.hpp"), ("cli/a.cc", "boost/asio.hpp"),
                             ("engines/kv/a.cc", "libpq-fe.h"), ("cli/a.cc", "libpq-fe.h"),
                             ("broker/a.cc", "sqlite3.h"),
                             ("cli/a.cc", "openssl/ssl.h"), ("api/a.cc", "curl/curl.h"),
                             ("app/a.cc", "CLI/CLI.hpp"), ("store/a.cc", "sodium.h"),
                             ("broker/a.cc", "spdlog/spdlog.h")]:
            with self.subTest(name=name, header=header):
                self.expect(name, f"#include <{header}>\n", 1, "belongs to")
                (pathlib.Path(self.folder.name) / name).unlink()

    def test_banned_calls(self):
        for line in ["auto t = std::chrono::system_clock::now();", "auto t = time(nullptr);",
                     "auto t = std::chrono::steady_clock::now();", "std::mt19937 engine;",
                     "std::random_device device;", "int i = rand();", "co_await x;", "co_return x;",
                     "strcpy(a, b);", "sprintf(a, b);", "system(a);", "std::system(a);",
                     "using namespace std;"]:
            with self.subTest(line=line):
                self.expect("broker/a.cc", f"void f() {{\n  {line}\n}}\n", 2, ": ")

    def test_allowed_look_alikes(self):
        self.expect_clean({"broker/a.cc": 'snprintf(a, n, "system(x)");\nclock.wall();\n'
                                          "x.time(0);\nfile_system(a);\n// rand() is not used\n"
                                          'auto sql = R"(select time(0); co_await)";\n'})

    def test_skipped_test(self):
        self.expect("tests/base/a.cc", "\nTEST(A, B) { GTEST_SKIP(); }\n", 2, "no test")

    def test_unfinished_work(self):
        self.expect("base/a.cc", "// TO" + "DO: later\n", 1, "unfinished")

    def test_long_line(self):
        self.expect("base/a.cc", "int " + "a" * 97 + ";\n", 1, "100 columns")

    def test_header_without_pragma_once(self):
        self.expect("base/a.h", "int a();\n", 1, "#pragma once")

    def test_long_function(self):
        self.expect("base/a.cc", f"namespace a {{\n\nint f(int x) {{\n{LONG_BODY}\n}}\n\n}}\n", 3,
                    "function of 72 lines")

    def test_long_method_in_a_class(self):
        self.expect("base/a.cc", f"class A : public B<C> {{\n void f() const {{\n{LONG_BODY}\n}}\n}};\n",
                    2, "function of 72 lines")

    def test_braces_in_text_do_not_count(self):
        body = '  s += "{";  // {\n  c = \'{\';\n'
        self.expect_clean({"base/a.cc": "".join(f"void f{i}() {{\n{body}}}\n" for i in range(40))})

    def test_long_table_is_no_function(self):
        rows = "\n".join("    {1, 2}," for _ in range(90))
        self.expect_clean({"base/a.cc": f"const int table[][2] = {{\n{rows}\n}};\n"})

    def test_text_in_a_function_does_not_count(self):
        rows = "\n".join("a line of text" for _ in range(90))
        self.expect_clean({"base/a.cc": f'const char* f() {{\n  return R"({rows})";\n}}\n'})

    def test_members_may_be_called_like_calls(self):
        self.expect_clean({"broker/a.cc": "A::A(B b)\n    : a(0),\n      system(b) {}\n"})

    def test_seeded_generators_are_for_tests(self):
        self.expect_clean({"tests/base/a.cc": "std::mt19937 engine(1);\n"})
        self.expect("tests/base/a.cc", "std::random_device device;\n", 1, "Random")

    def test_long_file_is_a_warning(self):
        status, found, warnings = self.run_on({"base/a.cc": "int a;\n" * 401})
        self.assertEqual((status, found), (0, []))
        self.assertIn("401 lines", warnings)

    def test_foreign_path(self):
        self.expect("docs/a.md", "see /ro" + "ot/main/x\n", 1, "one machine only")
        self.expect_clean({"docs/a.md": "see docs/root/main and /var/lib/curfew\n"})

    def test_build_products_are_not_looked_at(self):
        self.expect_clean({"build/base/a.cc": "int i = rand();\n"})


if __name__ == "__main__":
    unittest.main()
