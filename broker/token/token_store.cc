#include "broker/token/token_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <deque>

#include "broker/token/batch_token.h"

namespace curfew::broker {
namespace {

constexpr std::string_view kSelect =
    "SELECT id, accessor, parent, expires_at, sealed, mount, entity FROM tokens WHERE ";
// As they stand in a token's sealed part; in the order of TokenType.
constexpr std::array<const char*, 3> kTypes = {"service", "batch", "wrapping"};
constexpr std::size_t kTreeMax = 100'000;    // tokens ended in one transaction
constexpr std::size_t kEndPage = 500;        // likewise, where all are ended
constexpr std::size_t kDecodedMax = 10'000;  // tokens whose decoded form is kept

store::Value end_value(const Token& token) {
  if (!token.expires_at) return std::monostate{};
  return to_unix_millis(*token.expires_at);
}

// The columns of an entity and of an auth method came later: a row that has neither is bound as it
// was before.
std::string context_of(const std::string& name_space, const Token& token) {
  Json columns = {
      "tokens",     name_space,
      token.id,     token.accessor,
      token.parent, token.expires_at ? Json(to_unix_millis(*token.expires_at)) : Json()};
  if (!token.mount.empty() || !token.entity_id.empty()) {
    columns.push_back(token.mount);
    columns.push_back(token.entity_id);
  }
  return dump_json(columns);
}

// The columns that are stored in the clear.
Token columns_of(const store::Row& row) {
  Token token;
  token.id = row.text(0);
  token.accessor = row.text(1);
  token.parent = row.text(2);
  if (const auto end = row.integer_or_null(3)) token.expires_at = from_unix_millis(*end);
  token.mount = row.text(5);
  token.entity_id = row.text(6);
  return token;
}

bool same_columns(const Token& a, const Token& b) {
  return a.id == b.id && a.accessor == b.accessor && a.parent == b.parent &&
         a.expires_at == b.expires_at && a.mount == b.mount && a.entity_id == b.entity_id;
}

Result<Token> decode(const store::Barrier& barrier, const store::Row& row) {
  Token token = columns_of(row);
  auto opened = barrier.open(context_of(barrier.name_space(), token), row.blob(4));
  if (!opened && opened.error().code == Errc::kCorrupt)
    return Error{Errc::kCorrupt,
                 fmt::format("the stored token with accessor \"{}\" was altered outside of Curfew "
                             "and is not trusted",
                             token.accessor)};
  if (!opened) return std::move(opened).error();
  ASSIGN_OR_RETURN(const Json body, parse_json(*opened));
  read_token_body(body, token);
  return token;
}

Status update(store::Writer& writer, const store::Barrier& barrier, const Token& token) {
  ASSIGN_OR_RETURN(std::string sealed, barrier.seal(context_of(barrier.name_space(), token),
                                                    dump_json(token_body(token))));
  ASSIGN_OR_RETURN(const std::int64_t changed,
                   writer.execute("UPDATE tokens SET parent = $1, expires_at = $2, sealed = $3 "
                                  "WHERE id = $4 AND namespace = $5",
                                  {token.parent, end_value(token), store::Blob{std::move(sealed)},
                                   token.id, barrier.name_space()}));
  if (changed != 1) return Error{Errc::kNotFound, "token not found"};
  return ok();
}

// An end that is earlier already stays.
Status end_one(store::Writer& writer, const store::Barrier& barrier, Token token, WallTime now) {
  if (!token.expires_at || *token.expires_at > now) token.expires_at = now;
  return update(writer, barrier, token);
}

Result<std::optional<Token>> find(const store::Reader& reader, const store::Barrier& barrier,
                                  std::string_view column, std::string_view value) {
  ASSIGN_OR_RETURN(const auto row,
                   reader.query_one(fmt::format("{}{} = $1 AND namespace = $2", kSelect, column),
                                    {std::string(value), barrier.name_space()}));
  if (!row) return std::optional<Token>{};
  ASSIGN_OR_RETURN(Token token, decode(barrier, *row));
  return std::optional{std::move(token)};
}

// Those that open; an altered row is no token any more.
Result<std::vector<Token>> children(const store::Reader& reader, const store::Barrier& barrier,
                                    std::string_view parent) {
  std::vector<Token> tokens;
  ASSIGN_OR_RETURN(const auto rows,
                   reader.query(fmt::format("{}parent = $1 AND namespace = $2", kSelect),
                                {std::string(parent), barrier.name_space()}));
  for (const store::Row& row : rows) {
    auto token = decode(barrier, row);
    if (token) {
      tokens.push_back(*std::move(token));
    } else if (token.error().code != Errc::kCorrupt) {
      return std::move(token).error();
    }
  }
  return tokens;
}

// Ends all of `open` and everything below, a bounded number.
Status end_all(store::Writer& writer, const store::Barrier& barrier, std::deque<Token> open,
               WallTime now) {
  for (std::size_t ended = 0; !open.empty() && ended < kTreeMax; ++ended) {
    Token token = std::move(open.front());
    open.pop_front();
    ASSIGN_OR_RETURN(auto below, children(writer, barrier, token.id));
    std::move(below.begin(), below.end(), std::back_inserter(open));
    RETURN_IF_ERROR(end_one(writer, barrier, std::move(token), now));
  }
  // What is left lies below tokens that have ended: the reaper goes on there.
  return ok();
}

}  // namespace

namespace {

Json to_stored(const std::vector<TokenBudget>& budgets) {
  Json out = Json::array();
  for (const TokenBudget& budget : budgets)
    out.push_back({{"token", budget.token},
                   {"holder", budget.holder},
                   {"live_leases_max", budget.live_leases_max},
                   {"leases_per_hour", budget.leases_per_hour},
                   {"ttl_max", budget.ttl_max.count()}});
  return out;
}

std::vector<TokenBudget> budgets_from_stored(const Json& stored) {
  std::vector<TokenBudget> budgets;
  for (const Json& one : stored)
    budgets.push_back({.token = one.at("token").get<std::string>(),
                       .holder = one.at("holder").get<std::string>(),
                       .live_leases_max = one.at("live_leases_max").get<std::int64_t>(),
                       .leases_per_hour = one.at("leases_per_hour").get<std::int64_t>(),
                       .ttl_max = Millis{one.at("ttl_max").get<std::int64_t>()}});
  return budgets;
}

}  // namespace

Json token_body(const Token& token) {
  return {{"type", kTypes[static_cast<std::size_t>(token.type)]},
          {"path", token.path},
          {"display_name", token.display_name},
          {"agent", token.agent},
          {"role", token.role},
          {"renewal", token.renewal},
          {"max_ttl", token.max_ttl.count()},
          {"certificate", token.certificate},
          {"on_behalf_of", token.on_behalf_of},
          {"principal_policies", token.principal_policies},
          {"sub_agent", token.sub_agent},
          {"delegator_policies", token.delegator_policies},
          {"budgets", to_stored(token.budgets)},
          {"policies", token.policies},
          {"meta", token.meta},
          {"bound_cidrs", token.bound_cidrs},
          {"created_at", to_unix_millis(token.created_at)},
          {"creation_ttl", token.creation_ttl.count()},
          {"last_renewal",
           token.last_renewal ? Json(to_unix_millis(*token.last_renewal)) : Json(nullptr)},
          {"explicit_max_ttl", token.explicit_max_ttl.count()},
          {"period", token.period.count()},
          {"num_uses", token.num_uses},
          {"renewable", token.renewable},
          {"orphan", token.orphan}};
}

void read_token_body(const Json& body, Token& token) {
  const std::string type = body.value("type", kTypes[0]);  // not in older rows
  const auto known = std::find(kTypes.begin(), kTypes.end(), type);
  if (known != kTypes.end()) token.type = static_cast<TokenType>(known - kTypes.begin());
  token.path = body.at("path").get<std::string>();
  token.display_name = body.at("display_name").get<std::string>();
  token.agent = body.value("agent", "");  // not in older rows
  token.role = body.at("role").get<std::string>();
  token.renewal = body.value("renewal", Json());
  token.max_ttl = Millis{body.value("max_ttl", std::int64_t{0})};
  token.certificate = body.value("certificate", "");
  token.on_behalf_of = body.value("on_behalf_of", "");
  token.principal_policies = body.value("principal_policies", std::vector<std::string>{});
  token.sub_agent = body.value("sub_agent", "");
  token.delegator_policies = body.value("delegator_policies", std::vector<std::string>{});
  token.budgets = budgets_from_stored(body.value("budgets", Json::array()));
  token.policies = body.at("policies").get<std::vector<std::string>>();
  token.meta = body.at("meta").get<std::map<std::string, std::string>>();
  token.bound_cidrs = body.at("bound_cidrs").get<std::vector<std::string>>();
  token.created_at = from_unix_millis(body.at("created_at").get<std::int64_t>());
  token.creation_ttl = Millis{body.at("creation_ttl").get<std::int64_t>()};
  if (!body.at("last_renewal").is_null())
    token.last_renewal = from_unix_millis(body.at("last_renewal").get<std::int64_t>());
  token.explicit_max_ttl = Millis{body.at("explicit_max_ttl").get<std::int64_t>()};
  token.period = Millis{body.at("period").get<std::int64_t>()};
  token.num_uses = body.at("num_uses").get<std::int64_t>();
  token.renewable = body.at("renewable").get<bool>();
  token.orphan = body.at("orphan").get<bool>();
}

Result<std::string> token_row_id(const store::Barrier& barrier, const Secret& token) {
  return barrier.keyed_hash("token", token.reveal());
}

Status insert_token(store::Writer& writer, const store::Barrier& barrier, const Token& token,
                    WallTime now) {
  if (!token.parent.empty()) {
    ASSIGN_OR_RETURN(const auto parent, find(writer, barrier, "id", token.parent));
    if (!parent || (parent->expires_at && *parent->expires_at <= now))
      return Error{Errc::kUnauthenticated, "permission denied: the parent token has ended"};
  }
  ASSIGN_OR_RETURN(std::string sealed, barrier.seal(context_of(barrier.name_space(), token),
                                                    dump_json(token_body(token))));
  const auto inserted = writer.execute(
      "INSERT INTO tokens (id, namespace, accessor, parent, expires_at, sealed, mount, entity) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
      {token.id, barrier.name_space(), token.accessor, token.parent, end_value(token),
       store::Blob{std::move(sealed)}, token.mount, token.entity_id});
  if (!inserted && inserted.error().code == Errc::kConflict)
    return Error{Errc::kInvalidArgument, "cannot create a token with a duplicate ID"};
  if (!inserted) return inserted.error();
  return ok();
}

Result<std::int64_t> end_tokens_of_mount(store::Writer& writer, const store::Barrier& barrier,
                                         std::string_view mount, WallTime now, std::size_t limit) {
  ASSIGN_OR_RETURN(const auto rows,
                   writer.query(fmt::format("{}mount = $1 AND mount <> '' AND namespace = $4 AND "
                                            "(expires_at IS NULL OR expires_at > $2) LIMIT $3",
                                            kSelect),
                                {std::string(mount), to_unix_millis(now),
                                 static_cast<std::int64_t>(limit), barrier.name_space()}));
  for (const store::Row& row : rows) {
    auto token = decode(barrier, row);
    if (token) {
      RETURN_IF_ERROR(end_all(writer, barrier, {*std::move(token)}, now));
    } else if (token.error().code == Errc::kCorrupt) {
      // Nobody's token any more; without its row it cannot be counted again.
      RETURN_IF_ERROR(writer.execute("DELETE FROM tokens WHERE id = $1", {row.text(0)}));
    } else {
      return std::move(token).error();
    }
  }
  return static_cast<std::int64_t>(rows.size());
}

Result<std::optional<Token>> find_token(const store::Reader& reader, const store::Barrier& barrier,
                                        std::string_view id) {
  return find(reader, barrier, "id", id);
}

Status end_token(store::Writer& writer, const store::Barrier& barrier, Token token, WallTime now) {
  return end_one(writer, barrier, std::move(token), now);
}

TokenStore::TokenStore(store::Database& database, const store::Barrier& barrier)
    : database_(database), barrier_(barrier) {}

Result<Secret> TokenStore::seal_batch(const Token& token, const TokenCheck& check) const {
  if (check) RETURN_IF_ERROR(database_.read(check));
  return seal_batch_token(barrier_, token);
}

Result<std::optional<Token>> TokenStore::open_batch(const Secret& token) const {
  return open_batch_token(barrier_, token);
}

Status TokenStore::insert(const Token& token, WallTime now, const TokenCheck& check) {
  return database_.write([&](store::Writer& writer) -> Status {
    if (check) RETURN_IF_ERROR(check(writer));
    return insert_token(writer, barrier_, token, now);
  });
}

Result<std::optional<Token>> TokenStore::get(std::string_view id) const {
  static const std::string kById = fmt::format("{}id = $1 AND namespace = $2", kSelect);
  std::optional<store::Row> row;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(row, reader.query_one(kById, {std::string(id), barrier_.name_space()}));
    return ok();
  }));
  if (!row) return std::optional<Token>{};
  ASSIGN_OR_RETURN(Token token, decode_row(*row));
  return std::optional{std::move(token)};
}

