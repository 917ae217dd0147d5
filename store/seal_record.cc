#include "store/seal_record.h"

#include <initializer_list>
#include <utility>

#include "base/json.h"
#include "store/aead.h"
#include "store/barrier.h"
#include "store/shamir.h"

namespace curfew::store {
namespace {

constexpr char kFormat = '\x01';

// The rows of `meta`.
constexpr const char* kStoreId = "store_id";
constexpr const char* kSeal = "seal";
constexpr const char* kRootKey = "root_key";
constexpr const char* kHolder = "seal_holder";
constexpr const char* kRecovery = "recovery";
constexpr const char* kRecoveryKey = "recovery_key";

Error damaged() {
  return {Errc::kCorrupt,
          "the database's description of its seal is damaged or incomplete; the operator must "
          "restore a backup"};
}

Result<std::optional<std::string>> read_row(const Reader& reader, const char* name) {
  ASSIGN_OR_RETURN(const auto row, reader.query_one("SELECT value FROM meta WHERE name = $1",
                                                    {Value{std::string(name)}}));
  if (!row) return std::optional<std::string>{};
  return std::optional<std::string>{row->blob(0)};
}

// An empty value is no row.
Status write_row(Writer& writer, const char* name, const std::string& value) {
  if (value.empty()) {
    RETURN_IF_ERROR(writer.execute("DELETE FROM meta WHERE name = $1", {Value{std::string(name)}}));
    return ok();
  }
  RETURN_IF_ERROR(
      writer.execute("INSERT INTO meta (name, value) VALUES ($1, $2) "
                     "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                     {Value{std::string(name)}, Value{Blob{value}}}));
  return ok();
}

Result<ShareNumbers> numbers_in(const Fields& fields) {
  const auto shares = fields.integer_or("shares", -1);
  const auto threshold = fields.integer_or("threshold", -1);
  if (!shares || !threshold || *shares < 0 || *shares > kSharesMax || *threshold < 0 ||
      *threshold > *shares)
    return damaged();
  return ShareNumbers{static_cast<int>(*shares), static_cast<int>(*threshold)};
}

// Bound to the wrapped key, so that whoever edits the rows gains no other seal.
std::string seal_context(const SealRecord& record) {
  return row_context("root_key", {record.store_id, seal_kind_name(record.kind),
                                  std::to_string(record.seal_shares.shares),
                                  std::to_string(record.seal_shares.threshold)});
}

std::string recovery_context(const SealRecord& record) {
  return row_context("recovery_key",
                     {record.store_id, std::to_string(record.recovery_shares.shares),
                      std::to_string(record.recovery_shares.threshold)});
}

Result<Secret> open_wrapped(const Secret& key, const std::string& context,
                            std::string_view wrapped) {
  if (wrapped.empty() || wrapped.front() != kFormat) return damaged();
  auto opened = aead_open(key.reveal(), context, wrapped.substr(1));
  if (!opened)
    return Error{Errc::kCorrupt,
                 "the seal's key does not open this database: it is the key of another database, "
                 "or the description of the seal was changed. Check key and database path, or "
                 "restore a backup"};
  return Secret(std::move(*opened));
}

}  // namespace

Status SealRecord::wrap_by_seal(const Secret& seal_key, const Secret& root, Random& random) {
  ASSIGN_OR_RETURN(const std::string wrapped,
                   aead_seal(seal_key.reveal(), random, seal_context(*this), root.reveal()));
  root_key = kFormat + wrapped;
  return ok();
}

Status SealRecord::wrap_by_recovery(const Secret& key, const Secret& root, Random& random) {
  ASSIGN_OR_RETURN(const std::string wrapped,
                   aead_seal(key.reveal(), random, recovery_context(*this), root.reveal()));
  recovery_key = kFormat + wrapped;
  return ok();
}

Result<Secret> SealRecord::open_by_seal(const Secret& seal_key) const {
  return open_wrapped(seal_key, seal_context(*this), root_key);
}

Result<Secret> SealRecord::open_by_recovery(const Secret& key) const {
  return open_wrapped(key, recovery_context(*this), recovery_key);
}

Result<Secret> SealRecord::open_by_shares(const Secret& key) const {
  return kind == SealKind::kShamir ? open_by_seal(key) : open_by_recovery(key);
}

namespace {

Status read_seal(const std::string& text, SealRecord& record) {
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return damaged();
  const Fields fields(*json);
  const auto kind_name = fields.text_or("kind", "");
  if (!kind_name) return damaged();
  const auto kind = seal_kind_of(*kind_name);
  if (!kind) return damaged();
  record.kind = *kind;
  ASSIGN_OR_RETURN(record.seal_shares, numbers_in(fields));
  if (*kind == SealKind::kShamir && record.seal_shares.threshold < 1) return damaged();
  return ok();
}

Status read_recovery(const std::string& text, SealRecord& record) {
  const auto json = parse_json(text);
  if (!json || !json->is_object()) return damaged();
  ASSIGN_OR_RETURN(record.recovery_shares, numbers_in(Fields(*json)));
  return record.recovery_shares.threshold < 1 ? Status(damaged()) : ok();
}

Json numbers_json(const ShareNumbers& numbers) {
  return {{"shares", numbers.shares}, {"threshold", numbers.threshold}};
}

}  // namespace

Result<std::optional<SealRecord>> read_seal_record(const Reader& reader) {
  ASSIGN_OR_RETURN(auto id, read_row(reader, kStoreId));
  ASSIGN_OR_RETURN(const auto seal, read_row(reader, kSeal));
  ASSIGN_OR_RETURN(auto root_key, read_row(reader, kRootKey));
  if (!id && !seal && !root_key) return std::optional<SealRecord>{};
  if (!id || !seal || !root_key) return damaged();
  SealRecord record;
  record.store_id = std::move(*id);
  record.root_key = std::move(*root_key);
  RETURN_IF_ERROR(read_seal(*seal, record));
  ASSIGN_OR_RETURN(auto holder, read_row(reader, kHolder));
  if (holder) record.holder = std::move(*holder);
  ASSIGN_OR_RETURN(const auto recovery, read_row(reader, kRecovery));
  ASSIGN_OR_RETURN(auto recovery_key, read_row(reader, kRecoveryKey));
  if (recovery.has_value() != recovery_key.has_value()) return damaged();
  if (recovery) {
    RETURN_IF_ERROR(read_recovery(*recovery, record));
    record.recovery_key = std::move(*recovery_key);
  }
  return std::optional<SealRecord>{std::move(record)};
}

Status write_seal_record(Writer& writer, const SealRecord& record) {
  Json seal = numbers_json(record.seal_shares);
  seal["kind"] = seal_kind_name(record.kind);
  RETURN_IF_ERROR(write_row(writer, kStoreId, record.store_id));
  RETURN_IF_ERROR(write_row(writer, kSeal, dump_json(seal)));
  RETURN_IF_ERROR(write_row(writer, kRootKey, record.root_key));
  RETURN_IF_ERROR(write_row(writer, kHolder, record.holder));
  const bool has_recovery = record.recovery_shares.shares > 0;
  RETURN_IF_ERROR(write_row(writer, kRecovery,
                            has_recovery ? dump_json(numbers_json(record.recovery_shares)) : ""));
  return write_row(writer, kRecoveryKey, has_recovery ? record.recovery_key : "");
}

}  // namespace curfew::store
