#pragma once

#include <memory>
#include <string>
#include <vector>

struct pg_conn;

namespace curfew::bench {

// What is granted to a new role.
enum class Grant { kGroup, kTables };

// The creation statements of a role that grants so, as an operator would write them.
std::vector<std::string> creation_statements(Grant grant);

struct PlainRole {
  std::string name;
  std::string verifier;  // made ahead of time
  std::string lease_id;  // for the lock and the comment
};

std::vector<PlainRole> make_plain_roles(int count, int rounds);

// What a program without a broker would be: libpq, and the statements that Curfew's engine sends.
// Every failure ends the program. Belongs to one thread.
class PlainConnection {
 public:
  // `url`: of the login that makes roles.
  explicit PlainConnection(const std::string& url);

  // The engine's transaction for a new role: locks, the creation statements, the comment, the
  // fence, the look for its oid.
  void create(const PlainRole& role, Grant grant);

  // Ends what create() made, the way a plain program would: DROP OWNED BY, DROP ROLE, in one
  // transaction under the same lock. The engine does more: four phases and a look afterwards.
  void drop(const PlainRole& role);

  void run(const std::string& sql);
  std::string value(const std::string& sql);  // the first column of the first row

 private:
  struct Close {
    void operator()(pg_conn* connection) const;
  };
  std::unique_ptr<pg_conn, Close> connection_;
};

}  // namespace curfew::bench
