#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/secret.h"
#include "broker/token/token.h"
#include "store/barrier.h"
#include "store/sql.h"

namespace curfew::broker {

// The row id of a token: a keyed hash of it.
Result<std::string> token_row_id(const store::Barrier& barrier, const Secret& token);

// What a token is beside its plain columns (id, accessor, parent, expires_at, mount,
// entity_id), for whoever seals it.
Json token_body(const Token& token);
// REQUIRES: `body` was opened from a seal.
void read_token_body(const Json& body, Token& token);

// nullopt: no such row. Expired tokens are found as well.
Result<std::optional<Token>> find_token(const store::Reader& reader, const store::Barrier& barrier,
                                        std::string_view id);

// Ends a token that find_token() gave in the same transaction, without what is below it.
Status end_token(store::Writer& writer, const store::Barrier& barrier, Token token, WallTime now);

// kInvalidArgument: a token of this id exists. kUnauthenticated: its parent has ended meanwhile.
Status insert_token(store::Writer& writer, const store::Barrier& barrier, const Token& token,
                    WallTime now);

// Ends the living tokens that logins at an auth method made, with all below them, at most `limit`
// of them; gives how many.
Result<std::int64_t> end_tokens_of_mount(store::Writer& writer, const store::Barrier& barrier,
                                         std::string_view mount, WallTime now, std::size_t limit);

// What still has to hold in the transaction that makes a token.
using TokenCheck = std::function<Status(const store::Reader&)>;

// The tokens of one namespace in the store, each sealed together with its plain columns.
// Thread-safe. A mutating call is durable when it returns success and has had no effect when it
// fails.
class TokenStore {
 public:
  TokenStore(store::Database& database, const store::Barrier& barrier);

  const std::string& name_space() const { return barrier_.name_space(); }

  Result<std::string> id_of(const Secret& token) const { return token_row_id(barrier_, token); }

  // See batch_token.h. Gives the error of `check` too.
  Result<Secret> seal_batch(const Token& token, const TokenCheck& check = {}) const;
  Result<std::optional<Token>> open_batch(const Secret& token) const;

  // See insert_token(). Gives the error of `check` too.
  Status insert(const Token& token, WallTime now, const TokenCheck& check = {});

  // Expired tokens are found as well, until they have been cleared away.
  Result<std::optional<Token>> get(std::string_view id) const;
  Result<std::optional<Token>> get_by_accessor(std::string_view accessor) const;

  // Applies `change` inside one transaction. kNotFound: no such token.
  Result<Token> change(std::string_view id, const std::function<Status(Token&)>& change);

  // Ends a token and the tokens below it, as of `now`: from this commit on none of them is accepted
  // (of more than 20,000 the deepest a moment later, by the reaper). What they hold is cleared away
  // by the reaper too.
  Status end_tree(std::string_view id, WallTime now);

  // Ends every token, some in each transaction. Made meanwhile: found by doing it again.
  Status end_everything(WallTime now);

  // Ends a token alone; its children become orphans.
  Status end_alone(std::string_view id, WallTime now);

  // The ids of tokens whose end has come, in the order of their ends, behind `after`.
  struct Ended {
    WallTime end = {};
    std::string id = {};
  };
  Result<std::vector<Ended>> ended(WallTime now, const Ended& after, std::size_t limit) const;

  // Ends the living children of a token that has ended, with all below them. Children that were
  // altered in the store are nobody's tokens any more, and stay as they are.
  Status end_children(std::string_view id, WallTime now);
  // When the next token ends behind `after`.
  Result<std::optional<WallTime>> next_end(WallTime after) const;

  // Removes the row of a token that has ended. kConflict: it has a child that has not.
  Status remove(std::string_view id, WallTime now);

  Result<std::vector<std::string>> accessors() const;

 private:
  // What a row was decoded to, and the sealed bytes that it came from.
  struct Decoded {
    std::string sealed;
    Token token;
  };
  Result<Token> decode_row(const store::Row& row) const;

  store::Database& database_;
  const store::Barrier& barrier_;
  mutable std::mutex mutex_;
  // The rows that get() decoded lately, by id; guarded by mutex_. They save decryption and parsing
  // alone: the row is read each time, and only one that is the same byte for byte is taken as
  // known.
  mutable std::unordered_map<std::string, std::shared_ptr<const Decoded>> decoded_;
};

}  // namespace curfew::broker
