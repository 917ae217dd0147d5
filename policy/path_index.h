#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace curfew::policy {

// Finding rules by path. Texts given to add() must outlive the index; looking up allocates nothing.
// Rules are numbers that mean something to the caller; kNoRuleIndex is none.
using RuleIndex = std::uint32_t;
inline constexpr RuleIndex kNoRuleIndex = UINT32_MAX;

// Which of many prefixes of a path is the longest one.
class PrefixIndex {
 public:
  // REQUIRES: not finished; each prefix once.
  void add(std::string_view prefix, RuleIndex rule) { entries_.push_back({prefix, rule}); }
  // To be called once, after the last add().
  void finish();

  // The rule of the longest prefix of `path`. One binary search.
  RuleIndex longest(std::string_view path) const;

 private:
  struct Entry {
    std::string_view prefix;
    RuleIndex rule;
    std::int32_t parent = -1;  // the longest other entry that this one begins with
  };
  std::vector<Entry> entries_;  // sorted once finished
};

// Patterns with '+' segments, as a tree whose edges are segments.
class SegmentIndex {
 public:
  SegmentIndex() : nodes_(1) {}

  // `rank`: of the patterns that fit, the highest wins; above 0 and different for each pattern.
  // `pattern` may end in '*'.
  void add(std::string_view pattern, RuleIndex rule, std::uint32_t rank);
  void finish();

  // The rule of the highest rank that fits `path`, provided that its rank is above `floor`.
  RuleIndex best(std::string_view path, std::uint32_t floor) const;

 private:
  struct Node {
    std::unordered_map<std::string_view, std::uint32_t> literals;
    std::uint32_t plus = 0;  // 0: none (the root is nobody's child)
    RuleIndex rule = kNoRuleIndex;
    std::uint32_t rank = 0;
    PrefixIndex partials;        // patterns that end in '*' inside the segment after this node
    std::uint32_t rank_max = 0;  // of this node and all below
  };
  struct Search {
    RuleIndex rule = kNoRuleIndex;
    std::uint32_t rank;
  };

  std::uint32_t child(std::uint32_t node, std::string_view segment);
  void walk(const Node& node, std::string_view path, std::size_t begin, Search& search) const;

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> ranks_;  // by rule
};

}  // namespace curfew::policy
