#pragma once

#include "engines/engine.h"
#include "engines/kv/key_metadata.h"

namespace curfew::engines::kv {

// Numbered versions of a map under each path, with check-and-set, deletion that can be undone, and
// destruction that cannot.
//
// Storage: the metadata of a secret under one key, each version's value under one of its own, so
// that a read of the latest is two reads and costs the same however many versions there are.
class KvV2 final : public SecretEngine {
 public:
  explicit KvV2(Services services);

  std::string_view type() const override { return "kv"; }
  const CallRoutes& routes() const override { return routes_; }
  Result<std::optional<bool>> exists(const Call& call) const override;

 private:
  // kv_v2.cc
  std::vector<CallRoutes::Route> make_routes();
  Result<Reply> read_config(const Call& call) const;
  Result<Reply> write_config(const Call& call);

  // kv_v2_data.cc
  Result<Reply> read_data(const Call& call) const;
  Result<Reply> read_subkeys(const Call& call) const;
  Result<Reply> write_data(const Call& call);
  Result<Reply> patch_data(const Call& call);
  Result<Reply> delete_latest(const Call& call);
  Result<Reply> delete_versions(const Call& call);
  Result<Reply> undelete_versions(const Call& call);
  Result<Reply> destroy_versions(const Call& call);

  // kv_v2_metadata.cc
  Result<Reply> read_metadata(const Call& call) const;
  Result<Reply> write_metadata(const Call& call);
  Result<Reply> patch_metadata(const Call& call);
  Result<Reply> delete_metadata(const Call& call);
  Result<Reply> list_metadata(const Call& call) const;

  const Services services_;
  const CallRoutes routes_;
};

// Storage of the layout. Each works within the transaction that it is handed.
Result<MountConfig> load_config(const StorageReader& reader);
Status store_config(StorageWriter& writer, const MountConfig& config);
Result<std::optional<KeyMetadata>> load_metadata(const StorageReader& reader,
                                                 const std::string& path);
Status store_metadata(StorageWriter& writer, const std::string& path, const KeyMetadata& meta);
std::string metadata_key(const std::string& path);
std::string value_key(const std::string& path, std::int64_t version);

// The "{path...}" of a call; may be empty.
std::string path_of(const Call& call);

// "max_versions" of a request. kInvalidArgument when it is negative or above kVersionsMax.
Result<std::optional<std::int64_t>> read_max_versions(const Fields& fields);

}  // namespace curfew::engines::kv
