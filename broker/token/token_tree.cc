#include "broker/token/token_tree.h"

namespace curfew::broker {

Result<std::vector<std::string>> token_tree(const store::Reader& reader, const std::string& id,
                                            std::size_t limit) {
  ASSIGN_OR_RETURN(
      const auto rows,
      reader.query("WITH RECURSIVE tree(id) AS (SELECT id FROM tokens WHERE id = $1 UNION SELECT "
                   "t.id FROM tokens t JOIN tree ON t.parent = tree.id) SELECT id FROM tree "
                   "LIMIT $2",
                   {id, static_cast<std::int64_t>(limit)}));
  std::vector<std::string> ids;
  for (const store::Row& row : rows) ids.push_back(row.text(0));
  return ids;
}

}  // namespace curfew::broker
