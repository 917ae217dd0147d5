#include "store/barrier.h"

namespace curfew::store {

std::string row_context(std::string_view table, std::initializer_list<std::string_view> columns) {
  std::string context(table);
  for (const std::string_view column : columns) {
    context += '|';
    context += std::to_string(column.size());
    context += ':';
    context += column;
  }
  return context;
}

}  // namespace curfew::store
