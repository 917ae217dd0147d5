#include "broker/token/token_tree.h"

namespace curfew::broker {

Result<std::vector<std::string>> token_tree(const store::Reader& reader,
                                            const std::string& name_space, const std::string& id) {
  ASSIGN_OR_RETURN(
      const auto rows,
      reader.query(
          "WITH RECURSIVE tree(id) AS (SELECT id FROM tokens WHERE id = $1 AND namespace = "
          "$2 UNION SELECT t.id FROM tokens t JOIN tree ON t.parent = tree.id AND "
          "t.namespace = $2) SELECT id FROM tree",
          {id, name_space}));
  std::vector<std::string> ids;
  for (const store::Row& row : rows) ids.push_back(row.text(0));
  return ids;
}

}  // namespace curfew::broker