Result<Token> TokenStore::decode_row(const store::Row& row) const {
  const std::string& id = row.text(0);
  std::shared_ptr<const Decoded> known;
  {
    const std::scoped_lock lock(mutex_);
    const auto it = decoded_.find(id);
    if (it != decoded_.end()) known = it->second;
  }
  if (known != nullptr && known->sealed == row.blob(4) &&
      same_columns(known->token, columns_of(row)))
    return known->token;
  ASSIGN_OR_RETURN(Token token, decode(barrier_, row));
  auto fresh = std::make_shared<const Decoded>(Decoded{row.blob(4), token});
  const std::scoped_lock lock(mutex_);
  if (decoded_.size() >= kDecodedMax) decoded_.clear();
  decoded_[id] = std::move(fresh);
  return token;
}

Result<std::optional<Token>> TokenStore::get_by_accessor(std::string_view accessor) const {
  std::optional<Token> token;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(token, find(reader, barrier_, "accessor", accessor));
    return ok();
  }));
  return token;
}

Result<Token> TokenStore::change(std::string_view id, const std::function<Status(Token&)>& change) {
  std::optional<Token> result;
  RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(result, find(writer, barrier_, "id", id));
    if (!result) return Error{Errc::kNotFound, "token not found"};
    RETURN_IF_ERROR(change(*result));
    return update(writer, barrier_, *result);
  }));
  return std::move(*result);
}

