#include "broker/token/token_store.h"

#include <fmt/format.h>

#include <deque>

namespace curfew::broker {
namespace {

constexpr std::string_view kNamespace = "root";
constexpr std::string_view kSelect =
    "SELECT id, accessor, parent, expires_at, sealed FROM tokens WHERE ";
constexpr std::size_t kTreeMax = 100'000;  // tokens ended in one transaction

store::Value end_value(const Token& token) {
  if (!token.expires_at) return std::monostate{};
  return to_unix_millis(*token.expires_at);
}

std::string context_of(const Token& token) {
  const Json columns = {
      "tokens",     kNamespace,
      token.id,     token.accessor,
      token.parent, token.expires_at ? Json(to_unix_millis(*token.expires_at)) : Json(nullptr)};
  return dump_json(columns);
}

Json body_of(const Token& token) {
  return {{"path", token.path},
          {"display_name", token.display_name},
          {"role", token.role},
          {"entity_id", token.entity_id},
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

void read_body(const Json& body, Token& token) {
  token.path = body.at("path").get<std::string>();
  token.display_name = body.at("display_name").get<std::string>();
  token.role = body.at("role").get<std::string>();
  token.entity_id = body.at("entity_id").get<std::string>();
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

Result<Token> decode(const store::Barrier& barrier, const store::Row& row) {
  Token token;
  token.id = row.text(0);
  token.accessor = row.text(1);
  token.parent = row.text(2);
  if (const auto end = row.integer_or_null(3)) token.expires_at = from_unix_millis(*end);
  auto opened = barrier.open(context_of(token), row.blob(4));
  if (!opened && opened.error().code == Errc::kCorrupt)
    return Error{Errc::kCorrupt,
                 fmt::format("the stored token with accessor \"{}\" was altered outside of Curfew "
                             "and is not trusted",
                             token.accessor)};
  if (!opened) return std::move(opened).error();
  ASSIGN_OR_RETURN(const Json body, parse_json(*opened));
  read_body(body, token);
  return token;
}

Status update(store::Writer& writer, const store::Barrier& barrier, const Token& token) {
  ASSIGN_OR_RETURN(std::string sealed, barrier.seal(context_of(token), dump_json(body_of(token))));
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      writer.execute("UPDATE tokens SET parent = $1, expires_at = $2, sealed = $3 "
                     "WHERE id = $4",
                     {token.parent, end_value(token), store::Blob{std::move(sealed)}, token.id}));
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
  ASSIGN_OR_RETURN(const auto row, reader.query_one(fmt::format("{}{} = $1", kSelect, column),
                                                    {std::string(value)}));
  if (!row) return std::optional<Token>{};
  ASSIGN_OR_RETURN(Token token, decode(barrier, *row));
  return std::optional{std::move(token)};
}

Result<std::vector<Token>> children(const store::Reader& reader, const store::Barrier& barrier,
                                    std::string_view parent) {
  std::vector<Token> tokens;
  ASSIGN_OR_RETURN(const auto rows,
                   reader.query(fmt::format("{}parent = $1", kSelect), {std::string(parent)}));
  for (const store::Row& row : rows) {
    ASSIGN_OR_RETURN(Token token, decode(barrier, row));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

}  // namespace

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
  ASSIGN_OR_RETURN(std::string sealed, barrier.seal(context_of(token), dump_json(body_of(token))));
  const auto inserted = writer.execute(
      "INSERT INTO tokens (id, namespace, accessor, parent, expires_at, sealed) "
      "VALUES ($1, $2, $3, $4, $5, $6)",
      {token.id, std::string(kNamespace), token.accessor, token.parent, end_value(token),
       store::Blob{std::move(sealed)}});
  if (!inserted && inserted.error().code == Errc::kConflict)
    return Error{Errc::kInvalidArgument, "cannot create a token with a duplicate ID"};
  if (!inserted) return inserted.error();
  return ok();
}

TokenStore::TokenStore(store::Database& database, const store::Barrier& barrier)
    : database_(database), barrier_(barrier) {}

Status TokenStore::insert(const Token& token, WallTime now) {
  return database_.write(
      [&](store::Writer& writer) { return insert_token(writer, barrier_, token, now); });
}

Result<std::optional<Token>> TokenStore::get(std::string_view id) const {
  std::optional<Token> token;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(token, find(reader, barrier_, "id", id));
    return ok();
  }));
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
    std::deque<Token> open{std::move(*root)};
    for (std::size_t ended = 0; !open.empty(); ++ended) {
      if (ended == kTreeMax)
        return Error{
            Errc::kOverloaded,
            "the token has too many descendants to end at once; revoke its children first"};
      Token token = std::move(open.front());
      open.pop_front();
      ASSIGN_OR_RETURN(auto below, children(writer, barrier_, token.id));
      std::move(below.begin(), below.end(), std::back_inserter(open));
      RETURN_IF_ERROR(end_one(writer, barrier_, std::move(token), now));
    }
    return ok();
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

Result<std::vector<Token>> TokenStore::ended(WallTime now, std::size_t limit) const {
  std::vector<Token> tokens;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query(fmt::format("{}expires_at IS NOT NULL AND expires_at <= $1 "
                                              "ORDER BY expires_at LIMIT $2",
                                              kSelect),
                                  {to_unix_millis(now), static_cast<std::int64_t>(limit)}));
    for (const store::Row& row : rows) {
      // An altered row cannot be used as a token; its leases end by themselves.
      auto token = decode(barrier_, row);
      if (token) tokens.push_back(*std::move(token));
    }
    return ok();
  }));
  return tokens;
}

Result<std::optional<WallTime>> TokenStore::next_end() const {
  std::optional<WallTime> next;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto row,
                     reader.query_one("SELECT expires_at FROM tokens WHERE expires_at IS NOT NULL "
                                      "ORDER BY expires_at LIMIT 1"));
    if (row) next = from_unix_millis(row->integer(0));
    return ok();
  }));
  return next;
}

Status TokenStore::remove(std::string_view id) {
  return database_.write([&](store::Writer& writer) -> Status {
    ASSIGN_OR_RETURN(
        const auto child,
        writer.query_one("SELECT 1 FROM tokens WHERE parent = $1 LIMIT 1", {std::string(id)}));
    if (child) return Error{Errc::kConflict, "the token still has children"};
    auto removed = writer.execute("DELETE FROM tokens WHERE id = $1", {std::string(id)});
    if (!removed) return std::move(removed).error();
    return ok();
  });
}

Result<std::vector<std::string>> TokenStore::accessors() const {
  std::vector<std::string> accessors;
  RETURN_IF_ERROR(database_.read([&](const store::Reader& reader) -> Status {
    ASSIGN_OR_RETURN(const auto rows,
                     reader.query("SELECT accessor FROM tokens ORDER BY accessor"));
    for (const store::Row& row : rows) accessors.push_back(row.text(0));
    return ok();
  }));
  return accessors;
}

}  // namespace curfew::broker
