#include "policy/path_index.h"

#include <algorithm>

namespace curfew::policy {
namespace {

std::size_t common_length(std::string_view a, std::string_view b) {
  const std::size_t length = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(length), b.begin()).first -
      a.begin());
}

}  // namespace

void PrefixIndex::finish() {
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.prefix < b.prefix; });
  for (std::size_t i = 1; i < entries_.size(); ++i) {
    auto parent = static_cast<std::int32_t>(i) - 1;
    while (parent >= 0 &&
           !entries_[i].prefix.starts_with(entries_[static_cast<std::size_t>(parent)].prefix))
      parent = entries_[static_cast<std::size_t>(parent)].parent;
    entries_[i].parent = parent;
  }
}

// Every entry that `path` begins with sorts before or at `path`, and the last entry up to there
// begins with all of them: so they are that entry and its ancestors.
RuleIndex PrefixIndex::longest(std::string_view path) const {
  const auto after = std::upper_bound(
      entries_.begin(), entries_.end(), path,
      [](std::string_view wanted, const Entry& entry) { return wanted < entry.prefix; });
  if (after == entries_.begin()) return kNoRuleIndex;
  const Entry* entry = &*(after - 1);
  const std::size_t common = common_length(entry->prefix, path);
  while (entry->prefix.size() > common) {
    if (entry->parent < 0) return kNoRuleIndex;
    entry = &entries_[static_cast<std::size_t>(entry->parent)];
  }
  return entry->rule;
}

std::uint32_t SegmentIndex::child(std::uint32_t node, std::string_view segment) {
  const auto fresh = static_cast<std::uint32_t>(nodes_.size());
  std::uint32_t found = fresh;
  if (segment == "+") {
    if (nodes_[node].plus == 0) nodes_[node].plus = fresh;
    found = nodes_[node].plus;
  } else {
    found = nodes_[node].literals.try_emplace(segment, fresh).first->second;
  }
  if (found == fresh) nodes_.emplace_back();
  return found;
}

void SegmentIndex::add(std::string_view pattern, RuleIndex rule, std::uint32_t rank) {
  if (ranks_.size() <= rule) ranks_.resize(rule + 1);
  ranks_[rule] = rank;
  const bool is_prefix = pattern.ends_with('*');
  if (is_prefix) pattern.remove_suffix(1);
  std::uint32_t node = 0;
  nodes_[node].rank_max = std::max(nodes_[node].rank_max, rank);
  while (true) {
    const std::size_t slash = pattern.find('/');
    if (is_prefix && slash == std::string_view::npos) {
      nodes_[node].partials.add(pattern, rule);
      return;
    }
    node = child(node, pattern.substr(0, slash));
    nodes_[node].rank_max = std::max(nodes_[node].rank_max, rank);
    if (slash == std::string_view::npos) break;
    pattern.remove_prefix(slash + 1);
  }
  nodes_[node].rule = rule;
  nodes_[node].rank = rank;
}

void SegmentIndex::finish() {
  for (Node& node : nodes_) node.partials.finish();
}

RuleIndex SegmentIndex::best(std::string_view path, std::uint32_t floor) const {
  Search search{kNoRuleIndex, floor};
  walk(nodes_[0], path, 0, search);
  return search.rule;
}

// `begin` is where the next segment starts; behind the end when none is left (a path that ends in
// '/' has an empty last segment).
void SegmentIndex::walk(const Node& node, std::string_view path, std::size_t begin,
                        Search& search) const {
  if (node.rank_max <= search.rank) return;
  if (begin > path.size()) {
    if (node.rank > search.rank) search = {node.rule, node.rank};
    return;
  }
  const std::size_t end = std::min(path.find('/', begin), path.size());
  const std::string_view segment = path.substr(begin, end - begin);
  if (!node.literals.empty()) {
    const auto literal = node.literals.find(segment);
    if (literal != node.literals.end()) walk(nodes_[literal->second], path, end + 1, search);
  }
  if (node.plus != 0) walk(nodes_[node.plus], path, end + 1, search);
  // Of several that fit here, the longest ranks highest: they differ in nothing else.
  const RuleIndex partial = node.partials.longest(segment);
  if (partial != kNoRuleIndex && ranks_[partial] > search.rank) search = {partial, ranks_[partial]};
}

}  // namespace curfew::policy
