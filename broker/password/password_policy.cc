#include "broker/password/password_policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/hcl.h"
#include "base/hcl_section.h"

namespace curfew::broker {
namespace {

constexpr std::size_t kTextBytesMax = 64 * 1024;
constexpr std::size_t kRulesMax = 32;
constexpr std::size_t kAlphabetMax = 256;
// A policy is taken when several passwords are each found in this many attempts; later far more
// are allowed, so that what was once taken does not fail by chance.
constexpr int kTrials = 8;
constexpr int kTrialAttempts = 1'000;
constexpr int kAttempts = 100'000;

Error invalid(std::string what) {
  return {Errc::kInvalidArgument, "invalid password policy: " + std::move(what)};
}

Error invalid(Error error) {
  error.message = "invalid password policy: " + error.message;
  return error;
}

// Bytes of the character that `text` begins with; 0: none that can be shown begins there.
std::size_t printable_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return byte(0) >= 0x20 && byte(0) != 0x7f ? 1 : 0;
  const std::size_t length = byte(0) >= 0xf0 ? 4 : byte(0) >= 0xe0 ? 3 : 2;
  if (byte(0) < 0xc2 || byte(0) > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  const bool is_control = byte(0) == 0xc2 && byte(1) < 0xa0;
  return is_control ? 0 : length;
}

// nullopt: there is something that is no printable UTF-8.
std::optional<std::vector<std::string>> characters_of(std::string_view text) {
  std::vector<std::string> characters;
  while (!text.empty()) {
    const std::size_t length = printable_length(text);
    if (length == 0) return std::nullopt;
    characters.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return characters;
}

struct CharsetRule {
  std::vector<std::string> characters;
  std::int64_t min_chars;
};

Result<CharsetRule> read_rule(const hcl::Block& block) {
  hcl::Section section(*block.body, "rule \"" + block.label.substr(0, 64) + "\"");
  if (block.label != "charset")
    return hcl::error_at(block.at, "unknown rule; there is one kind: rule \"charset\"");
  ASSIGN_OR_RETURN(const auto charset, section.text("charset"));
  ASSIGN_OR_RETURN(const auto min_chars, section.integer_or("min-chars", 0));
  RETURN_IF_ERROR(section.finish());
  if (!charset || charset->empty())
    return section.error("charset", "charset is missing: the characters of this rule");
  auto characters = characters_of(*charset);
  if (!characters)
    return section.error("charset", "charset holds something that is not a printable character");
  if (min_chars < 0 || min_chars > PasswordPolicy::kLengthMax)
    return section.error(
        "min-chars", fmt::format("min-chars is a number from 0 to {}", PasswordPolicy::kLengthMax));
  return CharsetRule{std::move(*characters), min_chars};
}

Result<std::vector<CharsetRule>> read_rules(hcl::Section& root) {
  ASSIGN_OR_RETURN(const auto blocks, root.labelled_blocks("rule"));
  if (blocks.empty())
    return root.error("rule", "at least one rule \"charset\" with the characters to use is needed");
  if (blocks.size() > kRulesMax)
    return root.error("rule", fmt::format("at most {} rules are allowed", kRulesMax));
  std::vector<CharsetRule> rules;
  for (const hcl::Block& block : blocks) {
    ASSIGN_OR_RETURN(auto rule, read_rule(block));
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

Result<PasswordPolicy> PasswordPolicy::parse(std::string_view text, Random& random) {
  const hcl::Limits limits{.bytes_max = kTextBytesMax, .depth_max = 8, .values_max = 1000};
  auto parsed = hcl::parse(text, limits);
  if (!parsed) return invalid(std::move(parsed).error());
  hcl::Section root(*parsed, "");
  const auto length = root.integer("length");
  if (!length) return invalid(length.error());
  if (!*length || **length < kLengthMin || **length > kLengthMax)
    return invalid(root.error(
        "length", fmt::format("length is a number from {} to {}", kLengthMin, kLengthMax)));
  auto rules = read_rules(root);
  if (!rules) return invalid(std::move(rules).error());
  if (auto status = root.finish(); !status) return invalid(std::move(status).error());

  PasswordPolicy policy;
  policy.length_ = static_cast<std::size_t>(**length);
  std::int64_t required = 0;
  for (const CharsetRule& rule : *rules) {
    required += rule.min_chars;
    RETURN_IF_ERROR(policy.add_rule(rule.characters, static_cast<std::size_t>(rule.min_chars)));
  }
  if (required > **length)
    return invalid(fmt::format("the rules require at least {} characters, but length is {}",
                               required, **length));
  policy.finish();
  for (int i = 0; i < kTrials; ++i) {
    if (!policy.generate_within(random, kTrialAttempts))
      return invalid("hardly any password fits the rules: lower min-chars, or make length greater");
  }
  return policy;
}

PasswordPolicy PasswordPolicy::default_policy() {
  PasswordPolicy policy;
  policy.length_ = 20;
  for (const char* charset :
       {"abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "-"})
    (void)policy.add_rule(*characters_of(charset), 1);
  policy.finish();
  return policy;
}

Status PasswordPolicy::add_rule(const std::vector<std::string>& characters, std::size_t min_chars) {
  Rule rule{{}, min_chars};
  for (const std::string& character : characters) {
    const auto found = std::find(alphabet_.begin(), alphabet_.end(), character);
    const auto index = static_cast<std::size_t>(found - alphabet_.begin());
    if (found == alphabet_.end()) alphabet_.push_back(character);
    if (alphabet_.size() > kAlphabetMax)
      return invalid(fmt::format("the charsets have more than {} different characters together",
                                 kAlphabetMax));
    if (rule.member.size() <= index) rule.member.resize(index + 1);
    rule.member[index] = true;
  }
  rules_.push_back(std::move(rule));
  return ok();
}

void PasswordPolicy::finish() {
  for (Rule& rule : rules_) rule.member.resize(alphabet_.size());
  index_alphabet_.clear();
  for (std::size_t i = 0; i < alphabet_.size(); ++i) index_alphabet_ += static_cast<char>(i);
}

// True: every rule is kept.
bool PasswordPolicy::draw(Random& random, std::string& indexes) const {
  indexes = random_text(random, index_alphabet_, length_);
  return std::all_of(rules_.begin(), rules_.end(), [&](const Rule& rule) {
    const auto found = std::count_if(indexes.begin(), indexes.end(),
                                     [&](unsigned char index) { return rule.member[index]; });
    return static_cast<std::size_t>(found) >= rule.min_chars;
  });
}

Result<Secret> PasswordPolicy::generate_within(Random& random, int attempts) const {
  for (int i = 0; i < attempts; ++i) {
    std::string indexes;
    const bool fits = draw(random, indexes);
    std::string password;
    if (fits) {
      password.reserve(length_ * 4);  // never moved: no copy of it stays behind
      for (const unsigned char index : indexes) password += alphabet_[index];
    }
    zero(indexes);
    if (fits) return Secret(std::move(password));
  }
  return Error{Errc::kInternal,
               "no password that fits the policy was found: make its rules less strict"};
}

Result<Secret> PasswordPolicy::generate(Random& random) const {
  return generate_within(random, kAttempts);
}

}  // namespace curfew::broker