Status TokenStore::end_tree(std::string_view id, WallTime now) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(auto root, find(writer, barrier_, "id", id));
    if (!root) return ok();
    return end_all(writer, barrier_, {std::move(*root)}, now);
  });
}

Status TokenStore::end_everything(WallTime now) {
  for (std::size_t page = kEndPage; page == kEndPage;) {
    RETURN_IF_ERROR(database_.write([&](store::Writer& writer) -> Status {
      ASSIGN_OR_RETURN(const auto rows,
                       writer.query(fmt::format("{}namespace = $1 AND (expires_at IS NULL OR "
                                                "expires_at > $2) LIMIT $3",
                                                kSelect),
                                    {barrier_.name_space(), to_unix_millis(now),
                                     static_cast<std::int64_t>(kEndPage)}));
      page = rows.size();
      for (const store::Row& row : rows) {
        auto token = decode(barrier_, row);
        if (token) {
          RETURN_IF_ERROR(end_one(writer, barrier_, *std::move(token), now));
        } else if (token.error().code == Errc::kCorrupt) {
          // Nobody's token any more; without its row it is not found again.
          RETURN_IF_ERROR(writer.execute("DELETE FROM tokens WHERE id = $1", {row.text(0)}));
        } else {
          return std::move(token).error();
        }
      }
      return ok();
    }));
  }
  return ok();
}

