#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "broker/token/token.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// The row id of a token: a keyed hash of it.
Result<std::string> token_row_id(const store::Barrier& barrier, const Secret& token);

// kInvalidArgument: a token of this id exists. kUnauthenticated: its parent has ended meanwhile.
Status insert_token(store::Writer& writer, const store::Barrier& barrier, const Token& token,
                    WallTime now);

// The tokens in the store, each sealed together with its plain columns. Thread-safe. A mutating
// call is durable when it returns success and has had no effect when it fails.
class TokenStore {
 public:
  TokenStore(store::Database& database, const store::Barrier& barrier);

  Result<std::string> id_of(const Secret& token) const { return token_row_id(barrier_, token); }

  // See insert_token().
  Status insert(const Token& token, WallTime now);

  // Expired tokens are found as well, until they have been cleared away.
  Result<std::optional<Token>> get(std::string_view id) const;
  Result<std::optional<Token>> get_by_accessor(std::string_view accessor) const;

  // Applies `change` inside one transaction. kNotFound: no such token.
  Result<Token> change(std::string_view id, const std::function<Status(Token&)>& change);

  // Ends a token and every token below it, as of `now`: from this commit on none of them is
  // accepted. What they hold is cleared away later (see TokenReaper).
  Status end_tree(std::string_view id, WallTime now);

  // Ends a token alone; its children become orphans.
  Status end_alone(std::string_view id, WallTime now);

  // Tokens whose end has come, the longest ago first.
  Result<std::vector<Token>> ended(WallTime now, std::size_t limit) const;
  Result<std::optional<WallTime>> next_end() const;

  // Removes the row of a token that has ended and has no children left.
  Status remove(std::string_view id);

  Result<std::vector<std::string>> accessors() const;

 private:
  store::Database& database_;
  const store::Barrier& barrier_;
};

}  // namespace curfew::broker
