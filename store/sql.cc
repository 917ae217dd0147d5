#include "store/sql.h"

#include <cstdlib>

namespace curfew::store {
namespace {

template <class T>
const T& column_as(const std::vector<Value>& values, std::size_t column) {
  if (column >= values.size()) std::abort();
  const T* value = std::get_if<T>(&values[column]);
  if (value == nullptr) std::abort();
  return *value;
}

// The length of the well-formed UTF-8 sequence (RFC 3629) at the start of `text`, or 0.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto tail = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const unsigned low = lead == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = lead == 0xed ? 0x9f : 0xbf;
    return tail(1, low, high) && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const unsigned low = lead == 0xf0 ? 0x90 : 0x80;
    const unsigned high = lead == 0xf4 ? 0x8f : 0xbf;
    return tail(1, low, high) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace

bool Row::is_null(std::size_t column) const {
  if (column >= values_.size()) std::abort();
  return std::holds_alternative<std::monostate>(values_[column]);
}

std::int64_t Row::integer(std::size_t column) const {
  return column_as<std::int64_t>(values_, column);
}

std::optional<std::int64_t> Row::integer_or_null(std::size_t column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}

const std::string& Row::text(std::size_t column) const {
  return column_as<std::string>(values_, column);
}

const std::string& Row::blob(std::size_t column) const {
  return column_as<Blob>(values_, column).bytes;
}

Result<std::optional<Row>> Reader::query_one(std::string_view sql,
                                             const std::vector<Value>& parameters) const {
  ASSIGN_OR_RETURN(std::vector<Row> rows, query(sql, parameters));
  if (rows.empty()) return std::optional<Row>{};
  return std::optional<Row>{std::move(rows.front())};
}

bool is_storable_text(std::string_view text) {
  while (!text.empty()) {
    if (text.front() == '\0') return false;
    const std::size_t length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace curfew::store