Status TokenStore::end_children(std::string_view id, WallTime now) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(auto below, children(writer, barrier_, id));
    std::erase_if(below,
                  [&](const Token& child) { return child.expires_at && *child.expires_at <= now; });
    return end_all(writer, barrier_,
                   {std::make_move_iterator(below.begin()), std::make_move_iterator(below.end())},
                   now);
  });
}

Status TokenStore::end_alone(std::string_view id, WallTime now) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(auto token, find(writer, barrier_, "id", id));
    if (!token) return ok();
    ASSIGN_OR_RETURN(auto below, children(writer, barrier_, id));
    for (Token& child : below) {
      child.parent.clear();
      child.orphan = true;
      RETURN_IF_ERROR(update(writer, barrier_, child));
    }
    return end_one(writer, barrier_, std::move(*token), now);
  });
}

Result<std::vector<TokenStore::Ended>> TokenStore::ended(WallTime now, const Ended& after,
                                                         std::size_t limit) const {
  std::vector<Ended> out;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT id, expires_at FROM tokens WHERE namespace = $5 AND "
                                  "expires_at IS NOT NULL AND expires_at <= $1 AND (expires_at > "
                                  "$2 OR (expires_at = $2 AND id > $3)) "
                                  "ORDER BY expires_at, id LIMIT $4",
                                  {to_unix_millis(now), to_unix_millis(after.end), after.id,
                                   static_cast<std::int64_t>(limit), barrier_.name_space()}));
    for (const store::Row& row : rows)
      out.push_back({from_unix_millis(row.integer(1)), row.text(0)});
    return ok();
  }));
  return out;
}

