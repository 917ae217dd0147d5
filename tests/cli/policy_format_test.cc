#include "cli/policy_format.h"

#include <gtest/gtest.h>

namespace curfew::cli {
namespace {

TEST(PolicyFormat, IndentsByBracketsAndSetsBlanksAroundEqualsSigns) {
  EXPECT_EQ(format_policy("path \"a=b\" {\ncapabilities=[\"read\"]   \n\n\n    allowed_parameters "
                          "= {\n\"x\"   =   []\n }\n}\n\n\n"),
            "path \"a=b\" {\n"
            "  capabilities = [\"read\"]\n"
            "\n"
            "  allowed_parameters = {\n"
            "    \"x\" = []\n"
            "  }\n"
            "}\n");
}

TEST(PolicyFormat, LeavesCommentsStringsAndHereDocumentsAlone) {
  const std::string text =
      "# a = { comment\n"
      "path \"x\" {\n"
      "  policy = \"re\\\"ad={\" // and = more {\n"
      "  /* an = open {\n"
      "  comment */\n"
      "  note = <<EOT\n"
      "   kept   =   as it is {\n"
      "EOT\n"
      "}\n";
  EXPECT_EQ(format_policy(text), text);
}

TEST(PolicyFormat, DoingItTwiceChangesNothing) {
  const std::string once =
      format_policy("path \"a\" { capabilities=[ \"read\",\n\"list\" ]\n}\n}}}\n]\npath \"b\" {");
  EXPECT_EQ(format_policy(once), once);
  EXPECT_EQ(format_policy(""), "");
}

}  // namespace
}  // namespace curfew::cli