Result<std::optional<WallTime>> TokenStore::next_end(WallTime after) const {
  std::optional<WallTime> next;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row,
                     reader.query_one("SELECT expires_at FROM tokens WHERE namespace = $2 AND "
                                      "expires_at IS NOT NULL AND expires_at > $1 "
                                      "ORDER BY expires_at LIMIT 1",
                                      {to_unix_millis(after), barrier_.name_space()}));
    if (row) next = from_unix_millis(row->integer(0));
    return ok();
  }));
  return next;
}

Status TokenStore::remove(std::string_view id, WallTime now) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(
        const auto child,
        writer.query_one("SELECT 1 FROM tokens WHERE parent = $1 AND namespace = $3 AND "
                         "(expires_at IS NULL OR expires_at > $2) LIMIT 1",
                         {std::string(id), to_unix_millis(now), barrier_.name_space()}));
    if (child) return Error{Errc::kConflict, "the token still has living children"};
    RETURN_IF_ERROR(
        writer.execute("DELETE FROM tokens WHERE id = $1 AND namespace = $3 AND "
                       "expires_at <= $2",
                       {std::string(id), to_unix_millis(now), barrier_.name_space()}));
    return ok();
  });
}

Result<std::vector<std::string>> TokenStore::accessors() const {
  std::vector<std::string> accessors;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(
        const auto rows,
        reader.query("SELECT accessor FROM tokens WHERE namespace = $1 ORDER BY accessor",
                     {barrier_.name_space()}));
    for (const store::Row& row : rows) accessors.push_back(row.text(0));
    return ok();
  }));
  return accessors;
}

}  // namespace curfew::broker
